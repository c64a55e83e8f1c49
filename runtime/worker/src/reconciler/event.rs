//! What the reconciler takes in, and what it decides.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use deputy_core::failure::FailureRecord;
use deputy_core::{CallFailure, Delivery, Fact, InstanceName, LeaseVersion, ReceiverName, Revision, Span, Timestamp};
use deputy_link::{DeliveredState, DeliveryReport, ReceiverBinding};

use super::NamedBy;
use crate::receiver::AcceptError;
use crate::unit::{PublishedUnit, UnitName};

#[derive(Debug)]
pub(crate) enum ReconcilerEvent {
    HookFinished(ReceiverName, Result<(), String>),
    RunFinished(RunId, RunOutcome),
    /// The coordinator sent something, or withdrew it.
    StateChanged(Arc<DeliveredState>),
    TimerFired,
    /// A published unit was removed or replaced by another program; the text says what is missing.
    UnitVanished(ReceiverName, UnitName, String),
}

#[derive(Debug)]
pub(crate) enum ReconcilerAction {
    /// The receiver is unbound, and everything that it published is withdrawn.
    DropReceiver(ReceiverName),
    Log(WorkerEvent),
    Report(DeliveryReport),
    /// Run the hook of a receiver. The instances are those whose leases are in its unit.
    RunHook(ReceiverName, BTreeSet<InstanceName>),
    RunReceiver(ReceiverRun),
}

/// Unique in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunId(pub(crate) u64);

#[derive(Debug)]
pub(crate) struct ReceiverRun {
    pub(crate) id: RunId,
    pub(crate) receiver: ReceiverName,
    pub(crate) work: RunWork,
}

#[derive(Debug)]
pub(crate) enum RunWork {
    /// Call the receiver with all its deliveries, and publish its files.
    Accept(Arc<ReceiverBinding>, Vec<Delivery>),
    /// Remove what is published: there is nothing to call the receiver with.
    Withdraw,
}

#[derive(Debug)]
pub(crate) enum RunOutcome {
    Published(PublishedRun),
    /// The unit of the run before stays.
    Failed(AcceptError),
}

/// What a run published.
#[derive(Debug)]
pub(crate) struct PublishedRun {
    pub(crate) unit: PublishedUnit,
    /// The leases in the unit.
    pub(crate) applied: BTreeMap<InstanceName, AppliedLease>,
    pub(crate) rejected: Rejections,
    /// The component's words.
    pub(crate) facts: Vec<Fact>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AppliedLease {
    pub(crate) version: LeaseVersion,
    pub(crate) valid_until: Timestamp,
}

/// The instances whose newest leases a receiver does not accept.
pub(crate) type Rejections = BTreeMap<InstanceName, Rejection>;

/// Why a receiver does not accept the newest lease of an instance, and what it has instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) failure: CallFailure,
    pub(crate) fallback: Option<FallbackLease>,
}

/// The lease of an instance that was applied last, before the newest was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FallbackLease {
    pub(crate) lease: AppliedLease,
    /// Whether it is in the unit: it was valid.
    pub(crate) is_applied: bool,
}

/// An event for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WorkerEvent {
    /// A lease expired before its replacement came.
    Expired(InstanceName, LeaseVersion),
    /// A hook failed this many times in a row and is not retried before its unit changes.
    HookAbandoned(ReceiverName, u32),
    /// The configuration names an instance that the coordinator does not deliver here.
    NotDelivered(InstanceName, NamedBy),
    Received(InstanceName, LeaseVersion),
    /// A receiver rejected the newest lease of an instance.
    Rejected(ReceiverName, InstanceName, Rejection),
    /// A run failed and is retried after the delay, or else when its inputs change.
    RunFailed(ReceiverName, FailureRecord, Option<Span>),
    UnitVanished(ReceiverName, String),
    /// The configuration has a table for a receiver that does not exist.
    UnknownReceiver(ReceiverName),
    Withdrawn(InstanceName),
}

impl Rejection {
    /// The revision of the instance that is in the unit.
    pub(crate) fn applied_revision(&self) -> Option<Revision> {
        self.fallback.filter(|fallback| fallback.is_applied).map(|fallback| fallback.lease.version.revision)
    }

    /// Whether another run at this time would apply the same: the fallback is in the unit while it is valid.
    pub(super) fn is_settled(&self, now: Timestamp) -> bool {
        self.fallback.is_none_or(|fallback| fallback.is_applied == (now < fallback.lease.valid_until))
    }
}

/// What is published instead, and the reason.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.applied_revision() {
            Some(revision) => write!(f, "rejected, and revision {revision} stays")?,
            None => f.write_str("rejected, and nothing of it is published")?,
        }
        write!(f, ": {}: {}", self.failure.kind, self.failure.message)
    }
}
