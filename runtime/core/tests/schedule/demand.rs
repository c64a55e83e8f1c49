use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    InstanceActivity, InstancePlan, ObtainMode, OptionalExports, Readiness, RevocationPolicy, ScheduleEvent,
};
use deputy_test_support::{Performed, TestSchedule, instance_name, plan_with, revoking_plan};

const GRACE: Span = Span::secs(600);

fn on_demand(change: impl FnOnce(&mut InstancePlan)) -> InstancePlan {
    plan_with(|plan| {
        plan.policy.mode = ObtainMode::OnDemand(GRACE);
        change(plan);
    })
}

fn schedule() -> TestSchedule {
    TestSchedule::new([(
        "a",
        on_demand(|plan| plan.component = Some(OptionalExports { renews: false, revokes: true })),
    )])
}

#[test]
fn demand_instance_on_demand_is_obtained_when_first_asked_for() {
    let mut schedule = schedule();
    schedule.advance(Span::secs(86_400));
    assert!(schedule.log.is_empty());
    assert_eq!(
        (schedule.snapshot("a").doing, schedule.snapshot("a").readiness),
        (InstanceActivity::Unused, Readiness::NotNeeded)
    );
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.complete("a", Span::secs(3600));
    assert_eq!(schedule.published_revision("a"), Some(1));
}

#[test]
fn asking_again_while_it_is_held_calls_nobody() {
    let mut schedule = schedule();
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    schedule.complete("a", Span::secs(3600));
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    assert_eq!(schedule.calls_of("a").len(), 1);
}

#[test]
fn demand_it_is_kept_and_renewed_while_somebody_uses_it() {
    let mut schedule = schedule();
    schedule.answer_with_lifetime("a", Span::secs(3600));
    schedule.handle(ScheduleEvent::Used(instance_name("a"), 2));
    schedule.advance(Span::secs(86_400));
    assert_eq!(schedule.calls_of("a").iter().filter(|(_, word)| *word == "obtain").count(), 33);
    assert_eq!((schedule.snapshot("a").users, schedule.snapshot("a").readiness), (2, Readiness::Ready));
}

#[test]
fn it_is_dropped_and_revoked_after_the_grace_when_nobody_uses_it() {
    let mut schedule = schedule();
    schedule.handle(ScheduleEvent::Used(instance_name("a"), 1));
    schedule.complete("a", Span::secs(3600));
    schedule.advance(Span::secs(60));
    schedule.handle(ScheduleEvent::Used(instance_name("a"), 0));
    schedule.advance(Span::secs(599));
    assert_eq!(schedule.published_revision("a"), Some(1));
    schedule.advance(Span::secs(1));
    assert_eq!((schedule.published_revision("a"), schedule.call_kind("a")), (None, "revoke"));
    assert_eq!(schedule.snapshot("a").readiness, Readiness::NotNeeded);
}

#[test]
fn demand_it_is_left_to_expire_where_replaced_leases_are() {
    let mut schedule = TestSchedule::new([(
        "a",
        on_demand(|plan| {
            plan.component = revoking_plan().component;
            plan.policy.revoke = RevocationPolicy { replaced: None, ..RevocationPolicy::default() };
        }),
    )]);
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    schedule.complete("a", Span::secs(3600));
    schedule.advance(Span::secs(700));
    assert_eq!((schedule.published_revision("a"), schedule.calls_of("a").len()), (None, 1));
}

#[test]
fn demand_what_was_dropped_is_obtained_when_asked_for_again() {
    let mut schedule = schedule();
    schedule.answer_with_lifetime("a", Span::secs(36_000));
    for round in 1..=3 {
        schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
        schedule.advance(Span::secs(1));
        assert_eq!(schedule.published_revision("a"), Some(round), "at once, and with a greater number");
        schedule.advance(Span::secs(700));
        assert_eq!(schedule.published_revision("a"), None);
    }
}

#[test]
fn demand_who_comes_back_within_the_grace_finds_it_untouched() {
    let mut schedule = schedule();
    schedule.handle(ScheduleEvent::Used(instance_name("a"), 1));
    schedule.complete("a", Span::secs(36_000));
    for _ in 0..5 {
        schedule.handle(ScheduleEvent::Used(instance_name("a"), 0));
        schedule.advance(Span::secs(500));
        schedule.handle(ScheduleEvent::Used(instance_name("a"), 1));
        schedule.advance(Span::secs(500));
    }
    assert_eq!((schedule.published_revision("a"), schedule.calls_of("a").len()), (Some(1), 1));
}

#[test]
fn who_asked_gets_it_even_if_the_call_takes_longer_than_the_grace() {
    let mut schedule = schedule();
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    schedule.advance(Span::secs(900));
    schedule.complete("a", Span::secs(36_000));
    assert_eq!(schedule.published_revision("a"), Some(1));
    schedule.advance(Span::secs(599));
    assert_eq!(schedule.published_revision("a"), Some(1));
    schedule.advance(Span::secs(1));
    assert_eq!(schedule.published_revision("a"), None);
}

#[test]
fn who_asked_keeps_the_place_in_the_queue_even_if_it_is_longer_than_the_grace() {
    let mut schedule = schedule();
    schedule.configuration.calls = 1;
    schedule.configuration.plans.insert(instance_name("hangs"), plan_with(|_| {}));
    schedule.reload();
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    schedule.advance(Span::secs(3600));
    assert_eq!(schedule.call_kind("a"), "nothing");
    schedule.complete("hangs", Span::secs(36_000));
    assert_eq!(schedule.call_kind("a"), "obtain");
}

#[test]
fn failures_of_what_nobody_uses_any_longer_are_not_tried_again() {
    let mut schedule = schedule();
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    schedule.answer_calls("a", |_, _| Some((Span::millis(0), deputy_test_support::failure(FailureKind::Unavailable))));
    schedule.fail_call("a", FailureKind::Unavailable);
    schedule.advance(GRACE);
    let calls = schedule.calls_of("a").len();
    assert!(calls > 5);
    schedule.advance(Span::secs(86_400));
    assert_eq!(schedule.calls_of("a").len(), calls);
}

#[test]
fn asking_does_not_shorten_the_delay_after_a_failure() {
    let mut schedule = schedule();
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    schedule.fail_call("a", FailureKind::Denied);
    for _ in 0..10 {
        schedule.advance(Span::secs(5));
        schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    }
    assert_eq!(schedule.calls_of("a").len(), 1);
}

#[test]
fn after_a_restart_what_was_held_on_demand_has_a_grace_for_its_users_to_come_back() {
    let mut schedule = schedule();
    schedule.handle(ScheduleEvent::Used(instance_name("a"), 1));
    schedule.complete("a", Span::secs(36_000));
    schedule.crash();
    assert_eq!(schedule.published_revision("a"), Some(1));
    schedule.advance(Span::secs(599));
    assert_eq!((schedule.published_revision("a"), schedule.call_kind("a")), (Some(1), "nothing"));
    schedule.advance(Span::secs(2));
    assert_eq!((schedule.published_revision("a"), schedule.call_kind("a")), (None, "revoke"));
    assert_eq!(schedule.count(&Performed::Withdraw("a".to_owned())), 1);
}

#[test]
fn an_instance_that_becomes_on_demand_is_kept_for_a_grace_and_one_that_becomes_always_is_obtained() {
    let mut schedule = TestSchedule::new([("a", plan_with(|_| {}))]);
    schedule.complete("a", Span::secs(36_000));
    schedule.configure("a", on_demand(|_| {}));
    schedule.advance(Span::secs(599));
    assert_eq!(schedule.published_revision("a"), Some(1));
    schedule.advance(Span::secs(2));
    assert_eq!(schedule.published_revision("a"), None);
    schedule.configure("a", plan_with(|_| {}));
    assert_eq!(schedule.call_kind("a"), "obtain");
}

#[test]
fn demand_that_nobody_uses_it_is_no_use() {
    let mut schedule = schedule();
    for _ in 0..3 {
        schedule.handle(ScheduleEvent::Used(instance_name("a"), 0));
    }
    assert!(schedule.log.is_empty());
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    schedule.complete("a", Span::secs(36_000));
    schedule.advance(Span::secs(300));
    schedule.handle(ScheduleEvent::Used(instance_name("a"), 0));
    schedule.advance(Span::secs(300));
    assert_eq!(schedule.published_revision("a"), None, "nor does it make the grace longer");
}

#[test]
fn asking_for_what_is_not_configured_does_nothing() {
    let mut schedule = schedule();
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("nobody")));
    schedule.handle(ScheduleEvent::Used(instance_name("nobody"), 3));
    assert!(schedule.log.is_empty());
}
