//! Start, stop, and what is under way in between.

use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{CallOutcome, InstancePlan, RevocationPolicy, ScheduleEvent, Switch};

use crate::HOUR;
use deputy_test_support::{Performed, TestSchedule, instance_name, plain_plan, plan_with, revoking_plan, tokens_for};

fn revoked_at_shutdown() -> InstancePlan {
    plan_with(|plan| {
        plan.component = revoking_plan().component;
        plan.policy.revoke = RevocationPolicy { shutdown: Switch::Revoke, ..RevocationPolicy::default() };
    })
}

/// `startShouldBeIdempotent`: the second listener is never called. (Released: `Manager is already started`.)
#[test]
fn session_started_twice_starts_once() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.reload();
    schedule.complete("a", HOUR);
    schedule.reload();
    assert_eq!((schedule.calls_of("a").len(), schedule.count(&Performed::Publish("a".to_owned(), 1))), (1, 1));
}

/// `startAfterCloseMustFail`. Deputy differs: it does not fail, and nothing comes of it; another process starts again.
#[test]
fn session_configured_after_its_stop_obtains_nothing() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.handle(ScheduleEvent::Stop);
    schedule.configure("a", plain_plan());
    schedule.advance(HOUR);
    assert!(schedule.calls_of("a").is_empty() && schedule.machine.is_stopped());
}

/// `closeShouldCloseProvidersExactlyOnce`: a component has nothing to close; what ends with the session are leases.
#[test]
fn session_stopped_twice_revokes_once() {
    let mut schedule = TestSchedule::new([("a", revoked_at_shutdown())]);
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Stop);
    schedule.handle(ScheduleEvent::Stop);
    schedule.end_call("a", CallOutcome::Revoked);
    schedule.handle(ScheduleEvent::Stop);
    assert_eq!(schedule.calls_of("a").iter().filter(|(_, word)| *word == "revoke").count(), 1);
    assert!(schedule.machine.is_stopped());
}

/// `closeShouldEndSessionAndUnregisterJobs`, `stopShouldUnregisterAllRegisteredJobs`.
/// Deputy differs: leases are given back at a stop only where that is configured, and kept for the next start elsewhere.
#[test]
fn session_stop_revokes_where_configured() {
    let mut schedule =
        TestSchedule::new([("a", revoked_at_shutdown()), ("b", revoked_at_shutdown()), ("kept", revoking_plan())]);
    for text in ["a", "b", "kept"] {
        schedule.complete(text, HOUR);
    }
    schedule.handle(ScheduleEvent::Stop);
    schedule.end_call("a", CallOutcome::Revoked);
    schedule.fail_call("b", FailureKind::Unavailable); // that one fails does not keep the others from it
    assert!(schedule.machine.is_stopped());
    assert_eq!(
        (schedule.published_revision("a"), schedule.published_revision("b"), schedule.published_revision("kept")),
        (None, None, Some(1))
    );
}

/// `stopShouldKeepProvidersUsableForSubsequentStart`, "restart after stop works", `startAfterStopMustResetRetryState`
#[test]
fn session_restart_forgets_failures() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    for _ in 0..6 {
        schedule.fail_call("a", FailureKind::Unavailable);
        schedule.advance_until_called("a");
    }
    schedule.fail_call("a", FailureKind::Unavailable);
    schedule.handle(ScheduleEvent::Stop);
    schedule.crash();
    assert!(
        schedule.advance_until_called("a") <= 1,
        "the budget begins with nothing, and brings a call in a millisecond"
    );
    schedule.fail_call("a", FailureKind::Unavailable);
    assert!(schedule.advance_until_called("a") <= 2000);
}

/// `ioShutdownMustNotScheduleAnotherRetry`, `stoppedSessionSchedulingRetryMustNotSubmitWork` (without restart)
#[test]
fn session_stop_cancels_retries() {
    let mut schedule = TestSchedule::new([("waits", plain_plan()), ("fails", plain_plan())]);
    schedule.fail_call("waits", FailureKind::Unavailable);
    schedule.handle(ScheduleEvent::Stop);
    schedule.fail_call("fails", FailureKind::Unavailable);
    schedule.advance(HOUR);
    assert_eq!((schedule.calls_of("waits").len(), schedule.calls_of("fails").len()), (1, 1));
    assert!(schedule.machine.is_stopped());
}

/// `stoppedSessionSchedulingRetryMustNotSubmitWork` (with restart): the next session makes its own calls, and no others.
#[test]
fn session_retry_has_no_effect_in_the_next_session() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.fail_call("a", FailureKind::Unavailable);
    schedule.handle(ScheduleEvent::Stop);
    schedule.crash();
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    schedule.log.clear();
    schedule.advance(Span::secs(2699));
    assert!(schedule.calls_of("a").is_empty());
}

/// `waitingCycleMustNotObtainAfterSessionEnds` (with and without restart)
#[test]
fn session_end_cancels_queued_calls() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.configuration.calls = 1;
    schedule.configure("hangs", plain_plan());
    schedule.configure("waits", plain_plan());
    schedule.handle(ScheduleEvent::Stop);
    schedule.complete("hangs", Span::secs(36_000));
    schedule.advance(HOUR);
    assert!(schedule.calls_of("waits").is_empty() && schedule.machine.is_stopped());
    schedule.crash();
    schedule.advance_until_called("waits");
    assert_eq!(schedule.calls_of("waits").len(), 1);
}

/// `inFlightCycleMustNotNotifyListenerAfterStop`. Deputy differs: what a call brings that was under way is saved and
/// given out, because the service has made it already; nothing new begins.
#[test]
fn session_stop_keeps_the_result_of_a_running_call() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.handle(ScheduleEvent::Stop);
    schedule.complete("a", HOUR);
    assert_eq!((schedule.published_revision("a"), schedule.machine.is_stopped()), (Some(1), true));
}

/// `inFlightCycleMustNotDeliverIntoTheNextSession`: the number of a call of another process is not known.
#[test]
fn session_result_is_not_delivered_into_the_next() {
    let mut schedule = TestSchedule::new([("other", plain_plan()), ("a", plain_plan())]);
    schedule.complete("other", HOUR);
    schedule.handle(ScheduleEvent::Renew(instance_name("other")));
    let old = schedule.call_id("other").unwrap();
    schedule.crash();
    schedule.advance_until_called("a");
    let outcome = tokens_for(schedule.now(), HOUR);
    schedule.handle(ScheduleEvent::Finished(old, outcome));
    assert_eq!(
        (schedule.published_revision("a"), schedule.published_revision("other"), schedule.call_kind("a")),
        (None, Some(1), "obtain")
    );
}
