//! Spark's `HadoopDelegationTokenManagerSuite`, `NonKerberosCredentialsSuite`, and what its users found.

use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{CallOutcome, LeaseOrigin, PreferredSource, Readiness, ScheduleEvent};

use crate::HOUR;
use crate::world::{World, file, name, plain, plan, until};

/// "start sends UpdateDelegationTokens"
#[test]
fn spark_start_obtains_and_distributes() {
    let mut world = World::new([("a", plain())]);
    assert_eq!(world.word("a"), "obtain");
    world.bring("a", HOUR);
    assert_eq!(world.revision("a"), Some(1));
}

/// "not-required not called". Deputy differs: the component itself says so, and is asked again after a while.
#[test]
fn spark_obtains_nothing_that_is_not_required() {
    let mut world = World::new([("a", plain())]);
    world.end("a", CallOutcome::NotRequired);
    assert_eq!((world.view("a").readiness, world.published.len()), (Readiness::NotNeeded, 0));
    assert_eq!(world.until_called("a"), 600_000);
}

/// "failure does not stop others", "throwing provider skipped"
#[test]
fn spark_failure_does_not_stop_others() {
    let mut world = World::new([("a", plain()), ("b", plain()), ("c", plain())]);
    world.fail("b", FailureKind::Internal);
    world.bring("a", HOUR);
    world.bring("c", HOUR);
    assert_eq!((world.revision("a"), world.revision("b"), world.revision("c")), (Some(1), None, Some(1)));
}

/// "all fail -> nothing sent", and a retry. Spark's wait is an hour.
#[test]
fn where_all_fail_nothing_is_given_out_and_all_are_tried_again() {
    let mut world = World::new([("a", plain()), ("b", plain())]);
    world.fail("a", FailureKind::Unavailable);
    world.fail("b", FailureKind::Unavailable);
    assert!(world.published.is_empty() && world.disk.is_empty());
    world.pass(Span::secs(2));
    assert_eq!((world.word("a"), world.word("b")), ("obtain", "obtain"));
}

/// "partial without expiry is sent"
#[test]
fn spark_tokens_without_expiry_survive_others_failures() {
    let mut world = World::new([("a", plain()), ("b", plain())]);
    world.fail("a", FailureKind::Unavailable);
    world.end("b", until(None));
    assert_eq!(world.revision("b"), Some(1));
}

/// SPARK-37787: all providers return `None`, and the renewal is scheduled in 1921535501304.2 hours.
/// Deputy differs: an hour is assumed, or what is configured.
#[test]
fn where_nobody_says_when_it_is_renewed_all_the_same() {
    let mut world = World::new([("a", plain()), ("b", plain())]);
    world.end("a", until(None));
    world.end("b", until(None));
    world.pass(HOUR);
    assert_eq!((world.called("a").len(), world.called("b").len()), (2, 2));
}

/// "disable hadoopfs", per-service disable: what is no longer enabled is no longer obtained.
#[test]
fn spark_disabled_provider_is_not_called() {
    let mut world = World::new([("a", plain()), ("b", plain())]);
    world.bring("a", HOUR);
    world.remove("a");
    world.pass(HOUR);
    assert_eq!(world.called("a").len(), 1);
    assert!(!world.published.contains_key(&name("a")));
}

/// SPARK-29082: no failure where there are no credentials.
#[test]
fn spark_empty_configuration_is_valid() {
    let mut world = World::new([]);
    world.pass(HOUR);
    assert!(world.log.is_empty());
    world.handle(ScheduleEvent::Stop);
    assert!(world.schedule.is_stopped());
}

/// SPARK-23361: after a restart of the application master, expired tokens were handed on.
#[test]
fn spark_restart_publishes_no_expired_lease() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Stop);
    world.pass(HOUR);
    world.crash();
    assert!(world.published.is_empty());
    world.until_called("a");
}

/// `HADOOP_TOKEN_FILE_LOCATION`: Spark obtains no token for a service that is in the file already. Flink overwrites it.
/// Deputy differs: the operator says who wins.
#[test]
fn spark_preferred_file_prevents_a_call() {
    for (prefer, origin) in
        [(PreferredSource::File, LeaseOrigin::File), (PreferredSource::Component, LeaseOrigin::Component)]
    {
        let mut world = World::silent(1);
        let found = file("tokens", world.now().wall, HOUR);
        world.handle(ScheduleEvent::FileObserved(name("a"), found));
        world.serve_for("a", HOUR);
        world.plan("a", plan(|plan| plan.policy.prefer = prefer));
        world.pass(Span::secs(60));
        assert_eq!(world.published[&name("a")].origin, origin, "{prefer:?}");
    }
}
