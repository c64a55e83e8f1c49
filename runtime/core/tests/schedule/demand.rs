use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, InstanceActivity, InstancePlan, ObtainMode, OptionalExports, Readiness, RevocationPolicy,
    ScheduleEvent,
};
use deputy_test_support::{Performed, TestSchedule, instance_name, plan_with, revoking_plan};

const GRACE: Span = Span::secs(600);

fn on_demand(change: impl FnOnce(&mut InstancePlan)) -> InstancePlan {
    plan_with(|plan| {
        plan.policy.mode = ObtainMode::OnDemand(GRACE);
        change(plan);
    })
}

fn used_by(users: u32) -> ScheduleEvent {
    ScheduleEvent::Used(instance_name("a"), users)
}

fn schedule() -> TestSchedule {
    TestSchedule::new([(
        "a",
        on_demand(|plan| plan.component = Some(OptionalExports { renews: false, revokes: true })),
    )])
}

#[test]
fn demand_first_request_obtains_the_lease() {
    let mut schedule = schedule();
    schedule.advance(Span::secs(86_400));
    assert!(schedule.log.is_empty());
    assert_eq!(
        (schedule.snapshot("a").activity, schedule.snapshot("a").readiness),
        (InstanceActivity::Unused, Readiness::NotNeeded)
    );
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.complete("a", Span::secs(3600));
    assert_eq!(schedule.published_revision("a"), Some(1));
}

#[test]
fn demand_request_for_a_held_lease_makes_no_call() {
    let mut schedule = schedule();
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    schedule.complete("a", Span::secs(3600));
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("a")));
    assert_eq!(schedule.calls_of("a").len(), 1);
}

#[test]
fn demand_lease_in_use_is_kept_and_renewed() {
    let mut schedule = schedule();
    schedule.answer_with_lifetime("a", Span::secs(3600));
    schedule.handle(ScheduleEvent::Used(instance_name("a"), 2));
    schedule.advance(Span::secs(86_400));
    assert_eq!(schedule.calls_of("a").iter().filter(|(_, word)| *word == "obtain").count(), 33);
    assert_eq!((schedule.snapshot("a").users, schedule.snapshot("a").readiness), (2, Readiness::Ready));
}

#[test]
fn demand_unused_lease_is_revoked_after_the_grace() {
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
fn demand_unused_lease_is_left_to_expire_where_configured() {
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
fn demand_request_after_the_drop_obtains_a_new_lease() {
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
fn demand_lease_is_kept_for_a_user_that_returns_in_the_grace() {
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
fn demand_request_is_served_by_a_call_longer_than_the_grace() {
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
fn demand_request_stays_queued_for_longer_than_the_grace() {
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
fn demand_failure_without_users_is_not_retried() {
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
fn demand_request_does_not_shorten_the_retry_delay() {
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
fn demand_lease_has_a_grace_for_its_users_after_a_restart() {
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
fn demand_mode_changes_keep_the_lease_or_obtain_one() {
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
fn demand_report_of_zero_users_is_no_use() {
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
fn demand_request_for_an_unknown_instance_is_ignored() {
    let mut schedule = schedule();
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("unknown")));
    schedule.handle(ScheduleEvent::Used(instance_name("unknown"), 3));
    assert!(schedule.log.is_empty());
}

#[test]
fn demand_new_user_has_a_component_asked_that_needed_nothing() {
    let grace = Span::secs(60);
    let plan = on_demand(|plan| plan.policy.mode = ObtainMode::OnDemand(grace));
    let mut schedule = TestSchedule::new([("a", plan)]);
    schedule.handle(used_by(1));
    schedule.end_call("a", CallOutcome::NotRequired);
    schedule.handle(used_by(0));
    schedule.handle(used_by(1));
    assert_eq!(schedule.call_kind("a"), "nothing", "it was in use all the time, and asked a moment ago");
    schedule.handle(used_by(0));
    schedule.advance(grace);
    schedule.handle(used_by(1));
    assert_eq!(schedule.call_kind("a"), "obtain");
}
