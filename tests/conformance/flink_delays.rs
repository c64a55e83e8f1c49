//! When to renew, and when to try again.

use deputy_core::failure::{FailureKind, FailureRecord};
use deputy_core::retry::RetryPolicy;
use deputy_core::schedule::{OperatorEvent, Policy, Ratio};
use deputy_core::{CallFailure, Span};

use crate::HOUR;
use deputy_test_support::{TestSchedule, failure, plain_plan, plan_with, tokens_for, tokens_until};

fn failure_record() -> FailureRecord {
    let at = TestSchedule::unconfigured(1).now().wall;
    FailureRecord { failure: CallFailure::new(FailureKind::Unavailable, ""), at }
}

/// Flink's own figures: from 10 s to 5 min.
const RETRY: RetryPolicy = RetryPolicy { floor: Span::secs(10), most: Span::secs(300), slow: Span::secs(10) };

/// `startTokensUpdateShouldScheduleRenewal`: two cycles fail, and the third brings tokens.
#[test]
fn retry_goes_on_until_a_call_succeeds() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    let mut calls = 0;
    schedule.answer_calls("a", move |_, now| {
        calls += 1;
        let outcome = if calls == 2 { tokens_for(now, HOUR) } else { failure(FailureKind::Unavailable) };
        Some((Span::millis(10), outcome))
    });
    schedule.fail_call("a", FailureKind::Unavailable);
    schedule.advance(Span::secs(60));
    assert_eq!((schedule.calls_of("a").len(), schedule.published_revision("a")), (3, Some(1)));
}

/// `calculateRenewalDelayShouldConsiderRenewalRatio`: now 100, until 200, ratio 0.5: 50.
/// Deputy differs: jitter brings it forward by up to a tenth, if that is configured.
#[test]
fn renewal_delay_follows_the_ratio() {
    let policy = Policy { ratio: Ratio::thousandths(500), jitter: Ratio::thousandths(0), ..Policy::default() };
    assert_eq!(policy.renewal_delay(Span::millis(100), u16::MAX), Span::millis(50));
}

/// `calculateRetryDelayShouldDoubleOnConsecutiveFailures`: from 10 s to 80 s in four steps, within the jitter.
#[test]
fn retry_delay_doubles_with_each_failure() {
    for (failures, most) in [(1, 20), (2, 40), (3, 80), (4, 160), (5, 300), (6, 300), (40, 300)] {
        let longest = RETRY.backoff(failure_record().failure.kind, failures, None, 0);
        let shortest = RETRY.backoff(failure_record().failure.kind, failures, None, u16::MAX);
        assert_eq!((shortest, longest), (Span::millis(most * 500), Span::secs(most)), "after {failures}");
    }
}

/// `calculateRetryDelayShouldResetAfterSuccess`
#[test]
fn retry_delay_restarts_after_a_success() {
    let mut schedule = TestSchedule::new([("a", plan_with(|plan| plan.policy.retry = RETRY))]);
    for _ in 0..3 {
        schedule.fail_call("a", FailureKind::Unavailable);
        schedule.advance_until_called("a");
    }
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.fail_call("a", FailureKind::Unavailable);
    assert!(schedule.advance_until_called("a") <= 20_000);
}

/// `calculateRetryDelayShouldCapToTtlBound`: with 30 s left, the next try is in 10 s at the latest.
#[test]
fn retry_delay_is_at_most_a_third_of_the_lease() {
    for failures in [1, 4, 20] {
        for chance in [0, u16::MAX / 2, u16::MAX] {
            let wait = RETRY.backoff(failure_record().failure.kind, failures, Some(Span::secs(30)), chance);
            assert_eq!(wait, Span::secs(10), "after {failures}");
        }
    }
}

/// FLINK-40008 uses the greatest backoff for what has expired already. Deputy differs: backoff starts again when a lease
/// has ended, and no delay is longer than the leases usually live.
#[test]
fn retry_after_expiry_backs_off_up_to_the_usual_life() {
    for (life, least, most) in [(600, 150, 300), (60, 30, 60)] {
        let mut schedule = TestSchedule::new([("a", plain_plan())]);
        schedule.complete("a", Span::secs(life));
        schedule.advance_until_called("a");
        schedule.answer_calls("a", |_, _| Some((Span::millis(1), failure(FailureKind::Unavailable))));
        schedule.fail_call("a", FailureKind::Unavailable);
        schedule.advance(Span::secs(6000));
        let waits: Vec<Span> = schedule
            .operator_events()
            .filter_map(|notice| match notice {
                OperatorEvent::Failed(_, _, wait) => *wait,
                _ => None,
            })
            .collect();
        let last = waits.iter().rev().take(10);
        assert!(last.clone().all(|wait| (Span::secs(least)..=Span::secs(most)).contains(wait)), "{life} s: {waits:?}");
        assert!(waits.iter().any(|wait| *wait <= Span::secs(2)), "{life} s: {waits:?}");
    }
}

/// `submissionRetryDelayMustRespectMinimumAndConfiguredBackoff`: 0 and 100 ms become 1 s, 2.5 s stay.
/// Deputy differs: the minimum is the operator's, and 10 ms where the operator says nothing at all.
#[test]
fn retry_delay_has_a_minimum() {
    for (floor, least) in [(0, 10), (100, 100), (2500, 2500)] {
        let retry = RetryPolicy { floor: Span::millis(floor), ..RETRY };
        let wait = retry.backoff(failure_record().failure.kind, 1, Some(Span::millis(1)), u16::MAX);
        assert_eq!(wait, Span::millis(least));
    }
}

/// A `validUntil` in the past gives Flink a delay of -750 ms for -1000 ms, and so a hot loop (seen, not tested there).
/// Here it is a failed call, which backs off.
#[test]
fn expiry_in_the_past_causes_no_hot_loop() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.answer_calls("a", |_, now| Some((Span::millis(1), tokens_until(Some(now.wall.minus(Span::secs(1)))))));
    schedule.end_call("a", tokens_until(None));
    schedule.advance(Span::secs(86_400));
    let calls = schedule.calls_of("a").len();
    assert!((288..=590).contains(&calls), "{calls}: up to five minutes apart");
}

/// `HadoopFSDelegationTokenProviderITCase` and `HiveServer2DelegationTokenProviderITCase`: there is no renewal date where
/// there are no tokens or where the interval is negative. Flink then never renews again in that session.
/// Deputy differs: no date is no reason to stop.
#[test]
fn renewal_without_expiry_uses_the_configured_lifetime() {
    let mut schedule = TestSchedule::new([("a", plan_with(|plan| plan.policy.lifetime = Some(Span::secs(900))))]);
    schedule.end_call("a", tokens_until(None));
    assert_eq!(schedule.advance_until_called("a"), 675_000);
}

/// Flink's next cycle is at `min(validUntil)` over all providers, so that all are obtained as often as the shortest.
/// Deputy differs: each instance has a schedule of its own.
#[test]
fn renewal_is_rarer_for_long_leases() {
    let mut schedule = TestSchedule::new([("long", plain_plan()), ("short", plain_plan())]);
    schedule.answer_with_lifetime("short", Span::secs(60));
    schedule.complete("long", HOUR);
    schedule.complete("short", Span::secs(60));
    schedule.advance(Span::secs(2600));
    assert_eq!((schedule.calls_of("long").len(), schedule.calls_of("short").len()), (1, 58));
}
