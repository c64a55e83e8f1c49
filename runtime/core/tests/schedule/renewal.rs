use deputy_core::failure::FailureKind;
use deputy_core::schedule::{OperatorEvent, OptionalExports, ProviderCall, Ratio};
use deputy_core::{Span, Timestamp};
use deputy_test_support::{TestSchedule, failure, plain_plan, plan_with, renewing_plan, throttled, tokens_for};

const HOUR: Span = Span::secs(3600);

#[test]
fn renewal_follows_the_ratio_of_the_lifetime() {
    for (ratio, seconds) in [(750, 2700), (500, 1800), (1000, 3600)] {
        let mut schedule = TestSchedule::new([("a", plan_with(|plan| plan.policy.ratio = Ratio::thousandths(ratio)))]);
        schedule.complete("a", HOUR);
        assert_eq!(schedule.advance_until_called("a"), seconds * 1000, "ratio {ratio}");
    }
}

#[test]
fn renewal_jitter_only_brings_the_renewal_forward() {
    let mut waits = Vec::new();
    for seed in 0..200 {
        let mut schedule = TestSchedule::unconfigured(seed);
        schedule.configure("a", plan_with(|plan| plan.policy.jitter = Ratio::thousandths(100)));
        schedule.complete("a", HOUR);
        waits.push(schedule.advance_until_called("a"));
    }
    waits.sort_unstable();
    let least = waits[0];
    let most = waits[waits.len() - 1];
    assert!((2_430_000..2_460_000).contains(&least), "{least}");
    assert!((2_670_000..=2_700_000).contains(&most), "{most}");
}

#[test]
fn renewal_counts_the_lifetime_from_the_start_of_the_call() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.advance(Span::secs(100));
    let until = schedule.now().wall.plus(Span::secs(900));
    schedule.end_call("a", deputy_test_support::tokens_until(Some(until)));
    assert_eq!(
        schedule.snapshot("a").lease.unwrap().obtained_at,
        Timestamp::from_millis(until.as_millis() - 1_000_000)
    );
    assert_eq!(schedule.advance_until_called("a"), 650_000);
}

#[test]
fn renewal_uses_renew_where_the_component_can() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    assert!(matches!(schedule.running_call("a"), Some(ProviderCall::Renew(lease)) if lease.revision.0 == 1));
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_revision("a"), Some(2));
}

#[test]
fn renewal_uses_obtain_where_the_component_cannot_renew() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    assert_eq!(schedule.call_kind("a"), "obtain");
}

#[test]
fn renewal_obtains_after_the_maximum_lifetime() {
    let mut schedule = TestSchedule::new([(
        "a",
        plan_with(|plan| {
            plan.component = Some(OptionalExports { renews: true, revokes: false });
            plan.policy.max_lifetime = Some(Span::secs(2 * 3600));
        }),
    )]);
    let mut words = Vec::new();
    for _ in 0..6 {
        words.push(schedule.call_kind("a"));
        schedule.complete("a", HOUR);
        schedule.advance_until_called("a");
    }
    // 0:00 until 1:00, 0:45 until 1:45, 1:30 until 2:30: now it lives to the end of what can be renewed.
    assert_eq!(words, ["obtain", "renew", "renew", "obtain", "renew", "renew"]);
}

#[test]
fn renewal_that_gains_nothing_is_followed_by_an_obtain() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.complete("a", HOUR);
    let ends = schedule.snapshot("a").lease.unwrap().valid_until;
    schedule.advance_until_called("a");
    assert_eq!(schedule.call_kind("a"), "renew");
    schedule.end_call("a", deputy_test_support::tokens_until(Some(ends)));
    assert_eq!(schedule.published_revision("a"), Some(2), "it may be another payload");
    assert_eq!(schedule.advance_until_called("a"), 1000, "the floor");
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    assert_eq!(schedule.call_kind("a"), "renew", "the new lease can be renewed again");
}

#[test]
fn renewal_denied_or_broken_is_followed_by_an_obtain() {
    for kind in [
        FailureKind::Denied,
        FailureKind::Misconfigured,
        FailureKind::Broken,
        FailureKind::Refused,
        FailureKind::Internal,
    ] {
        let mut schedule = TestSchedule::new([("a", renewing_plan())]);
        schedule.complete("a", HOUR);
        schedule.advance_until_called("a");
        schedule.fail_call("a", kind);
        assert_eq!((schedule.advance_until_called("a"), schedule.call_kind("a")), (1000, "obtain"), "{kind}");
    }
}

#[test]
fn renewal_that_timed_out_is_retried_before_an_obtain() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    for _ in 0..2 {
        let first = schedule.call_kind("a");
        schedule.complete("a", HOUR);
        schedule.advance_until_called("a");
        assert_eq!((first, schedule.call_kind("a")), ("obtain", "renew"));
        schedule.fail_call("a", FailureKind::OverLimit);
        schedule.advance_until_called("a");
        assert_eq!(schedule.call_kind("a"), "renew", "the service may have been slow for once");
        schedule.fail_call("a", FailureKind::OverLimit);
        assert_eq!((schedule.advance_until_called("a"), schedule.call_kind("a")), (1000, "obtain"));
    }
}

#[test]
fn renewal_that_is_unavailable_is_retried_as_a_renewal() {
    for outcome in [failure(FailureKind::Unavailable), throttled(Span::secs(5))] {
        let text = format!("{outcome:?}");
        let mut schedule = TestSchedule::new([("a", renewing_plan())]);
        schedule.complete("a", HOUR);
        schedule.advance_until_called("a");
        schedule.end_call("a", outcome);
        schedule.advance_until_called("a");
        assert_eq!(schedule.call_kind("a"), "renew", "{text}");
    }
}

#[test]
fn renewal_of_an_expired_lease_obtains_another() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.complete("a", HOUR);
    schedule.answer_calls("a", |work, now| match work {
        ProviderCall::Renew(_) => Some((Span::millis(0), failure(FailureKind::Unavailable))),
        _ => Some((Span::millis(0), tokens_for(now, HOUR))),
    });
    schedule.advance(Span::secs(3700));
    assert_eq!(schedule.calls_of("a").last().map(|(_, word)| *word), Some("obtain"));
    assert_eq!(schedule.published_revision("a"), Some(2));
    let expired = schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count();
    assert_eq!(expired, 1, "the expiry is reported once");
}

#[test]
fn renewal_keeps_the_time_of_the_first_obtain() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.complete("a", HOUR);
    let first = schedule.snapshot("a").lease.unwrap().clone();
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    let second = schedule.snapshot("a").lease.unwrap();
    assert_eq!(second.issued_at, first.issued_at);
    assert!(second.obtained_at > first.obtained_at);
}

#[test]
fn renewal_by_an_operator_obtains_at_once() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.complete("a", HOUR);
    schedule.handle(deputy_core::schedule::ScheduleEvent::Renew(deputy_test_support::instance_name("a")));
    assert_eq!(schedule.call_kind("a"), "obtain");
    assert_eq!(schedule.published_revision("a"), Some(1), "the old one stays until then");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_revision("a"), Some(2));
}

#[test]
fn renewal_request_during_a_renewal_is_followed_by_an_obtain() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.handle(deputy_core::schedule::ScheduleEvent::Renew(deputy_test_support::instance_name("a")));
    assert_eq!(schedule.call_kind("a"), "renew", "it is called already");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.call_kind("a"), "obtain");
}

#[test]
fn renewal_requests_during_an_obtain_are_merged() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    for _ in 0..3 {
        schedule.handle(deputy_core::schedule::ScheduleEvent::Renew(deputy_test_support::instance_name("a")));
    }
    schedule.complete("a", HOUR);
    assert_eq!((schedule.calls_of("a").len(), schedule.call_kind("a")), (1, "nothing"));
}
