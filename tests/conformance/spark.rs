//! Spark's `HadoopDelegationTokenManagerSuite`, `NonKerberosCredentialsSuite`, and what its users found.

use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{CallOutcome, LeaseOrigin, PreferredSource, Readiness, ScheduleEvent};

use crate::HOUR;
use deputy_test_support::{TestSchedule, file_payload, instance_name, plain_plan, plan_with, tokens_until};

/// "start sends UpdateDelegationTokens"
#[test]
fn spark_start_obtains_and_distributes() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_revision("a"), Some(1));
}

/// "not-required not called". Deputy differs: the component itself says so, and is asked again after a while.
#[test]
fn spark_obtains_nothing_that_is_not_required() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", CallOutcome::NotRequired);
    assert_eq!((schedule.snapshot("a").readiness, schedule.published.len()), (Readiness::NotNeeded, 0));
    assert_eq!(schedule.advance_until_called("a"), 600_000);
}

/// "failure does not stop others", "throwing provider skipped"
#[test]
fn spark_failure_does_not_stop_others() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan()), ("c", plain_plan())]);
    schedule.fail_call("b", FailureKind::Internal);
    schedule.complete("a", HOUR);
    schedule.complete("c", HOUR);
    assert_eq!(
        (schedule.published_revision("a"), schedule.published_revision("b"), schedule.published_revision("c")),
        (Some(1), None, Some(1))
    );
}

/// "all fail -> nothing sent", and a retry. Spark's wait is an hour.
#[test]
fn spark_total_failure_publishes_nothing_and_retries_all() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan())]);
    schedule.fail_call("a", FailureKind::Unavailable);
    schedule.fail_call("b", FailureKind::Unavailable);
    assert!(schedule.published.is_empty() && schedule.disk.is_empty());
    schedule.advance(Span::secs(2));
    assert_eq!((schedule.call_kind("a"), schedule.call_kind("b")), ("obtain", "obtain"));
}

/// "partial without expiry is sent"
#[test]
fn spark_tokens_without_expiry_survive_others_failures() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan())]);
    schedule.fail_call("a", FailureKind::Unavailable);
    schedule.end_call("b", tokens_until(None));
    assert_eq!(schedule.published_revision("b"), Some(1));
}

/// SPARK-37787: all providers return `None`, and the renewal is scheduled in 1921535501304.2 hours.
/// Deputy differs: an hour is assumed, or what is configured.
#[test]
fn spark_tokens_without_expiry_are_still_renewed() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan())]);
    schedule.end_call("a", tokens_until(None));
    schedule.end_call("b", tokens_until(None));
    schedule.advance(HOUR);
    assert_eq!((schedule.calls_of("a").len(), schedule.calls_of("b").len()), (2, 2));
}

/// "disable hadoopfs", per-service disable: what is no longer enabled is no longer obtained.
#[test]
fn spark_disabled_provider_is_not_called() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.remove("a");
    schedule.advance(HOUR);
    assert_eq!(schedule.calls_of("a").len(), 1);
    assert!(!schedule.published.contains_key(&instance_name("a")));
}

/// SPARK-29082: no failure where there are no credentials.
#[test]
fn spark_empty_configuration_is_valid() {
    let mut schedule = TestSchedule::new([]);
    schedule.advance(HOUR);
    assert!(schedule.log.is_empty());
    schedule.handle(ScheduleEvent::Stop);
    assert!(schedule.machine.is_stopped());
}

/// SPARK-23361: after a restart of the application master, expired tokens were handed on.
#[test]
fn spark_restart_publishes_no_expired_lease() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Stop);
    schedule.advance(HOUR);
    schedule.crash();
    assert!(schedule.published.is_empty());
    schedule.advance_until_called("a");
}

/// `HADOOP_TOKEN_FILE_LOCATION`: Spark obtains no token for a service that is in the file already. Flink overwrites it.
/// Deputy differs: the configuration says which source wins.
#[test]
fn spark_preferred_file_prevents_a_call() {
    for (prefer, origin) in
        [(PreferredSource::File, LeaseOrigin::File), (PreferredSource::Component, LeaseOrigin::Component)]
    {
        let mut schedule = TestSchedule::unconfigured(1);
        let found = file_payload("tokens", schedule.now().wall, HOUR);
        schedule.handle(ScheduleEvent::FileObserved(instance_name("a"), found));
        schedule.answer_with_lifetime("a", HOUR);
        schedule.configure("a", plan_with(|plan| plan.policy.prefer = prefer));
        schedule.advance(Span::secs(60));
        assert_eq!(schedule.published[&instance_name("a")].origin, origin, "{prefer:?}");
    }
}
