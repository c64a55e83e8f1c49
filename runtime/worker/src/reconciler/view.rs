//! What the machine knows, for the operator.

use std::collections::BTreeMap;

use deputy_core::failure::FailureRecord;
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{Delivery, InstanceName, ReceiverName, Span, Timestamp};

use deputy_link::ReceiverBinding;

use super::Reconciler;
use super::slot::{HookState, ReceiverState};
use crate::unit::PublishedUnit;

/// What is known of a receiver.
#[derive(Debug)]
pub struct ReceiverSnapshot<'m> {
    /// Which.
    pub name: &'m ReceiverName,
    /// What it is doing.
    pub doing: ReceiverActivity,
    /// What it is called with, if it is bound.
    pub binding: Option<&'m ReceiverBinding>,
    /// What is published, if it ran since the start.
    pub published: Option<&'m PublishedUnit>,
    /// Why its last run failed, if it did.
    pub trouble: Option<&'m FailureRecord>,
    /// Runs that failed since the last that did not.
    pub failures: u32,
    /// How its hook last ended, and when.
    pub told: Option<&'m (Timestamp, Result<(), String>)>,
    /// Whether its hook runs.
    pub is_telling: bool,
    /// Times that the hook failed in a row, and in how long it is tried again.
    pub retelling: Option<(u32, Span)>,
    /// Whether the hook has succeeded since the start.
    pub was_told: bool,
    /// Whether a lease that is published has ended.
    pub has_ended: bool,
    /// Instances whose leases it could not have, and why.
    pub refused: Option<&'m BTreeMap<InstanceName, String>>,
}

impl ReceiverSnapshot<'_> {
    /// Whether the workload has what it should have. While something newer is on its way, it has what was good before, for
    /// as long as that is valid.
    pub fn is_ready(&self) -> bool {
        let has_all = self.refused.is_none_or(BTreeMap::is_empty);
        let is_good = match self.doing {
            ReceiverActivity::Applied | ReceiverActivity::Nothing => true,
            ReceiverActivity::Applying(_) => {
                let before = self.published.is_some_and(|published| published.unit.is_some());
                before && self.trouble.is_none() && !self.has_ended
            }
            ReceiverActivity::Leaving | ReceiverActivity::Retrying(_) | ReceiverActivity::Waiting => false,
        };
        is_good && has_all && !self.is_outdated()
    }

    /// Whether there is a workload that was told before and can't be told now. One that was never told may not have been
    /// started yet, perhaps because it waits for this worker.
    pub fn is_outdated(&self) -> bool {
        self.was_told && self.retelling.is_some()
    }

    /// What is wrong with it, or nothing.
    pub fn reason(&self) -> Option<String> {
        if let Some(trouble) = self.trouble {
            return Some(trouble.message.clone());
        }
        let mut refused = self.refused.into_iter().flatten();
        if let Some((instance, why)) = refused.next() {
            return Some(format!("{instance}: {why}"));
        }
        match self.told {
            Some((_, Err(why))) if self.retelling.is_some() => Some(format!("the hook failed: {why}")),
            _ => None,
        }
    }
}

/// What a receiver is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiverActivity {
    /// It runs, for so long by now.
    Applying(Span),
    /// It has applied what there is.
    Applied,
    /// It is no longer bound, and what it published is being removed.
    Leaving,
    /// There is nothing for it, and nothing is published.
    Nothing,
    /// It failed, and is tried again after this time.
    Retrying(Span),
    /// It waits for what the coordinator has still to send.
    Waiting,
}

/// What is known of a delivery.
#[derive(Debug)]
pub struct DeliverySnapshot<'m> {
    /// The delivery itself.
    pub delivery: &'m Delivery,
    /// When it came to this process.
    pub received: Timestamp,
    /// Whether it is applied, if that is known.
    pub applied: Option<Result<(), String>>,
}

impl Reconciler {
    /// Whether all that the coordinator has for this worker is there.
    pub fn is_complete(&self) -> bool {
        self.held.complete
    }

    /// The receivers of its group that it has nothing of, because the coordinator can't load them, and its operator neither.
    pub fn missing(&self) -> impl Iterator<Item = &ReceiverName> {
        self.held.unavailable_receivers.iter().filter(|name| !self.plans.bindings.contains_key(*name))
    }

    /// All receivers.
    pub fn receivers(&self, now: Now) -> impl Iterator<Item = ReceiverSnapshot<'_>> {
        self.slots.iter().map(move |(name, slot)| ReceiverSnapshot {
            name,
            doing: self.doing(name, slot, now),
            binding: slot.binding.as_deref(),
            published: slot.applied.as_ref().map(|applied| &applied.published),
            trouble: slot.failed.as_ref().map(|failed| &failed.trouble),
            failures: slot.failed.as_ref().map_or(0, |failed| failed.count),
            told: slot.told.as_ref(),
            is_telling: slot.telling != HookState::Idle,
            retelling: slot.retelling.as_ref().map(|it| (it.backoff.failures(), it.next.since(now.mono))),
            was_told: slot.was_told,
            has_ended: slot.has_ended(now.wall),
            refused: slot.applied.as_ref().map(|applied| &applied.refused),
        })
    }

    /// All deliveries.
    pub fn instances(&self) -> impl Iterator<Item = DeliverySnapshot<'_>> {
        self.held.deliveries.iter().filter_map(move |(name, delivery)| {
            let arrival = self.arrivals.get(name)?;
            Some(DeliverySnapshot { delivery, received: arrival.at, applied: arrival.verdict.clone() })
        })
    }

    fn doing(&self, name: &ReceiverName, slot: &ReceiverState, now: Now) -> ReceiverActivity {
        let until = |at: MonotonicTime| at.since(now.mono);
        if let Some(running) = &slot.running {
            return ReceiverActivity::Applying(now.mono.since(running.began.mono));
        }
        match (&slot.failed, self.wanted(name, slot, now)) {
            _ if slot.binding.is_none() => ReceiverActivity::Leaving,
            (_, None) => ReceiverActivity::Waiting,
            (Some(failed), Some(_)) => ReceiverActivity::Retrying(until(failed.next)),
            (None, Some(wanted)) if wanted.stamps.is_empty() => ReceiverActivity::Nothing,
            (None, Some(_)) => ReceiverActivity::Applied,
        }
    }
}
