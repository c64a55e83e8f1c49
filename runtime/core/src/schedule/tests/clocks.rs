use super::world::{World, file, lasting, name, plain, plan, revoking};
use crate::Span;
use crate::failure::FailureKind;
use crate::schedule::{
    Budget, CallOutcome, InstanceActivity, OperatorEvent, PreferredSource, Ratio, Readiness, ScheduleEvent,
};

const HOUR: Span = Span::secs(3600);
const HOUR_MS: i64 = 3_600_000;

#[test]
fn clock_set_back_makes_every_lease_due() {
    let mut world = World::new([("a", plain()), ("day", plain())]);
    world.jump(HOUR_MS);
    world.bring("a", HOUR);
    world.bring("day", Span::secs(86_400));
    world.pass(Span::secs(60));
    world.jump(-HOUR_MS);
    assert_eq!((world.word("a"), world.word("day")), ("obtain", "obtain"), "they may have ended an hour ago");
    assert_eq!(world.view("a").readiness, Readiness::Ready, "and are served until they are replaced");
    world.bring("a", HOUR);
    assert_eq!((world.revision("a"), world.until_called("a")), (Some(2), 2_700_000));
}

#[test]
fn clock_set_back_is_not_forgotten_by_a_reload() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.pass(Span::secs(60));
    world.configuration.default_budget = Budget { per_minute: 1, burst: 1 };
    world.reload();
    world.handle(ScheduleEvent::Renew(name("a")));
    world.bring("a", HOUR);
    world.jump(-HOUR_MS);
    assert_eq!(world.word("a"), "nothing", "it waits for the budget");
    world.plan("a", plan(|plan| plan.policy.ratio = Ratio::thousandths(900)));
    assert_eq!(world.until_called("a"), 60_000);
}

#[test]
fn clock_jump_lets_a_revocation_end_that_ends_just_then() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Renew(name("a")));
    world.bring("a", HOUR);
    world.until_called("a");
    assert_eq!(world.word("a"), "revoke");
    world.set(-HOUR_MS);
    world.end("a", CallOutcome::Revoked);
    assert_eq!((world.view("a").retired, world.word("a")), (0, "obtain"));
}

#[test]
fn clock_set_back_by_less_than_the_tolerance_is_drift() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.pass(Span::secs(600));
    world.jump(-1900);
    world.plan("a", plan(|plan| plan.policy.ratio = Ratio::thousandths(500)));
    assert_eq!(world.until_called("a"), 1_200_000, "no lease is young again, either");
}

#[test]
fn clock_set_back_while_a_lease_is_saved_makes_it_due() {
    let mut world = World::new([("a", plain())]);
    world.saves = super::world::Saves::Hold;
    world.bring("a", HOUR);
    world.jump(-HOUR_MS);
    world.release();
    assert_eq!((world.revision("a"), world.word("a")), (Some(1), "obtain"));
}

#[test]
fn clock_set_back_does_not_hurry_a_failed_instance_or_a_file() {
    let mut world = World::new([("a", plain()), ("f", plan(|plan| plan.policy.prefer = PreferredSource::File))]);
    world.bring("f", HOUR);
    let found = file("x", world.now().wall, Span::secs(86_400));
    world.handle(ScheduleEvent::FileObserved(name("f"), found));
    world.bring("a", HOUR);
    world.until_called("a");
    world.fail("a", FailureKind::Denied);
    world.jump(-HOUR_MS);
    assert_eq!((world.word("a"), world.word("f")), ("nothing", "nothing"));
    assert_eq!(world.view("a").doing, InstanceActivity::Retrying);
}

#[test]
fn clock_restored_lease_from_the_future_is_due() {
    for (ahead, word) in [(3_600_000, "obtain"), (1000, "nothing")] {
        let mut world = World::new([("a", plain())]);
        world.jump(HOUR_MS);
        world.bring("a", HOUR);
        // The clock is right again before the next process starts, so that none sees the jump.
        world.set(-ahead);
        world.crash();
        world.pass(Span::secs(1));
        assert_eq!((world.revision("a"), world.word("a")), (Some(1), word), "{ahead} ms");
    }
}

#[test]
fn a_clock_that_is_set_forward_has_everything_due_done_at_once() {
    let mut world = World::new([("a", plain()), ("b", plain())]);
    world.bring("a", HOUR);
    world.bring("b", Span::secs(86_400));
    world.jump(2 * HOUR_MS);
    assert_eq!((world.word("a"), world.word("b")), ("obtain", "nothing"));
    assert!(world.notices().any(|notice| matches!(notice, OperatorEvent::Expired(..))));
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
            OperatorEvent::ClockJumped(by) => Some(*by),
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
fn clock_ahead_makes_expiries_lie_in_the_past_and_no_hot_loop() {
    let mut world = World::new([("a", plain())]);
    // The service lives two hours behind.
    world.serve("a", |_, now| {
        let until = now.wall.minus(HOUR);
        Some((Span::millis(50), super::world::until(Some(until))))
    });
    world.end("a", super::world::until(Some(world.now().wall.minus(HOUR))));
    world.pass(Span::secs(10 * 3600));
    let calls = world.called("a").len();
    assert!((120..=250).contains(&calls), "{calls} in ten hours, five minutes apart at most");
    assert_eq!(world.view("a").readiness, Readiness::Missing, "what has ended is not given out");
    assert!(world.view("a").trouble.is_some_and(|trouble| trouble.message.contains("compare this machine's clock")));
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
