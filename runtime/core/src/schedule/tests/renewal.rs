use super::world::{World, lasting, plain, plan, renewing};
use crate::failure::FailureKind;
use crate::schedule::{CallOutcome, OperatorEvent, OptionalExports, ProviderCall, Ratio};
use crate::{Span, Timestamp};

const HOUR: Span = Span::secs(3600);

#[test]
fn a_lease_is_replaced_after_the_ratio_of_its_life() {
    for (ratio, seconds) in [(750, 2700), (500, 1800), (1000, 3600)] {
        let mut world = World::new([("a", plan(|plan| plan.policy.ratio = Ratio::thousandths(ratio)))]);
        world.bring("a", HOUR);
        assert_eq!(world.until_called("a"), seconds * 1000, "ratio {ratio}");
    }
}

#[test]
fn jitter_brings_a_renewal_forward_by_up_to_its_share_and_never_back() {
    let mut waits = Vec::new();
    for seed in 0..200 {
        let mut world = World::silent(seed);
        world.plan("a", plan(|plan| plan.policy.jitter = Ratio::thousandths(100)));
        world.bring("a", HOUR);
        waits.push(world.until_called("a"));
    }
    waits.sort_unstable();
    let (least, most) = (waits[0], waits[waits.len() - 1]);
    assert!((2_430_000..2_460_000).contains(&least), "{least}");
    assert!((2_670_000..=2_700_000).contains(&most), "{most}");
}

#[test]
fn life_is_counted_from_the_beginning_of_the_call() {
    let mut world = World::new([("a", plain())]);
    world.pass(Span::secs(100));
    let until = world.now().wall.plus(Span::secs(900));
    world.end("a", super::world::until(Some(until)));
    assert_eq!(world.view("a").lease.unwrap().obtained_at, Timestamp::from_millis(until.as_millis() - 1_000_000));
    assert_eq!(world.until_called("a"), 650_000);
}

#[test]
fn a_component_that_renews_is_asked_to_renew() {
    let mut world = World::new([("a", renewing())]);
    assert_eq!(world.word("a"), "obtain");
    world.bring("a", HOUR);
    world.until_called("a");
    assert!(matches!(world.work("a"), Some(ProviderCall::Renew(lease)) if lease.revision.0 == 1));
    world.bring("a", HOUR);
    assert_eq!(world.revision("a"), Some(2));
}

#[test]
fn a_component_that_does_not_renew_is_asked_to_obtain() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.until_called("a");
    assert_eq!(world.word("a"), "obtain");
}

#[test]
fn a_lease_that_reached_its_maximum_lifetime_is_obtained_anew() {
    let mut world = World::new([(
        "a",
        plan(|plan| {
            plan.component = Some(OptionalExports { renews: true, revokes: false });
            plan.policy.max_lifetime = Some(Span::secs(2 * 3600));
        }),
    )]);
    let mut words = Vec::new();
    for _ in 0..6 {
        words.push(world.word("a"));
        world.bring("a", HOUR);
        world.until_called("a");
    }
    // 0:00 until 1:00, 0:45 until 1:45, 1:30 until 2:30: now it lives to the end of what can be renewed.
    assert_eq!(words, ["obtain", "renew", "renew", "obtain", "renew", "renew"]);
}

#[test]
fn a_renewal_that_gains_nothing_is_followed_by_an_obtain() {
    let mut world = World::new([("a", renewing())]);
    world.bring("a", HOUR);
    let ends = world.view("a").lease.unwrap().valid_until;
    world.until_called("a");
    assert_eq!(world.word("a"), "renew");
    world.end("a", super::world::until(Some(ends)));
    assert_eq!(world.revision("a"), Some(2), "it may be another payload");
    assert_eq!(world.until_called("a"), 1000, "the floor");
    assert_eq!(world.word("a"), "obtain");
    world.bring("a", HOUR);
    world.until_called("a");
    assert_eq!(world.word("a"), "renew", "the new lease can be renewed again");
}

#[test]
fn a_renewal_that_is_denied_or_breaks_is_followed_by_an_obtain() {
    for kind in [
        FailureKind::Denied,
        FailureKind::Misconfigured,
        FailureKind::Broken,
        FailureKind::Refused,
        FailureKind::Internal,
    ] {
        let mut world = World::new([("a", renewing())]);
        world.bring("a", HOUR);
        world.until_called("a");
        world.fail("a", kind);
        assert_eq!((world.until_called("a"), world.word("a")), (1000, "obtain"), "{kind}");
    }
}

#[test]
fn renewal_out_of_time_is_tried_again_before_an_obtain() {
    let mut world = World::new([("a", renewing())]);
    for _ in 0..2 {
        let (begun, life) = (world.word("a"), HOUR);
        world.bring("a", life);
        world.until_called("a");
        assert_eq!((begun, world.word("a")), ("obtain", "renew"));
        world.fail("a", FailureKind::OverLimit);
        world.until_called("a");
        assert_eq!(world.word("a"), "renew", "the service may have been slow for once");
        world.fail("a", FailureKind::OverLimit);
        assert_eq!((world.until_called("a"), world.word("a")), (1000, "obtain"));
    }
}

#[test]
fn a_renewal_that_finds_nobody_is_tried_as_a_renewal_again() {
    for kind in [FailureKind::Unavailable, FailureKind::Throttled(Span::secs(5))] {
        let mut world = World::new([("a", renewing())]);
        world.bring("a", HOUR);
        world.until_called("a");
        world.fail("a", kind);
        world.until_called("a");
        assert_eq!(world.word("a"), "renew", "{kind}");
    }
}

#[test]
fn a_lease_that_ended_is_obtained_and_not_renewed() {
    let mut world = World::new([("a", renewing())]);
    world.bring("a", HOUR);
    world.serve("a", |work, now| match work {
        ProviderCall::Renew(_) => {
            Some((Span::millis(0), CallOutcome::Failed(FailureKind::Unavailable, "no".to_owned())))
        }
        _ => Some((Span::millis(0), lasting(now, HOUR))),
    });
    world.pass(Span::secs(3700));
    assert_eq!(world.called("a").last().map(|(_, word)| *word), Some("obtain"));
    assert_eq!(world.revision("a"), Some(2));
    let expired = world.notices().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count();
    assert_eq!(expired, 1, "its end is told, and once");
}

#[test]
fn a_renewed_lease_remembers_when_the_first_was_obtained() {
    let mut world = World::new([("a", renewing())]);
    world.bring("a", HOUR);
    let first = world.view("a").lease.unwrap().clone();
    world.until_called("a");
    world.bring("a", HOUR);
    let second = world.view("a").lease.unwrap();
    assert_eq!(second.issued_at, first.issued_at);
    assert!(second.obtained_at > first.obtained_at);
}

#[test]
fn an_operator_who_wishes_another_lease_gets_it_now_and_not_the_old_one_for_longer() {
    let mut world = World::new([("a", renewing())]);
    world.bring("a", HOUR);
    world.handle(crate::schedule::ScheduleEvent::Renew(super::world::name("a")));
    assert_eq!(world.word("a"), "obtain");
    assert_eq!(world.revision("a"), Some(1), "the old one stays until then");
    world.bring("a", HOUR);
    assert_eq!(world.revision("a"), Some(2));
}

#[test]
fn a_wish_during_a_renewal_is_followed_by_an_obtain() {
    let mut world = World::new([("a", renewing())]);
    world.bring("a", HOUR);
    world.until_called("a");
    world.handle(crate::schedule::ScheduleEvent::Renew(super::world::name("a")));
    assert_eq!(world.word("a"), "renew", "it is called already");
    world.bring("a", HOUR);
    assert_eq!(world.word("a"), "obtain");
}

#[test]
fn wishes_during_an_obtain_are_one() {
    let mut world = World::new([("a", plain())]);
    for _ in 0..3 {
        world.handle(crate::schedule::ScheduleEvent::Renew(super::world::name("a")));
    }
    world.bring("a", HOUR);
    assert_eq!((world.called("a").len(), world.word("a")), (1, "nothing"));
}
