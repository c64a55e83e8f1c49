use deputy_traces::{CollectedSpans, ExportedSpan};

use super::*;
use crate::testing::delivery;

const CONTEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A state with one lease, which is of this age.
fn held(revision: u64, age: Span) -> DeliveredState {
    let mut delivery = delivery("s3", revision, u64::MAX);
    let obtained_at = SystemClock::wall().as_millis() - age.as_millis();
    delivery.stamp.obtained_at = deputy_core::Timestamp::from_millis(obtained_at);
    delivery.trace = Some(CONTEXT.parse().unwrap());
    DeliveredState { deliveries: [(delivery.instance.clone(), delivery)].into(), ..DeliveredState::default() }
}

fn traces() -> (ApplyTraces, CollectedSpans) {
    let (tracer, spans) = Tracer::memory();
    (ApplyTraces::new(tracer), spans)
}

fn names(spans: &[ExportedSpan]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

#[test]
fn apply_trace_has_cache_receivers_and_hooks() {
    let (traces, mut spans) = traces();
    let held = held(1, Span::secs(1));
    let deliveries: Vec<Delivery> = held.deliveries.values().cloned().collect();
    let (instance, stamp) = (deliveries[0].instance.clone(), deliveries[0].stamp);
    let receiver: ReceiverName = "aws".parse().unwrap();
    let report = |result| DeliveryReport { instance: instance.clone(), stamp, result };
    assert_eq!(traces.cache(&held).len(), 1);
    assert!(traces.receive(&held).is_empty(), "once for each lease");
    traces.run(&receiver, &deliveries)[0].fail("trap");
    traces.report(&report(Err("canary".to_owned())));
    drop(traces.run(&receiver, &deliveries));
    traces.publish(&receiver, [(&instance, stamp)]);
    traces.report(&report(Ok(())));
    assert_eq!(traces.hook(&receiver).len(), 1);
    assert!(traces.hook(&receiver).is_empty(), "once for each lease");
    assert!(traces.run(&receiver, &deliveries).is_empty(), "it is applied");
    let spans = spans.take();
    assert_eq!(names(&spans), ["cache", "receiver", "receiver", "apply", "hook"]);
    let apply = &spans[3];
    let parent = CONTEXT.parse::<TraceContext>().unwrap();
    assert_eq!(
        (&*apply.trace_id, &*apply.parent_span_id),
        (&parent.trace.to_be_bytes()[..], &parent.span.to_be_bytes()[..])
    );
    assert!(apply.status.is_none(), "in the end it was applied");
    for part in spans.iter().filter(|span| span.name != "apply") {
        assert_eq!((&part.trace_id, &part.parent_span_id), (&apply.trace_id, &apply.span_id));
    }
}

#[test]
fn apply_trace_is_bounded_and_only_of_recent_leases() {
    let (traces, mut spans) = traces();
    assert!(traces.receive(&held(1, Span::secs(605))).is_empty());
    let untraced = DeliveredState {
        deliveries: [("s3".parse().unwrap(), delivery("s3", 1, u64::MAX))].into(),
        ..DeliveredState::default()
    };
    assert!(traces.receive(&untraced).is_empty());
    let held = held(2, Span::secs(1));
    drop(traces.receive(&held));
    let deliveries: Vec<Delivery> = held.deliveries.values().cloned().collect();
    for _ in 0..100 {
        drop(traces.run(&"aws".parse().unwrap(), &deliveries));
    }
    assert_eq!(spans.take().len(), MOST_PARTS as usize);
    // Withdrawn before it was applied.
    drop(traces.receive(&DeliveredState::default()));
    assert_eq!(names(&spans.take()), ["apply"]);
}
