//! Start, stop, and what is under way in between.

use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{CallOutcome, InstancePlan, RevocationPolicy, ScheduleEvent, Switch};

use crate::HOUR;
use crate::world::{Did, World, lasting, name, plain, plan, revoking};

fn revoked_at_shutdown() -> InstancePlan {
    plan(|plan| {
        plan.component = revoking().component;
        plan.policy.revoke = RevocationPolicy { shutdown: Switch::Revoke, ..RevocationPolicy::default() };
    })
}

/// `startShouldBeIdempotent`: the second listener is never called. (Released: `Manager is already started`.)
#[test]
fn session_started_twice_starts_once() {
    let mut world = World::new([("a", plain())]);
    world.reload();
    world.bring("a", HOUR);
    world.reload();
    assert_eq!((world.called("a").len(), world.did(&Did::Publish("a".to_owned(), 1))), (1, 1));
}

/// `startAfterCloseMustFail`. Deputy differs: it does not fail, and nothing comes of it; another process starts anew.
#[test]
fn session_configured_after_its_stop_obtains_nothing() {
    let mut world = World::silent(1);
    world.handle(ScheduleEvent::Stop);
    world.plan("a", plain());
    world.pass(HOUR);
    assert!(world.called("a").is_empty() && world.schedule.is_stopped());
}

/// `closeShouldCloseProvidersExactlyOnce`: a component has nothing to close; what ends with the session are leases.
#[test]
fn session_stopped_twice_revokes_once() {
    let mut world = World::new([("a", revoked_at_shutdown())]);
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Stop);
    world.handle(ScheduleEvent::Stop);
    world.end("a", CallOutcome::Revoked);
    world.handle(ScheduleEvent::Stop);
    assert_eq!(world.called("a").iter().filter(|(_, word)| *word == "revoke").count(), 1);
    assert!(world.schedule.is_stopped());
}

/// `closeShouldEndSessionAndUnregisterJobs`, `stopShouldUnregisterAllRegisteredJobs`.
/// Deputy differs: leases are given back at a stop only where that is configured, and kept for the next start elsewhere.
#[test]
fn session_stop_revokes_where_configured() {
    let mut world = World::new([("a", revoked_at_shutdown()), ("b", revoked_at_shutdown()), ("kept", revoking())]);
    for text in ["a", "b", "kept"] {
        world.bring(text, HOUR);
    }
    world.handle(ScheduleEvent::Stop);
    world.end("a", CallOutcome::Revoked);
    world.fail("b", FailureKind::Unavailable); // that one fails does not keep the others from it
    assert!(world.schedule.is_stopped());
    assert_eq!((world.revision("a"), world.revision("b"), world.revision("kept")), (None, None, Some(1)));
}

/// `stopShouldKeepProvidersUsableForSubsequentStart`, "restart after stop works", `startAfterStopMustResetRetryState`
#[test]
fn session_restart_forgets_failures() {
    let mut world = World::new([("a", plain())]);
    for _ in 0..6 {
        world.fail("a", FailureKind::Unavailable);
        world.until_called("a");
    }
    world.fail("a", FailureKind::Unavailable);
    world.handle(ScheduleEvent::Stop);
    world.crash();
    assert!(world.until_called("a") <= 1, "the budget begins with nothing, and brings a call in a millisecond");
    world.fail("a", FailureKind::Unavailable);
    assert!(world.until_called("a") <= 2000);
}

/// `ioShutdownMustNotScheduleAnotherRetry`, `stoppedSessionSchedulingRetryMustNotSubmitWork` (without restart)
#[test]
fn session_stop_cancels_retries() {
    let mut world = World::new([("waits", plain()), ("fails", plain())]);
    world.fail("waits", FailureKind::Unavailable);
    world.handle(ScheduleEvent::Stop);
    world.fail("fails", FailureKind::Unavailable);
    world.pass(HOUR);
    assert_eq!((world.called("waits").len(), world.called("fails").len()), (1, 1));
    assert!(world.schedule.is_stopped());
}

/// `stoppedSessionSchedulingRetryMustNotSubmitWork` (with restart): the next session makes its own calls, and no others.
#[test]
fn session_retry_has_no_effect_in_the_next_session() {
    let mut world = World::new([("a", plain())]);
    world.fail("a", FailureKind::Unavailable);
    world.handle(ScheduleEvent::Stop);
    world.crash();
    world.until_called("a");
    world.bring("a", HOUR);
    world.log.clear();
    world.pass(Span::secs(2699));
    assert!(world.called("a").is_empty());
}

/// `waitingCycleMustNotObtainAfterSessionEnds` (with and without restart)
#[test]
fn session_end_cancels_queued_calls() {
    let mut world = World::silent(1);
    world.configuration.calls = 1;
    world.plan("hangs", plain());
    world.plan("waits", plain());
    world.handle(ScheduleEvent::Stop);
    world.bring("hangs", Span::secs(36_000));
    world.pass(HOUR);
    assert!(world.called("waits").is_empty() && world.schedule.is_stopped());
    world.crash();
    world.until_called("waits");
    assert_eq!(world.called("waits").len(), 1);
}

/// `inFlightCycleMustNotNotifyListenerAfterStop`. Deputy differs: what a call brings that was under way is saved and
/// given out, because the service has made it already; nothing new begins.
#[test]
fn session_stop_keeps_the_result_of_a_running_call() {
    let mut world = World::new([("a", plain())]);
    world.handle(ScheduleEvent::Stop);
    world.bring("a", HOUR);
    assert_eq!((world.revision("a"), world.schedule.is_stopped()), (Some(1), true));
}

/// `inFlightCycleMustNotDeliverIntoTheNextSession`: the number of a call of another process is not known.
#[test]
fn session_result_is_not_delivered_into_the_next() {
    let mut world = World::new([("other", plain()), ("a", plain())]);
    world.bring("other", HOUR);
    world.handle(ScheduleEvent::Renew(name("other")));
    let old = world.call("other").unwrap();
    world.crash();
    world.until_called("a");
    let outcome = lasting(world.now(), HOUR);
    world.handle(ScheduleEvent::Finished(old, outcome));
    assert_eq!((world.revision("a"), world.revision("other"), world.word("a")), (None, Some(1), "obtain"));
}
