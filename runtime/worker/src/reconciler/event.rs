//! What the reconciler takes in, and what it decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deputy_core::failure::FailureRecord;
use deputy_core::{Delivery, InstanceName, LeaseVersion, ReceiverName, Span};
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
    Published(PublishedUnit, Rejections),
    /// The unit of the run before stays.
    Failed(AcceptError),
}

/// The instances whose leases a receiver does not accept, with the reasons.
pub(crate) type Rejections = BTreeMap<InstanceName, String>;

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
    /// A run failed and is retried after the delay.
    RunFailed(ReceiverName, FailureRecord, Span),
    UnitVanished(ReceiverName, String),
    /// The configuration has a table for a receiver that does not exist.
    UnknownReceiver(ReceiverName),
    Withdrawn(InstanceName),
}
