//! Spacing: Flink's cooldown between requested cycles is one number for all. Deputy has budgets, by upstream.

use deputy_core::Span;
use deputy_core::schedule::{Budget, ObtainMode, ScheduleEvent};

use crate::HOUR;
use crate::world::{World, name, plain, plan, upstream};

/// A cooldown of 60 s, as a budget: one call a minute, and none saved up.
const COOLDOWN: Budget = Budget { per_minute: 1, burst: 1 };

fn spaced() -> World {
    let mut world = World::silent(1);
    world.configuration.default_budget = COOLDOWN;
    world.plan("a", plain());
    world.bring("a", Span::secs(86_400));
    world
}

fn wish(world: &mut World) {
    world.handle(ScheduleEvent::Renew(name("a")));
}

/// `reobtainShouldRespectCooldown`: a request 10 s after the cycle before is carried out 50 s later.
#[test]
fn cooldown_delays_a_request_within_the_minute() {
    let mut world = spaced();
    world.pass(Span::secs(10));
    wish(&mut world);
    assert_eq!(world.until_called("a"), 50_000);
}

/// `reobtainShouldRunImmediatelyAfterCooldownWindowElapses`
#[test]
fn cooldown_ends_after_a_minute() {
    let mut world = spaced();
    world.pass(Span::secs(60));
    wish(&mut world);
    assert_eq!(world.word("a"), "obtain");
}

/// `cooldownMustSpaceObtainCycleExecutionsNotRequests`: what is asked and not done costs nothing.
#[test]
fn calls_are_spaced_and_not_requests() {
    let mut world = spaced();
    for _ in 0..59 {
        wish(&mut world);
        world.pass(Span::secs(1));
    }
    assert_eq!(world.until_called("a"), 1000);
    world.bring("a", Span::secs(86_400));
    wish(&mut world);
    assert_eq!(world.until_called("a"), 60_000);
}

/// `delayedReobtainMustAnchorCooldownAtCycleStart`, `reobtainDuringObtainMustUseActualCycleStart`,
/// `broughtForwardReobtainMustMoveCooldownAnchor`, `failedBringForwardMustPreservePreviousCooldownAnchor`: what counts is
/// when a call really began, not when it was asked for or ended.
#[test]
fn cooldown_counts_from_the_start_of_the_call() {
    let mut world = spaced();
    world.pass(Span::secs(10));
    wish(&mut world);
    world.until_called("a"); // at 60 s
    world.pass(Span::secs(40)); // it takes that long
    world.bring("a", Span::secs(86_400));
    wish(&mut world);
    assert_eq!(world.until_called("a"), 20_000);
}

/// `queuedRenewalServingDemandMustAnchorCooldownAtCycleStart`
#[test]
fn cooldown_of_a_queued_call_counts_from_its_start() {
    let mut world = spaced();
    world.pass(Span::secs(120));
    world.configuration.calls = 1;
    world.configuration.plans.insert(name("hangs"), plan(|plan| plan.upstream = upstream("other")));
    world.reload();
    wish(&mut world);
    world.pass(Span::secs(30));
    world.bring("hangs", Span::secs(86_400));
    assert_eq!(world.word("a"), "obtain", "at 150 s");
    world.bring("a", Span::secs(86_400));
    wish(&mut world);
    assert_eq!(world.until_called("a"), 60_000);
}

/// `periodicRenewalWithoutDemandMustNotMoveCooldownAnchor`. Deputy differs: the service counts every call, and so does
/// the budget.
#[test]
fn cooldown_counts_scheduled_renewals() {
    let mut world = World::silent(1);
    world.configuration.default_budget = COOLDOWN;
    world.plan("a", plain());
    world.bring("a", Span::secs(100));
    world.until_called("a");
    world.bring("a", Span::secs(86_400));
    wish(&mut world);
    assert_eq!(world.until_called("a"), 60_000);
}

/// `cooldownMustBeImmuneToWallClockJumps`: by -1 h and by +2 h.
#[test]
fn cooldown_ignores_wall_clock_jumps() {
    for jump in [-3_600_000, 7_200_000] {
        let mut world = spaced();
        world.pass(Span::secs(10));
        world.jump(jump);
        wish(&mut world);
        assert_eq!(world.until_called("a"), 50_000, "by {jump} ms");
    }
}

/// `stopShouldResetCooldownForSubsequentStart`. Deputy differs: the service does not forget what a process did that is
/// gone. A budget begins with nothing.
#[test]
fn another_process_may_not_call_sooner_than_the_one_before_it() {
    let mut world = spaced();
    world.handle(ScheduleEvent::Stop);
    world.crash();
    wish(&mut world);
    assert_eq!(world.until_called("a"), 60_000);
}

/// Two upstreams have two budgets; Flink's cooldown is the manager's. (PR 28639 has no test for it.)
#[test]
fn cooldown_is_per_upstream() {
    let mut world = spaced();
    world.plan(
        "b",
        plan(|plan| {
            plan.upstream = upstream("other");
            plan.policy.mode = ObtainMode::OnDemand(HOUR);
        }),
    );
    world.handle(ScheduleEvent::LeaseRequested(name("b")));
    assert_eq!(world.word("b"), "obtain");
}
