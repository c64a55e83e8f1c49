//! What the reconciler knows, for the status.

use deputy_core::failure::FailureRecord;
use deputy_core::time::Now;
use deputy_core::{Delivery, Fact, ReceiverName, Span};
use deputy_link::ReceiverBinding;

use super::hooks::HookSnapshot;
use super::receiver_state::ReceiverState;
use super::{Arrival, Reconciler, Rejections};
use crate::unit::PublishedUnit;

#[derive(Debug)]
pub(crate) struct ReceiverSnapshot<'a> {
    pub(crate) name: &'a ReceiverName,
    pub(crate) activity: ReceiverActivity,
    pub(crate) binding: Option<&'a ReceiverBinding>,
    /// `None` before the first run of the process.
    pub(crate) unit: Option<&'a PublishedUnit>,
    /// Of the last run, if it failed.
    pub(crate) failure: Option<&'a FailureRecord>,
    /// Failed runs in a row.
    pub(crate) failures: u32,
    pub(crate) hook: HookSnapshot<'a>,
    pub(crate) has_expired_lease: bool,
    pub(crate) rejected: Option<&'a Rejections>,
    pub(crate) facts: &'a [Fact],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiverActivity {
    Applied,
    /// Running for this long.
    Applying(Span),
    /// Failed; it waits for another lease or binding.
    Failed,
    /// Unbound; what it published is being removed.
    Leaving,
    /// Up to date, and there is nothing to publish.
    Nothing,
    /// Failed; the next run is in this time.
    Retrying(Span),
    /// Waiting for the rest of the snapshot.
    Waiting,
}

impl ReceiverActivity {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Applying(_) => "applying",
            Self::Failed => "failed",
            Self::Leaving => "leaving",
            Self::Nothing => "nothing",
            Self::Retrying(_) => "retrying",
            Self::Waiting => "waiting",
        }
    }
}

impl ReceiverSnapshot<'_> {
    /// Whether the workload has what it should have. During a run that is the unit before it, as long as its leases are
    /// valid.
    pub(crate) fn is_ready(&self) -> bool {
        let is_good = match self.activity {
            ReceiverActivity::Applied | ReceiverActivity::Nothing => true,
            ReceiverActivity::Applying(_) => {
                let has_unit = self.unit.is_some_and(|published| published.unit.is_some());
                has_unit && self.failure.is_none() && !self.has_expired_lease
            }
            ReceiverActivity::Failed
            | ReceiverActivity::Leaving
            | ReceiverActivity::Retrying(_)
            | ReceiverActivity::Waiting => false,
        };
        is_good && self.rejected.is_none_or(Rejections::is_empty) && !self.is_workload_outdated()
    }

    /// Whether a workload that was notified before cannot be notified now. One that was never notified may not have
    /// started yet, perhaps because it waits for this worker.
    fn is_workload_outdated(&self) -> bool {
        self.hook.has_succeeded && self.hook.retry.is_some()
    }

    /// Why it is not ready, or what else is wrong.
    pub(crate) fn reason(&self) -> Option<String> {
        if let Some(failure) = self.failure {
            return Some(failure.failure.message.clone());
        }
        if let Some((instance, rejection)) = self.rejected.and_then(Rejections::first_key_value) {
            let more = self.rejected.map_or(0, |rejected| rejected.len() - 1);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            return Some(format!("{instance}: {rejection}{more}"));
        }
        match self.hook.last {
            Some((_, Err(error))) if self.hook.retry.is_some() => Some(format!("the hook failed: {error}")),
            _ => None,
        }
    }
}

impl Reconciler {
    /// Whether the coordinator's snapshot is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.held.complete
    }

    /// The receivers of the group that neither the coordinator can load nor this worker's configuration defines.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &ReceiverName> {
        self.held.unavailable_receivers.iter().filter(|name| !self.policies.bindings.contains_key(*name))
    }

    pub(crate) fn receivers(&self, now: Now) -> impl Iterator<Item = ReceiverSnapshot<'_>> {
        self.receivers.iter().map(move |(name, receiver)| ReceiverSnapshot {
            name,
            activity: self.activity(name, receiver, now),
            binding: receiver.binding().map(|binding| &**binding),
            unit: receiver.unit(),
            failure: receiver.last_failure(),
            failures: receiver.failures(),
            hook: receiver.hook().snapshot(now.mono),
            has_expired_lease: receiver.has_expired_lease(now.wall),
            rejected: receiver.rejected(),
            facts: receiver.facts(),
        })
    }

    pub(crate) fn deliveries(&self) -> impl Iterator<Item = (&Delivery, &Arrival)> {
        self.held.deliveries.iter().filter_map(|(name, delivery)| Some((delivery, self.arrivals.get(name)?)))
    }

    fn activity(&self, name: &ReceiverName, receiver: &ReceiverState, now: Now) -> ReceiverActivity {
        if let Some(run) = receiver.running() {
            return ReceiverActivity::Applying(now.mono.since(run.began.mono));
        }
        if receiver.binding().is_none() {
            return ReceiverActivity::Leaving;
        }
        let Some(wanted) = self.wanted_inputs(name, receiver, now) else { return ReceiverActivity::Waiting };
        match (receiver.last_failure(), receiver.retry_at()) {
            (Some(_), Some(retry_at)) => ReceiverActivity::Retrying(retry_at.since(now.mono)),
            (Some(_), None) => ReceiverActivity::Failed,
            (None, _) if wanted.versions.is_empty() => ReceiverActivity::Nothing,
            (None, _) => ReceiverActivity::Applied,
        }
    }
}
