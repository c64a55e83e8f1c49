use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{CallOutcome, ScheduleEvent};
use deputy_test_support::{
    Performed, SaveMode, TestSchedule, instance_name, plain_plan, renewing_plan, revoking_plan, tokens_for,
};

const HOUR: Span = Span::secs(3600);

#[test]
fn stop_is_immediate_without_running_calls() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    assert!(!schedule.machine.is_stopped());
    schedule.handle(ScheduleEvent::Stop);
    assert!(schedule.machine.is_stopped());
    assert_eq!(schedule.machine.wake_at(schedule.now()), None);
    assert_eq!(schedule.published_revision("a"), Some(1), "what is held stays good");
}

#[test]
fn stop_keeps_the_tokens_of_a_running_call() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.handle(ScheduleEvent::Stop);
    assert!(!schedule.machine.is_stopped());
    schedule.complete("a", HOUR);
    assert!(schedule.machine.is_stopped());
    assert!(schedule.disk[&instance_name("a")].lease.is_some());
    schedule.crash();
    assert_eq!((schedule.published_revision("a"), schedule.call_kind("a")), (Some(1), "nothing"));
}

#[test]
fn stop_does_not_retry_a_call_that_fails() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.handle(ScheduleEvent::Stop);
    schedule.fail_call("a", FailureKind::Unavailable);
    assert!(schedule.machine.is_stopped());
    schedule.advance(Span::secs(3600));
    assert_eq!(schedule.calls_of("a").len(), 1);
}

#[test]
fn stop_starts_no_new_calls() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.configuration.calls = 1;
    for (text, plan) in [("a", plain_plan()), ("b", plain_plan()), ("held", renewing_plan())] {
        schedule.configuration.plans.insert(instance_name(text), plan);
    }
    schedule.reload();
    schedule.complete("a", HOUR);
    schedule.complete("b", Span::secs(60));
    schedule.complete("held", Span::secs(60));
    schedule.advance(Span::secs(50));
    let calls = schedule.log.iter().filter(|(_, did)| matches!(did, Performed::Call(..))).count();
    schedule.handle(ScheduleEvent::Stop);
    schedule.fail_call(if schedule.call_kind("b") == "nothing" { "held" } else { "b" }, FailureKind::Unavailable);
    for event in [
        ScheduleEvent::Renew(instance_name("a")),
        ScheduleEvent::LeaseRequested(instance_name("a")),
        ScheduleEvent::Used(instance_name("a"), 1),
        ScheduleEvent::TimerFired,
    ] {
        schedule.handle(event);
    }
    schedule.configure("new", plain_plan());
    schedule.advance(HOUR);
    assert_eq!(schedule.log.iter().filter(|(_, did)| matches!(did, Performed::Call(..))).count(), calls);
    assert!(schedule.machine.is_stopped());
}

#[test]
fn stop_waits_for_saves() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.saves = SaveMode::Fail;
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Stop);
    schedule.advance(Span::secs(60));
    assert!(!schedule.machine.is_stopped());
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(15));
    assert!(schedule.machine.is_stopped());
    assert!(schedule.disk.contains_key(&instance_name("a")));
}

#[test]
fn stop_leaves_due_revocations_for_the_next_start() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Stop);
    schedule.advance(Span::secs(400));
    assert!(schedule.machine.is_stopped());
    assert_eq!(schedule.call_kind("a"), "nothing");
    schedule.crash();
    schedule.advance_until_called("a");
    assert_eq!(schedule.call_kind("a"), "revoke");
}

#[test]
fn stop_revokes_leases_of_removed_instances_first() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.saves = SaveMode::Hold;
    schedule.remove("a");
    schedule.handle(ScheduleEvent::Stop);
    schedule.release_saves();
    assert_eq!((schedule.call_kind("a"), schedule.machine.is_stopped()), ("revoke", false));
    schedule.end_call("a", CallOutcome::Revoked);
    assert!(schedule.machine.is_stopped() && schedule.disk.is_empty());
}

#[test]
fn stop_waits_for_actions_not_yet_taken() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    let call = schedule.call_id("a").unwrap();
    schedule.handle(ScheduleEvent::Stop);
    let now = schedule.now();
    schedule.machine.handle(now, ScheduleEvent::Finished(call, tokens_for(now, HOUR)));
    assert!(!schedule.machine.is_stopped());
}
