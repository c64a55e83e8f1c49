//! The trace of each lease from its publication to the acknowledgement of the last worker.
//!
//! The span `deliver` travels with the lease, and each worker has its own spans below it. The coordinator adds one for each
//! acknowledgement, but not for thousands: the first ones, failures, and the last. It ends when every worker that was
//! connected has applied the lease, or after a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use deputy_core::{GroupName, InstanceName, LeaseVersion, TraceContext};
use deputy_link::{DeliveryReport, WorkerId};
use deputy_support::{LockUnpoisoned as _, wall_nanos};
use deputy_traces::{OpenSpan, SpanKind, Tracer};

/// Workers of one lease whose acknowledgement has a span of its own, and as many whose failure has one.
const MOST_WORKERS: usize = 32;

/// How long a trace waits for acknowledgements.
const WAIT_NANOS: u64 = 60_000_000_000;

/// The published leases that are traced. The default traces nothing.
#[derive(Default)]
pub struct DeliveryTraces {
    tracer: Tracer,
    published: Mutex<BTreeMap<InstanceName, PublishedTrace>>,
}

struct PublishedTrace {
    stamp: LeaseVersion,
    /// What travels with the lease, also to workers that come later.
    context: TraceContext,
    open: Option<OpenDelivery>,
}

/// A lease that not all workers have acknowledged.
struct OpenDelivery {
    root: OpenSpan,
    deliver: OpenSpan,
    /// The workers that have not applied it; `None` before it is sent.
    awaited: Option<BTreeSet<WorkerId>>,
    applied: u64,
    failures: u64,
}

impl DeliveryTraces {
    pub fn new(tracer: Tracer) -> Self {
        Self { tracer, published: Mutex::default() }
    }

    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Takes over the trace of a lease that is about to be published. An empty one ends that of the lease before.
    pub(crate) fn publish(&self, instance: &InstanceName, stamp: LeaseVersion, mut root: OpenSpan, has_workers: bool) {
        let mut published = self.lock();
        if let Some(earlier) = published.remove(instance) {
            earlier.close();
        }
        root.set_number("deputy.revision", stamp.revision.0);
        let deliver = root.child("deliver").kind(SpanKind::Producer).with("deputy.instance", instance);
        let Some(context) = deliver.context() else { return };
        let open = OpenDelivery { root, deliver, awaited: None, applied: 0, failures: 0 };
        let mut trace = PublishedTrace { stamp, context, open: Some(open) };
        if !has_workers {
            // Nothing acknowledges it.
            trace.close_delivery();
        }
        published.insert(instance.clone(), trace);
    }

    /// What travels with this lease.
    pub(crate) fn context(&self, instance: &InstanceName, stamp: LeaseVersion) -> Option<TraceContext> {
        self.lock().get(instance).filter(|trace| trace.stamp == stamp).map(|trace| trace.context)
    }

    /// Notes the workers that are about to get a lease. `workers` is not called for what is not traced.
    pub(crate) fn send(
        &self,
        instance: &InstanceName,
        stamp: LeaseVersion,
        workers: impl FnOnce() -> BTreeSet<WorkerId>,
    ) {
        let mut published = self.lock();
        let Some(trace) = published.get_mut(instance).filter(|trace| trace.stamp == stamp) else { return };
        let Some(open) = trace.open.as_mut().filter(|open| open.awaited.is_none()) else { return };
        let workers = workers();
        open.deliver.set_number("deputy.workers", workers.len() as u64);
        let is_awaited = !workers.is_empty();
        open.awaited = Some(workers);
        if !is_awaited {
            trace.close_delivery();
        }
    }

    /// Takes in a worker's report.
    pub(crate) fn acknowledge(&self, worker: WorkerId, group: &GroupName, report: &DeliveryReport) {
        let mut published = self.lock();
        let Some(trace) = published.get_mut(&report.instance).filter(|trace| trace.stamp == report.stamp) else {
            return;
        };
        let Some(open) = &mut trace.open else { return };
        let Some(awaited) = open.awaited.as_mut().filter(|awaited| awaited.contains(&worker)) else { return };
        let is_applied = report.result.is_ok();
        let count = if is_applied { &mut open.applied } else { &mut open.failures };
        *count += 1;
        let is_shown = *count <= MOST_WORKERS as u64;
        // One that failed tries again.
        let is_last = is_applied && awaited.remove(&worker) && awaited.is_empty();
        if is_shown || is_last {
            let span = open.deliver.child("acknowledge").since(open.deliver.began());
            let mut span = span.with("deputy.worker", &worker).with("deputy.group", group);
            if !is_applied {
                span.fail("not-applied");
            }
        }
        if is_last {
            trace.close_delivery();
        }
    }

    pub(crate) fn withdraw(&self, instance: &InstanceName) {
        if let Some(trace) = self.lock().remove(instance) {
            trace.close();
        }
    }

    /// Ends what has waited for long enough.
    pub(crate) fn expire(&self) {
        self.expire_at(wall_nanos());
    }

    fn expire_at(&self, now: u64) {
        for trace in self.lock().values_mut() {
            let began = trace.open.as_ref().map_or(now, |open| open.deliver.began());
            if now.saturating_sub(began) >= WAIT_NANOS {
                trace.close_delivery();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<InstanceName, PublishedTrace>> {
        self.published.lock_unpoisoned()
    }
}

impl PublishedTrace {
    fn close(mut self) {
        self.close_delivery();
    }

    fn close_delivery(&mut self) {
        let Some(open) = self.open.take() else { return };
        let OpenDelivery { root, mut deliver, awaited, applied, failures } = open;
        deliver.set_number("deputy.workers.applied", applied);
        deliver.set_number("deputy.workers.failures", failures);
        if awaited.is_some_and(|awaited| !awaited.is_empty()) {
            deliver.fail("not-acknowledged");
        }
        deliver.end();
        root.end();
    }
}

#[cfg(test)]
mod tests;
