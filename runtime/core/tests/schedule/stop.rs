use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{CallOutcome, ScheduleEvent};
use deputy_test_support::{
    Performed, SaveMode, TestSchedule, instance_name, plain_plan, renewing_plan, revoking_plan, tokens_for,
};

const HOUR: Span = Span::secs(3600);

#[test]
fn stop_who_has_nothing_under_way_is_stopped_at_once() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    assert!(!schedule.machine.is_stopped());
    schedule.handle(ScheduleEvent::Stop);
    assert!(schedule.machine.is_stopped());
    assert_eq!(schedule.machine.wake_at(schedule.now()), None);
    assert_eq!(schedule.published_revision("a"), Some(1), "what is held stays good");
}

#[test]
fn stop_what_a_call_under_way_brings_is_kept() {
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
fn stop_call_under_way_that_fails_is_not_tried_again() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.handle(ScheduleEvent::Stop);
    schedule.fail_call("a", FailureKind::Unavailable);
    assert!(schedule.machine.is_stopped());
    schedule.advance(Span::secs(3600));
    assert_eq!(schedule.calls_of("a").len(), 1);
}

#[test]
fn nothing_new_begins() {
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
fn stop_what_is_being_saved_is_saved_first() {
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
fn a_replaced_lease_whose_time_comes_is_revoked_after_the_next_start() {
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
fn what_left_is_revoked_before_the_stop_because_nobody_could_later() {
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
fn actions_that_nobody_took_yet_belong_to_what_is_under_way() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    let call = schedule.call_id("a").unwrap();
    schedule.handle(ScheduleEvent::Stop);
    let now = schedule.now();
    schedule.machine.handle(now, ScheduleEvent::Finished(call, tokens_for(now, HOUR)));
    assert!(!schedule.machine.is_stopped());
}
