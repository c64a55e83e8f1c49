use super::world::{Did, World, name, plan, revoking};
use crate::Span;
use crate::failure::FailureKind;
use crate::schedule::{
    InstanceActivity, InstancePlan, ObtainMode, OptionalExports, Readiness, RevocationPolicy, ScheduleEvent,
};

const GRACE: Span = Span::secs(600);

fn on_demand(change: impl FnOnce(&mut InstancePlan)) -> InstancePlan {
    plan(|plan| {
        plan.policy.mode = ObtainMode::OnDemand(GRACE);
        change(plan);
    })
}

fn world() -> World {
    World::new([("a", on_demand(|plan| plan.component = Some(OptionalExports { renews: false, revokes: true })))])
}

#[test]
fn an_instance_on_demand_is_obtained_when_first_asked_for() {
    let mut world = world();
    world.pass(Span::secs(86_400));
    assert!(world.log.is_empty());
    assert_eq!((world.view("a").doing, world.view("a").readiness), (InstanceActivity::Unused, Readiness::NotNeeded));
    world.handle(ScheduleEvent::LeaseRequested(name("a")));
    assert_eq!(world.word("a"), "obtain");
    world.bring("a", Span::secs(3600));
    assert_eq!(world.revision("a"), Some(1));
}

#[test]
fn asking_again_while_it_is_held_calls_nobody() {
    let mut world = world();
    world.handle(ScheduleEvent::LeaseRequested(name("a")));
    world.handle(ScheduleEvent::LeaseRequested(name("a")));
    world.bring("a", Span::secs(3600));
    world.handle(ScheduleEvent::LeaseRequested(name("a")));
    assert_eq!(world.called("a").len(), 1);
}

#[test]
fn it_is_kept_and_renewed_while_somebody_uses_it() {
    let mut world = world();
    world.serve_for("a", Span::secs(3600));
    world.handle(ScheduleEvent::Used(name("a"), 2));
    world.pass(Span::secs(86_400));
    assert_eq!(world.called("a").iter().filter(|(_, word)| *word == "obtain").count(), 33);
    assert_eq!((world.view("a").users, world.view("a").readiness), (2, Readiness::Ready));
}

#[test]
fn it_is_dropped_and_revoked_after_the_grace_when_nobody_uses_it() {
    let mut world = world();
    world.handle(ScheduleEvent::Used(name("a"), 1));
    world.bring("a", Span::secs(3600));
    world.pass(Span::secs(60));
    world.handle(ScheduleEvent::Used(name("a"), 0));
    world.pass(Span::secs(599));
    assert_eq!(world.revision("a"), Some(1));
    world.pass(Span::secs(1));
    assert_eq!((world.revision("a"), world.word("a")), (None, "revoke"));
    assert_eq!(world.view("a").readiness, Readiness::NotNeeded);
}

#[test]
fn it_is_left_to_expire_where_replaced_leases_are() {
    let mut world = World::new([(
        "a",
        on_demand(|plan| {
            plan.component = revoking().component;
            plan.policy.revoke = RevocationPolicy { replaced: None, ..RevocationPolicy::default() };
        }),
    )]);
    world.handle(ScheduleEvent::LeaseRequested(name("a")));
    world.bring("a", Span::secs(3600));
    world.pass(Span::secs(700));
    assert_eq!((world.revision("a"), world.called("a").len()), (None, 1));
}

#[test]
fn what_was_dropped_is_obtained_when_asked_for_again() {
    let mut world = world();
    world.serve_for("a", Span::secs(36_000));
    for round in 1..=3 {
        world.handle(ScheduleEvent::LeaseRequested(name("a")));
        world.pass(Span::secs(1));
        assert_eq!(world.revision("a"), Some(round), "at once, and with a greater number");
        world.pass(Span::secs(700));
        assert_eq!(world.revision("a"), None);
    }
}

#[test]
fn who_comes_back_within_the_grace_finds_it_untouched() {
    let mut world = world();
    world.handle(ScheduleEvent::Used(name("a"), 1));
    world.bring("a", Span::secs(36_000));
    for _ in 0..5 {
        world.handle(ScheduleEvent::Used(name("a"), 0));
        world.pass(Span::secs(500));
        world.handle(ScheduleEvent::Used(name("a"), 1));
        world.pass(Span::secs(500));
    }
    assert_eq!((world.revision("a"), world.called("a").len()), (Some(1), 1));
}

#[test]
fn who_asked_gets_it_even_if_the_call_takes_longer_than_the_grace() {
    let mut world = world();
    world.handle(ScheduleEvent::LeaseRequested(name("a")));
    world.pass(Span::secs(900));
    world.bring("a", Span::secs(36_000));
    assert_eq!(world.revision("a"), Some(1));
    world.pass(Span::secs(599));
    assert_eq!(world.revision("a"), Some(1));
    world.pass(Span::secs(1));
    assert_eq!(world.revision("a"), None);
}

#[test]
fn who_asked_keeps_the_place_in_the_queue_even_if_it_is_longer_than_the_grace() {
    let mut world = world();
    world.configuration.calls = 1;
    world.configuration.plans.insert(name("hangs"), plan(|_| {}));
    world.reload();
    world.handle(ScheduleEvent::LeaseRequested(name("a")));
    world.pass(Span::secs(3600));
    assert_eq!(world.word("a"), "nothing");
    world.bring("hangs", Span::secs(36_000));
    assert_eq!(world.word("a"), "obtain");
}

#[test]
fn failures_of_what_nobody_uses_any_longer_are_not_tried_again() {
    let mut world = world();
    world.handle(ScheduleEvent::LeaseRequested(name("a")));
    world.serve("a", |_, _| Some((Span::millis(0), super::world::failed(FailureKind::Unavailable))));
    world.fail("a", FailureKind::Unavailable);
    world.pass(GRACE);
    let calls = world.called("a").len();
    assert!(calls > 5);
    world.pass(Span::secs(86_400));
    assert_eq!(world.called("a").len(), calls);
}

#[test]
fn asking_does_not_shorten_the_delay_after_a_failure() {
    let mut world = world();
    world.handle(ScheduleEvent::LeaseRequested(name("a")));
    world.fail("a", FailureKind::Denied);
    for _ in 0..10 {
        world.pass(Span::secs(5));
        world.handle(ScheduleEvent::LeaseRequested(name("a")));
    }
    assert_eq!(world.called("a").len(), 1);
}

#[test]
fn after_a_restart_what_was_held_on_demand_has_a_grace_for_its_users_to_come_back() {
    let mut world = world();
    world.handle(ScheduleEvent::Used(name("a"), 1));
    world.bring("a", Span::secs(36_000));
    world.crash();
    assert_eq!(world.revision("a"), Some(1));
    world.pass(Span::secs(599));
    assert_eq!((world.revision("a"), world.word("a")), (Some(1), "nothing"));
    world.pass(Span::secs(2));
    assert_eq!((world.revision("a"), world.word("a")), (None, "revoke"));
    assert_eq!(world.did(&Did::Withdraw("a".to_owned())), 1);
}

#[test]
fn an_instance_that_becomes_on_demand_is_kept_for_a_grace_and_one_that_becomes_always_is_obtained() {
    let mut world = World::new([("a", plan(|_| {}))]);
    world.bring("a", Span::secs(36_000));
    world.plan("a", on_demand(|_| {}));
    world.pass(Span::secs(599));
    assert_eq!(world.revision("a"), Some(1));
    world.pass(Span::secs(2));
    assert_eq!(world.revision("a"), None);
    world.plan("a", plan(|_| {}));
    assert_eq!(world.word("a"), "obtain");
}

#[test]
fn that_nobody_uses_it_is_no_use() {
    let mut world = world();
    for _ in 0..3 {
        world.handle(ScheduleEvent::Used(name("a"), 0));
    }
    assert!(world.log.is_empty());
    world.handle(ScheduleEvent::LeaseRequested(name("a")));
    world.bring("a", Span::secs(36_000));
    world.pass(Span::secs(300));
    world.handle(ScheduleEvent::Used(name("a"), 0));
    world.pass(Span::secs(300));
    assert_eq!(world.revision("a"), None, "nor does it make the grace longer");
}

#[test]
fn asking_for_what_is_not_configured_does_nothing() {
    let mut world = world();
    world.handle(ScheduleEvent::LeaseRequested(name("nobody")));
    world.handle(ScheduleEvent::Used(name("nobody"), 3));
    assert!(world.log.is_empty());
}
