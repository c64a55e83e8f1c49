//! What a worker does with a traced lease, as parts of the coordinator's trace.
//!
//! `apply` lasts from the arrival of a lease to the report; below it are the cache, the receivers and their hooks. Whether a
//! lease is traced is the coordinator's choice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use deputy_core::{Delivery, InstanceName, LeaseVersion, ReceiverName, Span, TraceContext};
use deputy_link::{DeliveredState, DeliveryReport};
use deputy_support::{LockUnpoisoned as _, SystemClock};
use deputy_traces::{OpenSpan, SpanKind, Tracer};

/// Older leases get no spans: one that arrives with a new connection was delivered to others long ago.
const MOST_AGE: Span = Span::secs(600);

/// Parts of one lease's `apply`: a receiver that fails is run again for as long as the lease lives.
const MOST_PARTS: u32 = 32;

/// The traced leases that are held. The default traces nothing.
#[derive(Default)]
pub struct ApplyTraces {
    tracer: Tracer,
    applies: Mutex<BTreeMap<InstanceName, ApplyTrace>>,
}

struct ApplyTrace {
    stamp: LeaseVersion,
    /// Ended by the report. Parts that come later are below it, too.
    span: ApplySpan,
    /// The receivers that published it, and whose hooks did not run yet.
    published: BTreeSet<ReceiverName>,
    parts: u32,
}

enum ApplySpan {
    Open(OpenSpan),
    Reported(TraceContext),
}

impl ApplyTraces {
    pub fn new(tracer: Tracer) -> Self {
        Self { tracer, applies: Mutex::default() }
    }

    /// Begins `apply` for each lease that is new, and returns a span for each until it is in the cache.
    pub(crate) fn cache(&self, held: &DeliveredState) -> Vec<OpenSpan> {
        self.receive(held).into_iter().map(|apply| self.tracer.child(apply, "cache")).collect()
    }

    /// Begins `apply` for each lease that is new, and returns what its parts name as their parent.
    pub(crate) fn receive(&self, held: &DeliveredState) -> Vec<TraceContext> {
        if self.tracer.counts().is_none() {
            return Vec::new();
        }
        let oldest = SystemClock::wall().as_millis().saturating_sub(MOST_AGE.as_millis());
        let mut applies = self.lock();
        applies.retain(|instance, trace| {
            held.deliveries.get(instance).is_some_and(|delivery| delivery.stamp == trace.stamp)
        });
        let mut begun = Vec::new();
        for (instance, delivery) in &held.deliveries {
            let Some(context) = delivery.trace.filter(|_| !applies.contains_key(instance)) else { continue };
            if delivery.stamp.obtained_at.as_millis() < oldest {
                continue;
            }
            let span = self.tracer.child(context, "apply").kind(SpanKind::Consumer);
            let mut span = span.with("deputy.instance", instance);
            span.set_number("deputy.revision", delivery.stamp.revision.0);
            begun.extend(span.context());
            let (stamp, span) = (delivery.stamp, ApplySpan::Open(span));
            applies.insert(instance.clone(), ApplyTrace { stamp, span, published: BTreeSet::new(), parts: 0 });
        }
        begun
    }

    /// A receiver is about to run with these deliveries.
    pub(crate) fn run(&self, receiver: &ReceiverName, deliveries: &[Delivery]) -> Vec<OpenSpan> {
        let mut applies = self.lock();
        let mut spans = Vec::new();
        for delivery in deliveries {
            let trace = applies.get_mut(&delivery.instance).filter(|trace| trace.stamp == delivery.stamp);
            // What was applied before runs again when another instance of the receiver changes.
            let trace = trace.filter(|trace| matches!(trace.span, ApplySpan::Open(_)));
            spans.extend(trace.and_then(|trace| trace.part(&self.tracer, "receiver", receiver)));
        }
        spans
    }

    /// A receiver published leases.
    pub(crate) fn publish<'i>(
        &self,
        receiver: &ReceiverName,
        applied: impl IntoIterator<Item = (&'i InstanceName, LeaseVersion)>,
    ) {
        let mut applies = self.lock();
        for (instance, stamp) in applied {
            let trace = applies.get_mut(instance).filter(|trace| trace.stamp == stamp);
            if let Some(trace) = trace.filter(|trace| matches!(trace.span, ApplySpan::Open(_))) {
                trace.published.insert(receiver.clone());
            }
        }
    }

    /// The hook of a receiver is about to run. Its retries have no spans.
    pub(crate) fn hook(&self, receiver: &ReceiverName) -> Vec<OpenSpan> {
        let mut applies = self.lock();
        let published = applies.values_mut().filter_map(|trace| {
            let is_new = trace.published.remove(receiver);
            is_new.then(|| trace.part(&self.tracer, "hook", receiver)).flatten()
        });
        published.collect()
    }

    /// A lease is about to be reported.
    pub(crate) fn report(&self, report: &DeliveryReport) {
        let mut applies = self.lock();
        let trace = applies.get_mut(&report.instance).filter(|trace| trace.stamp == report.stamp);
        let Some(trace) = trace else { return };
        if let ApplySpan::Open(span) = &mut trace.span {
            match &report.result {
                Ok(()) => {
                    span.succeed();
                    if let Some(context) = span.context() {
                        trace.span = ApplySpan::Reported(context);
                    }
                }
                // It is tried again.
                Err(_) => span.fail("not-applied"),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<InstanceName, ApplyTrace>> {
        self.applies.lock_unpoisoned()
    }
}

impl ApplyTrace {
    fn part(&mut self, tracer: &Tracer, name: &'static str, receiver: &ReceiverName) -> Option<OpenSpan> {
        let context = match &self.span {
            ApplySpan::Open(span) => span.context()?,
            ApplySpan::Reported(context) => *context,
        };
        if self.parts >= MOST_PARTS {
            return None;
        }
        self.parts += 1;
        Some(tracer.child(context, name).with("deputy.receiver", receiver))
    }
}

#[cfg(test)]
mod tests;
