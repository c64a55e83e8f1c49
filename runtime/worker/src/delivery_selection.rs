//! Which deliveries a receiver is called with, from one call of a run to the next.
//!
//! A rejected delivery is replaced by the last one of its instance that was applied, if that is valid, and is left out
//! otherwise. An instance whose replacement is rejected as well is left out. So each instance is rejected twice at most, and
//! a run that rejects one delivery at a time ends after two calls for each instance, and one more.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::failure::FailureKind;
use deputy_core::{CallFailure, ComponentFailure, Delivery, InstanceName, Kinds, Timestamp};

use crate::applied_deliveries::AppliedDeliveries;
use crate::reconciler::{AppliedLease, FallbackLease, Rejection, Rejections};

/// The deliveries of one run.
#[derive(Debug)]
pub(crate) struct DeliverySelection<'a> {
    kinds: &'a Kinds,
    applied: &'a AppliedDeliveries,
    delivered: BTreeSet<InstanceName>,
    selected: Vec<Delivery>,
    rejected: Rejections,
}

/// What a run applied in the end.
#[derive(Debug)]
pub(crate) struct SelectedDeliveries {
    pub(crate) delivered: BTreeSet<InstanceName>,
    pub(crate) applied: Vec<Delivery>,
    pub(crate) rejected: Rejections,
}

impl<'a> DeliverySelection<'a> {
    /// Selects the newest deliveries. Those of a kind that the receiver does not take are rejected.
    pub(crate) fn new(newest: Vec<Delivery>, kinds: &'a Kinds, applied: &'a AppliedDeliveries, now: Timestamp) -> Self {
        let delivered = newest.iter().map(|delivery| delivery.instance.clone()).collect();
        let mut selection = Self { kinds, applied, delivered, selected: Vec::new(), rejected: Rejections::new() };
        for delivery in newest {
            if kinds.accept(&delivery.kind) {
                selection.selected.push(delivery);
            } else {
                let text =
                    format!("the receiver takes only {kinds}, not {}: unbind it from this instance", delivery.kind);
                selection.replace(&delivery, CallFailure::new(FailureKind::Misconfigured, text), now);
            }
        }
        selection.sort();
        selection
    }

    /// What the receiver is called with next.
    pub(crate) fn selected(&self) -> &[Delivery] {
        &self.selected
    }

    /// Replaces or leaves out what the receiver rejected. Returns whether any of it was selected.
    pub(crate) fn reject(&mut self, failures: &BTreeMap<InstanceName, ComponentFailure>, now: Timestamp) -> bool {
        let is_rejected = |delivery: &Delivery| failures.contains_key(&delivery.instance);
        let (rejected, selected): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.selected).into_iter().partition(is_rejected);
        self.selected = selected;
        for delivery in &rejected {
            if let Some(known) = self.rejected.get_mut(&delivery.instance) {
                known.fallback = None;
            } else if let Some(failure) = failures.get(&delivery.instance) {
                self.replace(delivery, failure.into(), now);
            }
        }
        self.sort();
        !rejected.is_empty()
    }

    /// The end of the run: what is selected was applied.
    pub(crate) fn finish(self) -> SelectedDeliveries {
        SelectedDeliveries { delivered: self.delivered, applied: self.selected, rejected: self.rejected }
    }

    /// Always in the same order, so that a receiver that lists them writes the same files.
    fn sort(&mut self) {
        self.selected.sort_by(|one, other| one.instance.cmp(&other.instance));
    }

    /// Puts what was applied last in the place of a newest delivery.
    fn replace(&mut self, newest: &Delivery, failure: CallFailure, now: Timestamp) {
        let last = self.applied.last(&newest.instance);
        let last = last.filter(|last| last.stamp != newest.stamp && self.kinds.accept(&last.kind));
        let fallback = last.map(|last| FallbackLease {
            lease: AppliedLease { version: last.stamp, valid_until: last.valid_until },
            is_applied: last.is_valid(now),
        });
        self.selected.extend(last.filter(|last| last.is_valid(now)).cloned());
        self.rejected.insert(newest.instance.clone(), Rejection { failure, fallback });
    }
}

#[cfg(test)]
mod tests;
