//! Spacing: Flink's cooldown between requested cycles is one number for all. Deputy has budgets, by upstream.

use deputy_core::Span;
use deputy_core::schedule::{Budget, ObtainMode, ScheduleEvent};

use crate::HOUR;
use deputy_test_support::{TestSchedule, instance_name, plain_plan, plan_with, upstream_name};

/// A cooldown of 60 s, as a budget: one call a minute, and none saved up.
const COOLDOWN: Budget = Budget { per_minute: 1, burst: 1 };

fn spaced() -> TestSchedule {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.configuration.default_budget = COOLDOWN;
    schedule.configure("a", plain_plan());
    schedule.complete("a", Span::secs(86_400));
    schedule
}

fn wish(schedule: &mut TestSchedule) {
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
}

/// `reobtainShouldRespectCooldown`: a request 10 s after the cycle before is carried out 50 s later.
#[test]
fn cooldown_delays_a_request_within_the_minute() {
    let mut schedule = spaced();
    schedule.advance(Span::secs(10));
    wish(&mut schedule);
    assert_eq!(schedule.advance_until_called("a"), 50_000);
}

/// `reobtainShouldRunImmediatelyAfterCooldownWindowElapses`
#[test]
fn cooldown_ends_after_a_minute() {
    let mut schedule = spaced();
    schedule.advance(Span::secs(60));
    wish(&mut schedule);
    assert_eq!(schedule.call_kind("a"), "obtain");
}

/// `cooldownMustSpaceObtainCycleExecutionsNotRequests`: what is asked and not done costs nothing.
#[test]
fn cooldown_spaces_calls_and_not_requests() {
    let mut schedule = spaced();
    for _ in 0..59 {
        wish(&mut schedule);
        schedule.advance(Span::secs(1));
    }
    assert_eq!(schedule.advance_until_called("a"), 1000);
    schedule.complete("a", Span::secs(86_400));
    wish(&mut schedule);
    assert_eq!(schedule.advance_until_called("a"), 60_000);
}

/// `delayedReobtainMustAnchorCooldownAtCycleStart`, `reobtainDuringObtainMustUseActualCycleStart`,
/// `broughtForwardReobtainMustMoveCooldownAnchor`, `failedBringForwardMustPreservePreviousCooldownAnchor`: what counts is
/// when a call really began, not when it was asked for or ended.
#[test]
fn cooldown_counts_from_the_start_of_the_call() {
    let mut schedule = spaced();
    schedule.advance(Span::secs(10));
    wish(&mut schedule);
    schedule.advance_until_called("a"); // at 60 s
    schedule.advance(Span::secs(40)); // it takes that long
    schedule.complete("a", Span::secs(86_400));
    wish(&mut schedule);
    assert_eq!(schedule.advance_until_called("a"), 20_000);
}

/// `queuedRenewalServingDemandMustAnchorCooldownAtCycleStart`
#[test]
fn cooldown_of_a_queued_call_counts_from_its_start() {
    let mut schedule = spaced();
    schedule.advance(Span::secs(120));
    schedule.configuration.calls = 1;
    schedule
        .configuration
        .plans
        .insert(instance_name("hangs"), plan_with(|plan| plan.upstream = upstream_name("other")));
    schedule.reload();
    wish(&mut schedule);
    schedule.advance(Span::secs(30));
    schedule.complete("hangs", Span::secs(86_400));
    assert_eq!(schedule.call_kind("a"), "obtain", "at 150 s");
    schedule.complete("a", Span::secs(86_400));
    wish(&mut schedule);
    assert_eq!(schedule.advance_until_called("a"), 60_000);
}

/// `periodicRenewalWithoutDemandMustNotMoveCooldownAnchor`. Deputy differs: the service counts every call, and so does
/// the budget.
#[test]
fn cooldown_counts_scheduled_renewals() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.configuration.default_budget = COOLDOWN;
    schedule.configure("a", plain_plan());
    schedule.complete("a", Span::secs(100));
    schedule.advance_until_called("a");
    schedule.complete("a", Span::secs(86_400));
    wish(&mut schedule);
    assert_eq!(schedule.advance_until_called("a"), 60_000);
}

/// `cooldownMustBeImmuneToWallClockJumps`: by -1 h and by +2 h.
#[test]
fn cooldown_ignores_wall_clock_jumps() {
    for jump in [-3_600_000, 7_200_000] {
        let mut schedule = spaced();
        schedule.advance(Span::secs(10));
        schedule.jump_clock(jump);
        wish(&mut schedule);
        assert_eq!(schedule.advance_until_called("a"), 50_000, "by {jump} ms");
    }
}

/// `stopShouldResetCooldownForSubsequentStart`. Deputy differs: the service does not forget what a process did that is
/// gone. A budget begins with nothing.
#[test]
fn cooldown_applies_across_a_restart() {
    let mut schedule = spaced();
    schedule.handle(ScheduleEvent::Stop);
    schedule.crash();
    wish(&mut schedule);
    assert_eq!(schedule.advance_until_called("a"), 60_000);
}

/// Two upstreams have two budgets; Flink's cooldown is the manager's. (PR 28639 has no test for it.)
#[test]
fn cooldown_is_per_upstream() {
    let mut schedule = spaced();
    schedule.configure(
        "b",
        plan_with(|plan| {
            plan.upstream = upstream_name("other");
            plan.policy.mode = ObtainMode::OnDemand(HOUR);
        }),
    );
    schedule.handle(ScheduleEvent::LeaseRequested(instance_name("b")));
    assert_eq!(schedule.call_kind("b"), "obtain");
}
