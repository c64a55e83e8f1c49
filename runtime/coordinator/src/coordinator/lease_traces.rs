//! The trace of each lease from the moment that it is due to its publication.
//!
//! A trace is one attempt: an obtained or renewed lease, or a call that failed. [`DeliveryTraces`] continues it.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_core::schedule::{CallOutcome, CallTimes, ProviderCall, SaveId, ScheduledCallId};
use deputy_core::{InstanceName, LeaseVersion, Timestamp};
use deputy_traces::OpenSpan;

use crate::delivery_traces::DeliveryTraces;

/// How far the time in a lease may be from that of its call: the lease's is counted back from the end of the call. If the clock
/// was set meanwhile, the trace ends as unused.
const SAME_CALL_MILLIS: u64 = 1000;

/// Writes of one lease that are in its trace: a full disk is retried for as long as it takes.
const MOST_SAVES: u32 = 8;

#[derive(Default)]
pub(super) struct LeaseTraces {
    deliveries: Arc<DeliveryTraces>,
    calls: BTreeMap<ScheduledCallId, LeaseTrace>,
    /// What a call brought and is not published yet.
    obtained: BTreeMap<InstanceName, LeaseTrace>,
    saves: BTreeMap<SaveId, OpenSpan>,
}

struct LeaseTrace {
    root: OpenSpan,
    instance: InstanceName,
    /// When the call began, as in the lease.
    began: Timestamp,
    saves: u32,
}

impl LeaseTraces {
    pub(super) fn new(deliveries: Arc<DeliveryTraces>) -> Self {
        Self { deliveries, ..Self::default() }
    }

    /// A call begins. Returns its span, which is empty for a revocation: that is no lease.
    pub(super) fn begin_call(
        &mut self,
        id: ScheduledCallId,
        instance: &InstanceName,
        call: &ProviderCall,
        times: Option<CallTimes>,
        failures: u32,
    ) -> OpenSpan {
        let (Some(times), ProviderCall::Obtain | ProviderCall::Renew(_)) = (times, call) else {
            return OpenSpan::none();
        };
        if let Some(unused) = self.obtained.remove(instance) {
            unused.end("unused");
        }
        let root = self.deliveries.tracer().root("lease");
        if root.is_none() {
            return OpenSpan::none();
        }
        let due = root.began().saturating_sub(times.waited.as_millis().saturating_mul(1_000_000));
        let mut root = root.since(due).with("deputy.instance", instance);
        root.set_number("deputy.attempt", u64::from(failures) + 1);
        root.child("wait").since(due).end();
        let span = root.child(call.word()).with("deputy.instance", instance);
        let trace = LeaseTrace { root, instance: instance.clone(), began: times.began, saves: 0 };
        self.calls.insert(id, trace);
        span
    }

    pub(super) fn cancel_call(&mut self, id: ScheduledCallId) {
        if let Some(trace) = self.calls.remove(&id) {
            trace.end("cancelled");
        }
    }

    pub(super) fn finish_call(&mut self, id: ScheduledCallId, outcome: &CallOutcome) {
        let Some(trace) = self.calls.remove(&id) else { return };
        match outcome {
            CallOutcome::Failed(failure) => trace.end(failure.kind.word()),
            CallOutcome::NotRequired | CallOutcome::Revoked => trace.root.end(),
            CallOutcome::Obtained(_) => {
                if let Some(earlier) = self.obtained.insert(trace.instance.clone(), trace) {
                    earlier.end("unused");
                }
            }
        }
    }

    /// A write of the lease begins that was obtained at this time.
    pub(super) fn begin_save(&mut self, save: SaveId, instance: &InstanceName, obtained_at: Option<Timestamp>) {
        let trace = self.obtained.get_mut(instance).filter(|trace| obtained_at.is_some_and(|at| trace.is_of(at)));
        if let Some(trace) = trace.filter(|trace| trace.saves < MOST_SAVES) {
            trace.saves += 1;
            self.saves.insert(save, trace.root.child("save"));
        }
    }

    pub(super) fn finish_save(&mut self, save: SaveId, is_saved: bool) {
        if let Some(mut span) = self.saves.remove(&save)
            && !is_saved
        {
            span.fail("not-saved");
        }
    }

    /// Passes the trace of a lease on that is about to be published.
    pub(super) fn publish(&mut self, instance: &InstanceName, stamp: LeaseVersion, has_workers: bool) {
        let root = match self.obtained.remove(instance) {
            Some(trace) if trace.is_of(stamp.obtained_at) => trace.root,
            Some(other) => {
                self.obtained.insert(instance.clone(), other);
                OpenSpan::none()
            }
            None => OpenSpan::none(),
        };
        self.deliveries.publish(instance, stamp, root, has_workers);
    }

    pub(super) fn withdraw(&self, instance: &InstanceName) {
        self.deliveries.withdraw(instance);
    }
}

impl LeaseTrace {
    /// Whether it is that of the lease that was obtained at this time.
    fn is_of(&self, obtained_at: Timestamp) -> bool {
        self.began.as_millis().abs_diff(obtained_at.as_millis()) <= SAME_CALL_MILLIS
    }

    fn end(mut self, failure: &str) {
        self.root.fail(failure);
    }
}

#[cfg(test)]
mod tests;
