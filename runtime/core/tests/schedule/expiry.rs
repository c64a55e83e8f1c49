use deputy_core::failure::FailureKind;
use deputy_core::schedule::{InstanceActivity, OperatorEvent, ProviderCall, Readiness};
use deputy_core::{Span, Timestamp};
use deputy_test_support::{TestSchedule, plain_plan, plan_with, renewing_plan, tokens_until};

const HOUR: Span = Span::secs(3600);

fn capped(life: Span) -> TestSchedule {
    TestSchedule::new([("a", plan_with(|plan| plan.policy.lifetime = Some(life)))])
}

fn assumed(schedule: &TestSchedule) -> usize {
    schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::ExpiryAssumed(..))).count()
}

#[test]
fn expiry_missing_is_replaced_by_the_configured_lifetime() {
    let mut schedule = capped(Span::secs(900));
    schedule.end_call("a", tokens_until(None));
    assert_eq!(schedule.advance_until_called("a"), 675_000);
    assert_eq!(assumed(&schedule), 1, "the assumed expiry is reported");
}

#[test]
fn expiry_missing_without_a_lifetime_is_an_hour() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", tokens_until(None));
    assert_eq!(schedule.advance_until_called("a"), 2_700_000);
}

#[test]
fn expiry_in_the_past_is_replaced_by_the_lifetime() {
    for ago in [0, 1, 1000, 86_400_000] {
        let mut schedule = capped(Span::secs(900));
        let past = schedule.now().wall.minus(Span::millis(ago));
        schedule.end_call("a", tokens_until(Some(past)));
        assert!(
            matches!(schedule.operator_events().next(), Some(OperatorEvent::ExpiryAssumed(_, stated, _)) if *stated == Some(past))
        );
        assert_eq!(schedule.advance_until_called("a"), 675_000, "{ago} ms ago");
    }
}

#[test]
fn expiry_in_the_past_is_a_failed_obtain_without_a_lifetime() {
    for ago in [0, 1, 86_400_000] {
        let mut schedule = TestSchedule::new([("a", plain_plan())]);
        let past = schedule.now().wall.minus(Span::millis(ago));
        schedule.end_call("a", tokens_until(Some(past)));
        let view = schedule.snapshot("a");
        assert_eq!(
            (view.readiness, view.activity, view.failures),
            (Readiness::Missing, InstanceActivity::Retrying, 1),
            "{ago} ms ago"
        );
        let failure = &view.failure.unwrap().failure;
        assert_eq!(failure.kind, FailureKind::Broken);
        assert!(failure.message.contains(&past.to_string()) && failure.message.contains("`lifetime`"), "{failure:?}");
        assert!(schedule.published.is_empty() && schedule.disk.is_empty());
        assert!(schedule.advance_until_called("a") <= 2000, "and is tried again like any other");
    }
}

#[test]
fn expiry_in_the_past_of_a_renewal_keeps_the_lease_and_obtains() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    assert_eq!(schedule.call_kind("a"), "renew");
    let now = schedule.now().wall;
    schedule.end_call("a", tokens_until(Some(now)));
    assert_eq!((schedule.published_revision("a"), schedule.snapshot("a").readiness), (Some(1), Readiness::Ready));
    schedule.advance_until_called("a");
    assert_eq!(schedule.call_kind("a"), "obtain");
}

#[test]
fn expiry_always_in_the_past_obtains_once_per_lifetime() {
    for stated in [Some(Timestamp::from_millis(0)), None] {
        let mut schedule = capped(Span::secs(60));
        schedule.answer_calls("a", move |_, _| Some((Span::millis(20), tokens_until(stated))));
        schedule.end_call("a", tokens_until(stated));
        schedule.advance(HOUR);
        let calls = schedule.calls_of("a").len();
        assert!((75..=81).contains(&calls), "{calls} calls in an hour, of about 80");
    }
}

#[test]
fn expiry_is_capped_by_the_configured_lifetime() {
    let mut schedule = capped(Span::secs(8));
    schedule.complete("a", HOUR);
    let lease = schedule.snapshot("a").lease.unwrap();
    assert_eq!(lease.valid_until.since(lease.obtained_at), Span::secs(8));
    assert_eq!(schedule.advance_until_called("a"), 6000);
    assert_eq!(assumed(&schedule), 0);
}

#[test]
fn expiry_is_not_extended_by_a_longer_lifetime() {
    let mut schedule = capped(HOUR);
    schedule.complete("a", Span::secs(60));
    assert_eq!(schedule.advance_until_called("a"), 45_000);
}

#[test]
fn expiry_of_a_renewal_is_capped_by_the_lifetime() {
    let mut schedule = TestSchedule::new([(
        "a",
        plan_with(|plan| {
            plan.component = renewing_plan().component;
            plan.policy.lifetime = Some(Span::secs(8));
        }),
    )]);
    for _ in 0..5 {
        schedule.complete("a", HOUR);
        assert_eq!(schedule.advance_until_called("a"), 6000);
        assert!(matches!(schedule.running_call("a"), Some(ProviderCall::Renew(_))));
    }
}

#[test]
fn expiry_within_a_moment_causes_no_hot_loop() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.answer_calls("a", |_, now| Some((Span::millis(0), tokens_until(Some(now.wall.plus(Span::millis(1)))))));
    schedule.end_call("a", tokens_until(None));
    schedule.handle(deputy_core::schedule::ScheduleEvent::Renew(deputy_test_support::instance_name("a")));
    schedule.advance(Span::secs(60));
    let calls = schedule.calls_of("a").len();
    assert!((55..=62).contains(&calls), "{calls} calls in a minute, one for each floor");
}

#[test]
fn expiry_during_the_call_causes_no_hot_loop() {
    let mut schedule = capped(Span::secs(2));
    schedule.answer_calls("a", |_, now| Some((Span::secs(3), tokens_until(Some(now.wall.plus(HOUR))))));
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(400));
    let calls = schedule.calls_of("a").len();
    assert!((90..=110).contains(&calls), "{calls}: three seconds for the call and one for the floor");
}

#[test]
fn expiry_far_away_is_still_renewed() {
    for stated in [u64::MAX - 1, i64::MAX as u64] {
        let mut schedule = TestSchedule::new([("a", plain_plan())]);
        schedule.end_call("a", tokens_until(Some(Timestamp::from_millis(stated))));
        let days = schedule.advance_until_called("a") / 86_400_000;
        assert_eq!(days, 274, "three quarters of 366 days");
    }
}
