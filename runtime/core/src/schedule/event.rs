//! What happens to the schedule, and what it asks for.

use std::collections::BTreeMap;
use std::fmt;

use crate::{InstanceName, Revision, Span, Timestamp, Tokens};

use super::budget::{Budget, UpstreamName};
use super::lease::{FilePayload, Lease, LeaseRecord, ServicePause};
use super::policy::{ConfigFingerprint, InstancePlan};
use super::revocation::NotRevoked;
use crate::failure::{CallFailure, FailureRecord};

/// Identifies a call that the schedule asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduledCallId(pub u64);

/// Identifies a save that the schedule asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SaveId(pub u64);

#[derive(Debug)]
pub enum ScheduleEvent {
    /// A worker or an operator needs the lease of an instance once.
    LeaseRequested(InstanceName),
    /// There is a configuration, the first or another one.
    Configured(ScheduleConfig),
    Finished(ScheduledCallId, CallOutcome),
    /// The file of an instance holds this now, or nothing that is good. It may come before the configuration that has the
    /// instance, and has to come again for one that was removed and comes back.
    FileObserved(InstanceName, Option<FilePayload>),
    /// The operator wants another lease now; the one that is held stays valid until then.
    Renew(InstanceName),
    /// What was saved before the process began; comes before the first configuration, and after it is ignored.
    Restored(InstanceName, LeaseRecord),
    /// The operator wants no lease of an instance to be good any longer, and then another one.
    Revoke(InstanceName),
    /// What was to be saved could not be.
    SaveFailed(SaveId, String),
    /// What was to be saved is.
    Saved(SaveId),
    /// The coordinator is asked to stop.
    Stop,
    /// A lease that a coordinator obtained before it lost the lock, and that may not be saved: then it is revoked. It is part of
    /// what is saved as soon as the instance has no [unsaved lease](super::Schedule::has_unsaved).
    UnsavedLease(InstanceName, Lease),
    /// The number of workers that use an instance now. Ignored for an instance that is not configured.
    Used(InstanceName, u32),
    /// The time of [`Schedule::wake_at`](super::Schedule::wake_at) has come.
    TimerFired,
}

/// All instances, all budgets, and how many calls there may be at once.
#[derive(Debug, Clone)]
pub struct ScheduleConfig {
    /// The instances that are enabled.
    pub plans: BTreeMap<InstanceName, InstancePlan>,
    /// The default budget of an upstream without configuration.
    pub default_budget: Budget,
    /// The budgets of the other upstreams.
    pub budgets: BTreeMap<UpstreamName, Budget>,
    /// Calls at once, over all instances. At least one is made.
    pub calls: usize,
}

/// How a call ended.
#[derive(Debug)]
pub enum CallOutcome {
    /// Nothing.
    Failed(CallFailure),
    /// The component says that it needs no tokens.
    NotRequired,
    /// Tokens, obtained or renewed.
    Obtained(Tokens),
    Revoked,
}

/// What to do, in this order. The saves and deletions of one instance happen in this order as well.
#[derive(Debug)]
pub enum ScheduleAction {
    /// Call the instance's component, and report its end as [`ScheduleEvent::Finished`].
    Call(ScheduledCallId, InstanceName, ProviderCall),
    /// End a call; its end is not waited for, and is ignored.
    Cancel(ScheduledCallId),
    /// Let a call run that its instance no longer waits for, and report its end: what it brings is revoked.
    Detach(ScheduledCallId),
    /// Delete what is saved for an instance. If it is not configured, this is not retried before the next start.
    Forget(SaveId, InstanceName),
    Publish(InstanceName, Lease),
    /// Keep this for an instance, instead of what was kept.
    Save(SaveId, InstanceName, LeaseRecord),
    /// Keep this pause for an instance, or none, instead of what was kept.
    SavePause(SaveId, InstanceName, Option<ServicePause>),
    Notify(OperatorEvent),
    /// Withdraw the lease that is published.
    Withdraw(InstanceName),
}

/// What a component is called for.
#[derive(Debug, Clone)]
pub enum ProviderCall {
    /// Ask whether tokens are required, and obtain them.
    Obtain,
    /// Prolong a lease.
    Renew(Lease),
    /// Make a lease invalid.
    Revoke(Lease),
}

/// What the log and the audit log tell the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorEvent {
    /// The wall clock was set, or the machine slept: the milliseconds by which it is ahead of the monotonic clock.
    ClockJumped(i64),
    /// A lease ended before there was another one.
    Expired(InstanceName, Revision),
    /// The service gave no expiry, or one in the past (a wrong clock?): this one is assumed.
    ExpiryAssumed(InstanceName, Option<Timestamp>, Timestamp),
    /// A call failed; it is tried again after this time, or when a person has acted.
    Failed(InstanceName, FailureRecord, Option<Span>),
    /// An instance for which something is kept is not configured: it is deleted then, unless the instance comes back.
    Orphaned(InstanceName, Timestamp),
    /// The delay that a service asked for could not be saved: the next process may call it sooner.
    PauseSaveFailed(InstanceName, String),
    /// A lease is given out although it could not be saved: the one before is about to end.
    PublishedUnsaved(InstanceName, Revision),
    /// A lease could not be revoked; it is tried again after this time.
    RevokeFailed(InstanceName, Revision, FailureRecord, Span),
    /// A lease was not revoked, and will not be.
    RevokeGivenUp(InstanceName, Revision, NotRevoked),
    /// State could not be saved, and what depends on it waits; it is tried again after this time.
    SaveFailed(InstanceName, String, Span),
}

impl ProviderCall {
    /// Under which configuration the payload was obtained that the component is given; `None` if it gets none.
    pub fn payload_of(&self) -> Option<ConfigFingerprint> {
        match self {
            Self::Obtain => None,
            Self::Renew(lease) | Self::Revoke(lease) => Some(lease.fingerprint),
        }
    }

    /// The function of the contract.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Obtain => "obtain",
            Self::Renew(_) => "renew",
            Self::Revoke(_) => "revoke",
        }
    }
}

impl fmt::Display for ScheduledCallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
