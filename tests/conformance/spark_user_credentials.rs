//! Spark's `UserCredentialManagerSuite` (SPARK-57703, unreleased).

use deputy_core::Span;
use deputy_core::failure::{FailureKind, FailureRecord};
use deputy_core::retry::RetryPolicy;
use deputy_core::schedule::{OperatorEvent, ScheduleEvent};

use crate::HOUR;
use crate::world::{World, file, lasting, name, plain, plan, until};

/// "start acquires and calls back", "rotation gives version 1, 2", "monotonic versions"
#[test]
fn credentials_version_grows_with_each_rotation() {
    let mut world = World::new([("a", plain())]);
    for version in 1..=5 {
        world.bring("a", HOUR);
        assert_eq!(world.revision("a"), Some(version));
        world.until_called("a");
    }
}

/// "fail-fast on empty token", "missing file". Deputy differs: who starts first and who is there a minute later is not
/// for an operator to arrange; it is tried again, and told.
#[test]
fn credentials_missing_at_start_are_retried_and_reported() {
    let mut world = World::new([("file", plan(|plan| plan.component = None)), ("component", plain())]);
    world.handle(ScheduleEvent::FileObserved(name("file"), None));
    world.fail("component", FailureKind::Misconfigured);
    assert_eq!(world.notices().filter(|notice| matches!(notice, OperatorEvent::Failed(..))).count(), 1);
    world.handle(ScheduleEvent::FileObserved(name("file"), file("identity", world.now().wall, HOUR)));
    world.until_called("component");
    world.bring("component", HOUR);
    assert_eq!(world.published.len(), 2);
}

/// "properties applied once, not overwritten, not on renewal" has no meaning here; that an identity token is read again
/// when it rotates has.
#[test]
fn credentials_rotated_by_a_file_are_published() {
    let mut world = World::new([("a", plan(|plan| plan.component = None))]);
    for version in 1..=3 {
        let found = file(&format!("identity {version}"), world.now().wall, HOUR);
        world.handle(ScheduleEvent::FileObserved(name("a"), found));
        assert_eq!(world.revision("a"), Some(version));
        world.pass(Span::secs(1800));
    }
}

/// "delay with margin / min interval". Deputy differs: a ratio, not a margin; the floor is the least interval.
#[test]
fn credentials_that_expire_at_once_respect_the_interval() {
    let retry = RetryPolicy { floor: Span::secs(30), ..RetryPolicy::default() };
    let mut world = World::new([("a", plan(|plan| plan.policy.retry = retry))]);
    world.bring("a", Span::secs(1));
    assert_eq!(world.until_called("a"), 30_000);
}

/// "no credential expiry / none -> 420000 ms": seven minutes there. Deputy differs: three quarters of what is configured
/// or, if nothing is, of an hour.
#[test]
fn where_no_expiry_is_known_there_is_a_delay_all_the_same() {
    let mut world = World::new([("a", plan(|plan| plan.policy.lifetime = Some(Span::secs(560))))]);
    world.end("a", until(None));
    assert_eq!(world.until_called("a"), 420_000);
}

/// "backoff grows / capped / zero-safe"
#[test]
fn credentials_backoff_grows_to_its_cap_and_accepts_zero() {
    let trouble =
        FailureRecord { kind: FailureKind::Unavailable, message: String::new(), at: World::silent(1).now().wall };
    let retry = RetryPolicy { floor: Span::secs(5), most: Span::secs(600), slow: Span::secs(5) };
    let waits: Vec<u64> = (1..=12).map(|failures| retry.delay(trouble.kind, failures, None, 0).as_millis()).collect();
    assert!(waits.is_sorted() && waits[11] == 600_000, "{waits:?}");
    assert_eq!(retry.delay(trouble.kind, u32::MAX, None, 0), Span::secs(600));
    let zero = RetryPolicy { floor: Span::secs(0), most: Span::secs(0), slow: Span::secs(0) };
    assert!(zero.delay(trouble.kind, 0, Some(Span::secs(0)), u16::MAX) > Span::secs(0));
}

/// "provider isolation", "coexistence with Kerberos manager and mutual failure isolation"
#[test]
fn credentials_that_always_fail_touch_no_others() {
    let mut world = World::new([("oidc", plain()), ("hadoop", plain())]);
    world.serve("oidc", |_, _| Some((Span::millis(5), crate::world::failed(FailureKind::Unavailable))));
    world.serve_for("hadoop", HOUR);
    world.fail("oidc", FailureKind::Unavailable);
    world.bring("hadoop", HOUR);
    world.pass(Span::secs(86_400));
    assert_eq!(world.called("hadoop").len(), 33);
    assert!(world.called("oidc").len() > 280, "nor does it give up");
}

/// "all fail throws". Deputy differs: nobody is there to catch it; each failure is told.
#[test]
fn where_all_fail_each_failure_is_told() {
    let mut world = World::new([("a", plain()), ("b", plain())]);
    world.fail("a", FailureKind::Denied);
    world.fail("b", FailureKind::Denied);
    assert_eq!(world.notices().filter(|notice| matches!(notice, OperatorEvent::Failed(..))).count(), 2);
}

/// "stop does not close providers, waits for the running renewal"
#[test]
fn credentials_stop_waits_for_a_running_call() {
    let mut world = World::new([("a", plain())]);
    world.serve("a", |_, now| Some((Span::secs(20), lasting(now, HOUR))));
    world.bring("a", Span::secs(60));
    world.until_called("a");
    world.handle(ScheduleEvent::Stop);
    world.pass(Span::secs(19));
    assert!(!world.schedule.is_stopped());
    world.pass(Span::secs(1));
    assert!(world.schedule.is_stopped());
    assert_eq!(world.revision("a"), Some(2));
}
