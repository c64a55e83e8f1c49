//! Spark's `UserCredentialManagerSuite` (SPARK-57703, unreleased).

use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::retry::RetryPolicy;
use deputy_core::schedule::{OperatorEvent, ScheduleEvent};

use crate::HOUR;
use deputy_test_support::{TestSchedule, file_payload, instance_name, plain_plan, plan_with, tokens_for, tokens_until};

/// "start acquires and calls back", "rotation gives version 1, 2", "monotonic versions"
#[test]
fn credentials_version_grows_with_each_rotation() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    for version in 1..=5 {
        schedule.complete("a", HOUR);
        assert_eq!(schedule.published_revision("a"), Some(version));
        schedule.advance_until_called("a");
    }
}

/// "fail-fast on empty token", "missing file". Deputy differs: the operator does not have to arrange the
/// order of starts; Deputy retries and reports.
#[test]
fn credentials_missing_at_start_are_retried_and_reported() {
    let mut schedule =
        TestSchedule::new([("file", plan_with(|plan| plan.component = None)), ("component", plain_plan())]);
    schedule.handle(ScheduleEvent::FileObserved(instance_name("file"), None));
    schedule.fail_call("component", FailureKind::Misconfigured);
    assert_eq!(schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Failed(..))).count(), 1);
    schedule.handle(ScheduleEvent::FileObserved(
        instance_name("file"),
        file_payload("identity", schedule.now().wall, HOUR),
    ));
    schedule.advance_until_called("component");
    schedule.complete("component", HOUR);
    assert_eq!(schedule.published.len(), 2);
}

/// "properties applied once, not overwritten, not on renewal" has no meaning here; that an identity token is read again
/// when it rotates has.
#[test]
fn credentials_rotated_by_a_file_are_published() {
    let mut schedule = TestSchedule::new([("a", plan_with(|plan| plan.component = None))]);
    for version in 1..=3 {
        let found = file_payload(&format!("identity {version}"), schedule.now().wall, HOUR);
        schedule.handle(ScheduleEvent::FileObserved(instance_name("a"), found));
        assert_eq!(schedule.published_revision("a"), Some(version));
        schedule.advance(Span::secs(1800));
    }
}

/// "delay with margin / min interval". Deputy differs: a ratio, not a margin; the floor is the least interval.
#[test]
fn credentials_that_expire_at_once_respect_the_interval() {
    let retry = RetryPolicy { floor: Span::secs(30), ..RetryPolicy::default() };
    let mut schedule = TestSchedule::new([("a", plan_with(|plan| plan.policy.retry = retry))]);
    schedule.complete("a", Span::secs(1));
    assert_eq!(schedule.advance_until_called("a"), 30_000);
}

/// "no credential expiry / none -> 420000 ms": seven minutes there. Deputy differs: three quarters of what is configured
/// or, if nothing is, of an hour.
#[test]
fn credentials_without_expiry_respect_the_delay() {
    let mut schedule = TestSchedule::new([("a", plan_with(|plan| plan.policy.lifetime = Some(Span::secs(560))))]);
    schedule.end_call("a", tokens_until(None));
    assert_eq!(schedule.advance_until_called("a"), 420_000);
}

/// "backoff grows / capped / zero-safe"
#[test]
fn credentials_backoff_grows_to_its_cap_and_accepts_zero() {
    let kind = FailureKind::Unavailable;
    let retry = RetryPolicy { floor: Span::secs(5), most: Span::secs(600), slow: Span::secs(5) };
    let waits: Vec<u64> = (1..=12).map(|failures| retry.backoff(kind, failures, None, 0).as_millis()).collect();
    assert!(waits.is_sorted() && waits[11] == 600_000, "{waits:?}");
    assert_eq!(retry.backoff(kind, u32::MAX, None, 0), Span::secs(600));
    let zero = RetryPolicy { floor: Span::secs(0), most: Span::secs(0), slow: Span::secs(0) };
    assert!(zero.backoff(kind, 0, Some(Span::secs(0)), u16::MAX) > Span::secs(0));
}

/// "provider isolation", "coexistence with Kerberos manager and mutual failure isolation"
#[test]
fn credentials_that_always_fail_touch_no_others() {
    let mut schedule = TestSchedule::new([("oidc", plain_plan()), ("hadoop", plain_plan())]);
    schedule
        .answer_calls("oidc", |_, _| Some((Span::millis(5), deputy_test_support::failure(FailureKind::Unavailable))));
    schedule.answer_with_lifetime("hadoop", HOUR);
    schedule.fail_call("oidc", FailureKind::Unavailable);
    schedule.complete("hadoop", HOUR);
    schedule.advance(Span::secs(86_400));
    assert_eq!(schedule.calls_of("hadoop").len(), 33);
    assert!(schedule.calls_of("oidc").len() > 280, "nor does it give up");
}

/// "all fail throws". Deputy differs: it has no caller to throw to, and reports each failure.
#[test]
fn credentials_total_failure_reports_each_failure() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan())]);
    schedule.fail_call("a", FailureKind::Denied);
    schedule.fail_call("b", FailureKind::Denied);
    assert_eq!(schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Failed(..))).count(), 2);
}

/// "stop does not close providers, waits for the running renewal"
#[test]
fn credentials_stop_waits_for_a_running_call() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.answer_calls("a", |_, now| Some((Span::secs(20), tokens_for(now, HOUR))));
    schedule.complete("a", Span::secs(60));
    schedule.advance_until_called("a");
    schedule.handle(ScheduleEvent::Stop);
    schedule.advance(Span::secs(19));
    assert!(!schedule.machine.is_stopped());
    schedule.advance(Span::secs(1));
    assert!(schedule.machine.is_stopped());
    assert_eq!(schedule.published_revision("a"), Some(2));
}
