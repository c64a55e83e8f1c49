use super::world::{World, plain, plan, renewing, until};
use crate::failure::FailureKind;
use crate::schedule::{InstanceActivity, OperatorEvent, ProviderCall, Readiness};
use crate::{Span, Timestamp};

const HOUR: Span = Span::secs(3600);

fn capped(life: Span) -> World {
    World::new([("a", plan(|plan| plan.policy.lifetime = Some(life)))])
}

fn assumed(world: &World) -> usize {
    world.notices().filter(|notice| matches!(notice, OperatorEvent::ExpiryAssumed(..))).count()
}

#[test]
fn where_the_service_gives_no_expiry_the_configured_lifetime_holds() {
    let mut world = capped(Span::secs(900));
    world.end("a", until(None));
    assert_eq!(world.until_called("a"), 675_000);
    assert_eq!(assumed(&world), 1, "and it is told");
}

#[test]
fn where_nobody_gives_an_expiry_an_hour_is_assumed() {
    let mut world = World::new([("a", plain())]);
    world.end("a", until(None));
    assert_eq!(world.until_called("a"), 2_700_000);
}

#[test]
fn an_expiry_in_the_past_counts_as_none() {
    for ago in [0, 1, 1000, 86_400_000] {
        let mut world = capped(Span::secs(900));
        let past = world.now().wall.minus(Span::millis(ago));
        world.end("a", until(Some(past)));
        assert!(
            matches!(world.notices().next(), Some(OperatorEvent::ExpiryAssumed(_, told, _)) if *told == Some(past))
        );
        assert_eq!(world.until_called("a"), 675_000, "{ago} ms ago");
    }
}

#[test]
fn expiry_in_the_past_is_a_failed_obtain_without_a_lifetime() {
    for ago in [0, 1, 86_400_000] {
        let mut world = World::new([("a", plain())]);
        let past = world.now().wall.minus(Span::millis(ago));
        world.end("a", until(Some(past)));
        let view = world.view("a");
        assert_eq!(
            (view.readiness, view.doing, view.failures),
            (Readiness::Missing, InstanceActivity::Retrying, 1),
            "{ago} ms ago"
        );
        let trouble = view.trouble.unwrap();
        assert_eq!(trouble.kind, FailureKind::Broken);
        assert!(trouble.message.contains(&past.to_string()) && trouble.message.contains("`lifetime`"), "{trouble:?}");
        assert!(world.published.is_empty() && world.disk.is_empty());
        assert!(world.until_called("a") <= 2000, "and is tried again like any other");
    }
}

#[test]
fn expiry_in_the_past_of_a_renewal_keeps_the_lease_and_obtains() {
    let mut world = World::new([("a", renewing())]);
    world.bring("a", HOUR);
    world.until_called("a");
    assert_eq!(world.word("a"), "renew");
    let now = world.now().wall;
    world.end("a", until(Some(now)));
    assert_eq!((world.revision("a"), world.view("a").readiness), (Some(1), Readiness::Ready));
    world.until_called("a");
    assert_eq!(world.word("a"), "obtain");
}

#[test]
fn a_service_that_always_says_the_past_is_asked_at_the_pace_of_the_lifetime() {
    for told in [Some(Timestamp::from_millis(0)), None] {
        let mut world = capped(Span::secs(60));
        world.serve("a", move |_, _| Some((Span::millis(20), until(told))));
        world.end("a", until(told));
        world.pass(HOUR);
        let calls = world.called("a").len();
        assert!((75..=81).contains(&calls), "{calls} calls in an hour, of about 80");
    }
}

#[test]
fn the_lifetime_caps_what_the_service_says() {
    let mut world = capped(Span::secs(8));
    world.bring("a", HOUR);
    let lease = world.view("a").lease.unwrap();
    assert_eq!(lease.valid_until.since(lease.obtained_at), Span::secs(8));
    assert_eq!(world.until_called("a"), 6000);
    assert_eq!(assumed(&world), 0);
}

#[test]
fn a_lifetime_that_is_longer_than_what_the_service_says_changes_nothing() {
    let mut world = capped(HOUR);
    world.bring("a", Span::secs(60));
    assert_eq!(world.until_called("a"), 45_000);
}

#[test]
fn the_lifetime_caps_a_renewal_as_well() {
    let mut world = World::new([(
        "a",
        plan(|plan| {
            plan.component = renewing().component;
            plan.policy.lifetime = Some(Span::secs(8));
        }),
    )]);
    for _ in 0..5 {
        world.bring("a", HOUR);
        assert_eq!(world.until_called("a"), 6000);
        assert!(matches!(world.work("a"), Some(ProviderCall::Renew(_))));
    }
}

#[test]
fn a_life_of_a_moment_is_no_hot_loop() {
    let mut world = World::new([("a", plain())]);
    world.serve("a", |_, now| Some((Span::millis(0), until(Some(now.wall.plus(Span::millis(1)))))));
    world.end("a", until(None));
    world.handle(crate::schedule::ScheduleEvent::Renew(super::world::name("a")));
    world.pass(Span::secs(60));
    let calls = world.called("a").len();
    assert!((55..=62).contains(&calls), "{calls} calls in a minute, one for each floor");
}

#[test]
fn a_call_that_takes_longer_than_the_lifetime_is_no_hot_loop() {
    let mut world = capped(Span::secs(2));
    world.serve("a", |_, now| Some((Span::secs(3), until(Some(now.wall.plus(HOUR))))));
    world.bring("a", HOUR);
    world.pass(Span::secs(400));
    let calls = world.called("a").len();
    assert!((90..=110).contains(&calls), "{calls}: three seconds for the call and one for the floor");
}

#[test]
fn a_service_that_says_for_ever_is_asked_again_all_the_same() {
    for told in [u64::MAX, i64::MAX as u64] {
        let mut world = World::new([("a", plain())]);
        world.end("a", until(Some(Timestamp::from_millis(told))));
        let days = world.until_called("a") / 86_400_000;
        assert_eq!(days, 274, "three quarters of 366 days");
    }
}
