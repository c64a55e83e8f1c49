//! What a service says beside the expiry: when it has something newer, and how long it prolongs.

use deputy_core::failure::FailureKind;
use deputy_core::schedule::{CallOutcome, ProviderCall};
use deputy_core::{Span, Timestamp, TokenExpiry, Tokens};
use deputy_test_support::{TestSchedule, failure, plain_plan, plan_with, renewing_plan, tokens};

const HOUR: Span = Span::secs(3600);

fn after(schedule: &TestSchedule, seconds: u64) -> Timestamp {
    schedule.now().wall.plus(Span::secs(seconds))
}

/// Tokens for an hour, with something newer after these seconds.
fn rotating(schedule: &TestSchedule, seconds: u64) -> CallOutcome {
    let expiry = TokenExpiry::At(after(schedule, 3600));
    CallOutcome::Obtained(Tokens { expiry, next_at: Some(after(schedule, seconds)), ..tokens() })
}

fn never() -> CallOutcome {
    CallOutcome::Obtained(Tokens { expiry: TokenExpiry::Never, ..tokens() })
}

#[test]
fn rotation_is_asked_for_at_its_time_and_not_before() {
    for seconds in [60, 1800, 3500] {
        let mut schedule = TestSchedule::new([("a", plain_plan())]);
        schedule.end_call("a", rotating(&schedule, seconds));
        assert_eq!(schedule.advance_until_called("a"), seconds * 1000);
    }
}

#[test]
fn rotation_each_minute_is_asked_for_once_a_minute() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    for _ in 0..10 {
        schedule.end_call("a", rotating(&schedule, 60));
        assert_eq!(schedule.advance_until_called("a"), 60_000);
    }
}

#[test]
fn rotation_after_the_expiry_is_asked_for_at_the_expiry() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", rotating(&schedule, 7200));
    assert_eq!(schedule.advance_until_called("a"), 3_600_000);
}

#[test]
fn rotation_after_the_end_of_a_new_lifetime_is_asked_for_then() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", rotating(&schedule, 3000));
    schedule.configure("a", plan_with(|plan| plan.policy.lifetime = Some(Span::secs(600))));
    assert_eq!(schedule.advance_until_called("a"), 600_000);
}

#[test]
fn rotation_in_the_past_waits_for_the_least_interval() {
    let mut schedule = TestSchedule::new([("a", plan_with(|plan| plan.policy.calls.interval = Span::secs(20)))]);
    let past = Some(schedule.now().wall.minus(HOUR));
    let expiry = TokenExpiry::At(after(&schedule, 3600));
    schedule.end_call("a", CallOutcome::Obtained(Tokens { expiry, next_at: past, ..tokens() }));
    assert_eq!(schedule.advance_until_called("a"), 20_000);
}

#[test]
fn rotation_outlives_a_restart() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", rotating(&schedule, 1800));
    schedule.advance(Span::secs(600));
    schedule.crash();
    assert_eq!(schedule.advance_until_called("a"), 1_200_000);
}

#[test]
fn rotation_that_failed_is_asked_for_again() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", rotating(&schedule, 60));
    schedule.advance_until_called("a");
    schedule.fail_call("a", FailureKind::Unavailable);
    assert!(schedule.advance_until_called("a") <= 2000);
}

#[test]
fn expiry_never_is_not_replaced() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", never());
    schedule.advance(Span::secs(1000 * 86_400));
    assert_eq!(schedule.calls_of("a").len(), 1);
    let view = schedule.snapshot("a");
    assert_eq!((view.lease.unwrap().valid_until, view.next), (Timestamp::FOREVER, None));
    assert_eq!(schedule.machine.wake_at(schedule.now()), None, "there is nothing to wake for");
}

#[test]
fn expiry_never_is_bounded_by_the_lifetime() {
    let hour = plan_with(|plan| plan.policy.lifetime = Some(HOUR));
    let mut schedule = TestSchedule::new([("a", hour.clone())]);
    schedule.end_call("a", never());
    assert_eq!(schedule.advance_until_called("a"), 2_700_000);

    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", never());
    schedule.advance(Span::secs(60));
    schedule.configure("a", hour);
    assert_eq!(schedule.advance_until_called("a"), 2_640_000, "also if it was configured later");
}

#[test]
fn renewal_ends_where_the_service_prolongs_no_more() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    let until = after(&schedule, 5400);
    let prolonged = move |schedule: &TestSchedule| {
        let expiry = TokenExpiry::At(after(schedule, 3600).min(until));
        CallOutcome::Obtained(Tokens { expiry, renewable_until: Some(until), ..tokens() })
    };
    schedule.end_call("a", prolonged(&schedule));
    schedule.advance_until_called("a");
    assert_eq!(schedule.call_kind("a"), "renew");
    schedule.end_call("a", prolonged(&schedule));
    schedule.advance_until_called("a");
    assert_eq!(schedule.call_kind("a"), "obtain", "it ends when it can be renewed no longer");
}

#[test]
fn renewal_that_gains_less_than_is_left_is_an_obtain() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    let until = after(&schedule, 4200);
    let end = after(&schedule, 3600);
    let expiry = TokenExpiry::At(end);
    schedule.end_call("a", CallOutcome::Obtained(Tokens { expiry, renewable_until: Some(until), ..tokens() }));
    schedule.advance_until_called("a");
    assert_eq!(schedule.call_kind("a"), "obtain", "a quarter of an hour is left, and ten minutes are to be gained");
    while schedule.call_kind("a") == "obtain" {
        schedule.end_call("a", failure(FailureKind::Unavailable));
        schedule.advance_until_called("a");
    }
    let left = end.since(after(&schedule, 0));
    assert!(left <= Span::secs(600) && left > Span::secs(0), "no new one is to be had, and {left:?} are left");
}

#[test]
fn renewal_replaces_every_field() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.end_call("a", rotating(&schedule, 60));
    schedule.advance_until_called("a");
    let Some(ProviderCall::Renew(lease)) = schedule.running_call("a") else { panic!("it is renewed") };
    assert!(lease.next_at.is_some());
    let expiry = TokenExpiry::At(after(&schedule, 3600));
    schedule.end_call("a", CallOutcome::Obtained(Tokens { expiry, ..tokens() }));
    assert_eq!(schedule.snapshot("a").lease.unwrap().next_at, None);
    assert_eq!(schedule.advance_until_called("a"), 2_700_000);
}

#[test]
fn renewal_to_the_same_expiry_waits_for_the_next_rotation() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    let expiry = TokenExpiry::At(after(&schedule, 3600));
    let rotated = |schedule: &TestSchedule| {
        CallOutcome::Obtained(Tokens { expiry, next_at: Some(after(schedule, 60)), ..tokens() })
    };
    for kind in ["obtain", "renew", "renew", "renew"] {
        assert_eq!(schedule.call_kind("a"), kind);
        schedule.end_call("a", rotated(&schedule));
        assert_eq!(schedule.advance_until_called("a"), 60_000);
    }
}

#[test]
fn renewal_that_ended_is_followed_by_an_obtain_at_once() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.end_call("a", failure(FailureKind::Ended));
    assert_eq!((schedule.advance_until_called("a"), schedule.call_kind("a")), (1000, "obtain"));
}
