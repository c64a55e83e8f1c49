use deputy_core::{Revision, Timestamp};
use deputy_traces::{AnyValueKind, CollectedSpans, ExportedSpan};

use super::*;

fn name() -> InstanceName {
    "s3".parse().unwrap()
}

fn stamp(revision: u64) -> LeaseVersion {
    LeaseVersion { revision: Revision(revision), obtained_at: Timestamp::from_millis(revision) }
}

fn workers(count: u64) -> BTreeSet<WorkerId> {
    (0..count).map(|number| format!("{number:016x}").parse().unwrap()).collect()
}

fn report(revision: u64, result: Result<(), String>) -> DeliveryReport {
    DeliveryReport { instance: name(), stamp: stamp(revision), result }
}

/// A lease that is sent to this number of workers.
fn sent(revision: u64, count: u64) -> (DeliveryTraces, CollectedSpans) {
    let (tracer, spans) = Tracer::memory();
    let traces = DeliveryTraces::new(tracer);
    let root = traces.tracer().root("lease");
    traces.publish(&name(), stamp(revision), root, true);
    traces.send(&name(), stamp(revision), || workers(count));
    (traces, spans)
}

fn number(span: &ExportedSpan, key: &str) -> i64 {
    let value = span.attributes.iter().find(|attribute| attribute.key == key).unwrap().value.clone().unwrap();
    let Some(AnyValueKind::IntValue(number)) = value.any_value_kind else { panic!("{value:?}") };
    number
}

#[test]
fn delivery_trace_of_a_thousand_workers_is_bounded() {
    let (traces, mut spans) = sent(7, 1000);
    let context = traces.context(&name(), stamp(7)).unwrap();
    let group = "etl".parse().unwrap();
    for worker in workers(1000) {
        traces.acknowledge(worker, &group, &report(7, Err("canary".to_owned())));
        assert!(spans.take().iter().all(|span| span.name == "acknowledge"), "not before all have applied it");
        traces.acknowledge(worker, &group, &report(7, Ok(())));
        // Once is enough.
        traces.acknowledge(worker, &group, &report(7, Ok(())));
    }
    let (traces, mut spans) = sent(7, 1000);
    for worker in workers(1000) {
        traces.acknowledge(worker, &group, &report(6, Ok(())));
        traces.acknowledge(worker, &group, &report(7, Ok(())));
    }
    let spans = spans.take();
    let [acknowledgements @ .., deliver, root] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((acknowledgements.len(), deliver.name.as_str(), root.name.as_str()), (33, "deliver", "lease"));
    assert!(acknowledgements.iter().all(|span| span.parent_span_id == deliver.span_id));
    assert_eq!((number(deliver, "deputy.workers"), number(deliver, "deputy.workers.applied")), (1000, 1000));
    assert!(deliver.status.is_none() && number(root, "deputy.revision") == 7);
    assert_ne!(context.trace, 0);
    assert!(traces.context(&name(), stamp(7)).is_some() && traces.context(&name(), stamp(6)).is_none());
}

#[test]
fn delivery_trace_ends_although_a_worker_says_nothing() {
    let end = |end: &dyn Fn(&DeliveryTraces)| {
        let (traces, mut spans) = sent(1, 2);
        let first = workers(1).pop_first().unwrap();
        traces.acknowledge(first, &"etl".parse().unwrap(), &report(1, Ok(())));
        traces.expire();
        assert_eq!(spans.take().len(), 1, "it waits");
        end(&traces);
        let spans = spans.take();
        let [deliver, _] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!(deliver.status.as_ref().unwrap().message, "not-acknowledged");
    };
    end(&|traces| traces.expire_at(wall_nanos() + WAIT_NANOS));
    end(&|traces| traces.withdraw(&name()));
    end(&|traces| traces.publish(&name(), stamp(2), OpenSpan::none(), true));
    // Without workers to wait for, it has ended.
    let (_, mut spans) = sent(1, 0);
    assert_eq!(spans.take().len(), 2);
}
