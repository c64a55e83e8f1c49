use deputy_core::failure::FailureKind;
use deputy_core::{CallFailure, Revision, SecretBytes, Span, Tokens};
use deputy_traces::{CollectedSpans, ExportedSpan, Tracer};

use super::*;

const BEGAN: Timestamp = Timestamp::from_millis(7_000);

fn traces() -> (LeaseTraces, CollectedSpans) {
    let (tracer, spans) = Tracer::memory();
    (LeaseTraces::new(Arc::new(DeliveryTraces::new(tracer))), spans)
}

fn begin(traces: &mut LeaseTraces, id: u64, failures: u32) -> OpenSpan {
    let times = CallTimes { began: BEGAN, waited: Span::millis(300) };
    traces.begin_call(ScheduledCallId(id), &name(), &ProviderCall::Obtain, Some(times), failures)
}

fn name() -> InstanceName {
    "s3".parse().unwrap()
}

fn obtained() -> CallOutcome {
    CallOutcome::Obtained(Tokens::new("pem/1".parse().unwrap(), SecretBytes::new(b"canary".to_vec())))
}

fn stamp(obtained_at: Timestamp) -> LeaseVersion {
    LeaseVersion { revision: Revision(4), obtained_at }
}

/// Names and failures.
fn shown(spans: &[ExportedSpan]) -> Vec<(&str, &str)> {
    spans.iter().map(|span| (span.name.as_str(), failure(span))).collect()
}

fn failure(span: &ExportedSpan) -> &str {
    span.status.as_ref().map_or("", |status| status.message.as_str())
}

#[test]
fn lease_trace_goes_from_the_due_call_to_the_publication() {
    let (mut traces, mut spans) = traces();
    begin(&mut traces, 1, 2).end();
    traces.finish_call(ScheduledCallId(1), &obtained());
    traces.begin_save(SaveId(1), &name(), Some(BEGAN));
    traces.finish_save(SaveId(1), false);
    traces.begin_save(SaveId(2), &name(), Some(Timestamp::from_millis(7_001)));
    traces.finish_save(SaveId(2), true);
    traces.begin_save(SaveId(3), &name(), Some(Timestamp::from_millis(1)));
    traces.finish_save(SaveId(3), true);
    traces.publish(&name(), stamp(BEGAN), false);
    let spans = spans.take();
    let all = [("wait", ""), ("obtain", ""), ("save", "not-saved"), ("save", ""), ("deliver", ""), ("lease", "")];
    assert_eq!(shown(&spans), all, "without workers it ends with the publication");
    let root = spans.last().unwrap();
    assert!(spans.iter().all(|span| span.trace_id == root.trace_id));
    assert!(spans.iter().filter(|span| span.name != "lease").all(|span| span.parent_span_id == root.span_id));
    let waited = spans[0].end_time_unix_nano - spans[0].start_time_unix_nano;
    assert!(waited >= 300_000_000 && spans[0].start_time_unix_nano == root.start_time_unix_nano, "{waited}");
    let keys: Vec<_> = root.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys, ["deputy.instance", "deputy.attempt", "deputy.revision"]);
}

#[test]
fn lease_trace_of_a_call_without_a_lease_ends_with_the_reason() {
    let (mut traces, mut spans) = traces();
    begin(&mut traces, 1, 0).end();
    let failure = CallFailure::new(FailureKind::Throttled, "a server's canary");
    traces.finish_call(ScheduledCallId(1), &CallOutcome::Failed(failure));
    begin(&mut traces, 2, 0).end();
    traces.cancel_call(ScheduledCallId(2));
    // Tokens that are revoked at once, and those of another call.
    begin(&mut traces, 3, 0).end();
    traces.finish_call(ScheduledCallId(3), &obtained());
    traces.publish(&name(), stamp(Timestamp::from_millis(1)), false);
    begin(&mut traces, 4, 0).end();
    let spans = spans.take();
    let roots: Vec<_> = shown(&spans).into_iter().filter(|(name, _)| *name == "lease").collect();
    assert_eq!(roots, [("lease", "throttled"), ("lease", "cancelled"), ("lease", "unused")]);
    assert!(begin_revocation(&mut traces).is_none());
}

fn begin_revocation(traces: &mut LeaseTraces) -> OpenSpan {
    // A call whose times are not known is none of the schedule's.
    traces.begin_call(ScheduledCallId(9), &name(), &ProviderCall::Obtain, None, 0)
}
