use super::world::{World, lasting, name, plain, plan};
use crate::Span;
use crate::schedule::{Budget, Notice, Ratio, Readiness};

const HOUR: Span = Span::secs(3600);
const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_clock_that_is_set_back_delays_no_renewal() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.jump(-HOUR_MS);
    assert_eq!(world.until_called("a"), 2_700_000);
    assert_eq!(world.view("a").readiness, Readiness::Ready);
}

#[test]
fn a_clock_that_is_set_back_makes_no_lease_young_again_at_a_reload() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.pass(Span::secs(600));
    world.jump(-HOUR_MS);
    world.plan("a", plan(|plan| plan.policy.ratio = Ratio::thousandths(500)));
    assert_eq!(world.until_called("a"), 1_200_000);
}

#[test]
fn a_clock_that_is_set_forward_has_everything_due_done_at_once() {
    let mut world = World::new([("a", plain()), ("b", plain())]);
    world.bring("a", HOUR);
    world.bring("b", Span::secs(86_400));
    world.jump(2 * HOUR_MS);
    assert_eq!((world.word("a"), world.word("b")), ("obtain", "nothing"));
    assert!(world.notices().any(|notice| matches!(notice, Notice::Expired(..))));
}

#[test]
fn a_jump_is_told_with_its_size_and_drift_is_not() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    for drift in [1, -500, 1999, -1999] {
        world.jump(drift);
    }
    assert_eq!(world.notices().count(), 0);
    world.jump(-HOUR_MS);
    world.jump(2 * HOUR_MS);
    let told: Vec<i64> = world
        .notices()
        .filter_map(|notice| match notice {
            Notice::ClockJumped(by) => Some(*by),
            _ => None,
        })
        .collect();
    assert_eq!(told, [-HOUR_MS, 2 * HOUR_MS]);
}

#[test]
fn a_machine_that_slept_does_what_was_due_although_its_timers_stood_still() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.pass(Span::secs(60));
    world.jump(8 * HOUR_MS); // the clock on the wall went on, the other did not
    assert_eq!(world.word("a"), "obtain");
    world.bring("a", HOUR);
    assert_eq!((world.revision("a"), world.until_called("a")), (Some(2), 2_700_000));
}

#[test]
fn a_jump_makes_no_storm() {
    let mut world = World::silent(1);
    world.configuration.default_budget = Budget { per_minute: 600, burst: 20 };
    for n in 0..300 {
        let text = format!("a{n}");
        world.configuration.plans.insert(name(&text), plain());
        world.serve(&text, |_, now| Some((Span::millis(100), lasting(now, HOUR))));
    }
    world.reload();
    world.pass(Span::secs(60));
    assert_eq!(world.published.len(), 300);
    world.log.clear();
    world.jump(2 * HOUR_MS);
    let calls = |world: &World| (0..300).map(|n| world.called(&format!("a{n}")).len()).sum::<usize>();
    assert!(calls(&world) <= 20);
    world.pass(Span::secs(60));
    assert_eq!(calls(&world), 300, "one for each");
}

#[test]
fn a_jump_during_a_call_does_not_change_how_old_the_lease_is() {
    for jump in [-HOUR_MS, 2 * HOUR_MS] {
        let mut world = World::new([("a", plain())]);
        world.pass(Span::secs(10));
        world.jump(jump);
        world.bring("a", HOUR);
        let lease = world.view("a").lease.unwrap();
        assert_eq!(world.now().wall.since(lease.obtained_at), Span::secs(10));
        assert_eq!(world.until_called("a"), 2_707_500 - 10_000, "three quarters of its 3,610 seconds");
    }
}

#[test]
fn with_a_clock_that_is_ahead_every_expiry_lies_in_the_past_and_there_is_no_hot_loop() {
    let mut world = World::new([("a", plain())]);
    // The service lives two hours behind.
    world.serve("a", |_, now| {
        let until = now.wall.minus(HOUR);
        Some((Span::millis(50), super::world::until(Some(until))))
    });
    world.end("a", super::world::until(Some(world.now().wall.minus(HOUR))));
    world.pass(Span::secs(10 * 3600));
    let calls = world.called("a").len();
    assert!((12..=15).contains(&calls), "{calls} in ten hours, of an hour each");
    assert_eq!(world.view("a").readiness, Readiness::Ready);
}

#[test]
fn a_clock_that_swings_makes_no_storm() {
    let mut world = World::new([("a", plain())]);
    world.serve_for("a", HOUR);
    world.bring("a", HOUR);
    for _ in 0..100 {
        world.jump(2 * HOUR_MS);
        world.pass(Span::secs(2));
        world.jump(-2 * HOUR_MS);
        world.pass(Span::secs(2));
    }
    let calls = world.called("a").len();
    assert!(calls <= 201, "{calls}: no more than one for each jump");
}
