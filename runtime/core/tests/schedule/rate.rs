use deputy_core::failure::FailureKind;
use deputy_core::retry::RetryPolicy;
use deputy_core::schedule::{CallRate, InstanceActivity, OperatorEvent, ScheduleEvent};
use deputy_core::{Revision, Span};
use deputy_test_support::{TestSchedule, failure, instance_name, plain_plan, plan_with, tokens_for};

const HOUR: Span = Span::secs(3600);

fn calls_in(schedule: &mut TestSchedule, span: Span) -> usize {
    let before = schedule.calls_of("a").len();
    schedule.advance(span);
    schedule.calls_of("a").len() - before
}

#[test]
fn rate_of_calls_cannot_be_raised_by_the_component() {
    for life in [1, 200, 1000, 2000] {
        let mut schedule = TestSchedule::new([("a", plain_plan())]);
        schedule.answer_calls("a", move |_, now| Some((Span::millis(1), tokens_for(now, Span::millis(life)))));
        schedule.complete("a", Span::secs(1));
        let calls = calls_in(&mut schedule, HOUR);
        assert!((1000..=1200).contains(&calls), "{calls} calls in the first hour, with a life of {life} ms");
        let calls = calls_in(&mut schedule, HOUR);
        assert!((990..=1001).contains(&calls), "{calls} calls in the second one");
    }
}

#[test]
fn rate_of_calls_is_bounded_however_quickly_they_fail() {
    let retry = RetryPolicy { floor: Span::millis(10), most: Span::millis(10), slow: Span::millis(10) };
    let mut schedule = TestSchedule::new([("a", plan_with(|plan| plan.policy.retry = retry))]);
    schedule.answer_calls("a", |_, _| Some((Span::millis(1), failure(FailureKind::Broken))));
    schedule.fail_call("a", FailureKind::Broken);
    let calls = calls_in(&mut schedule, HOUR);
    assert!((1000..=1200).contains(&calls), "{calls}");
}

#[test]
fn rate_of_calls_is_as_configured() {
    let rate = CallRate { interval: Span::secs(20), per_hour: 60 };
    let mut schedule = TestSchedule::new([("a", plan_with(|plan| plan.policy.calls = rate))]);
    schedule.answer_calls("a", |_, now| Some((Span::secs(1), tokens_for(now, Span::secs(5)))));
    schedule.complete("a", Span::secs(5));
    schedule.advance(HOUR);
    let times: Vec<u64> = schedule.calls_of("a").iter().map(|(at, _)| *at).collect();
    assert!((60..=73).contains(&times.len()), "{} calls", times.len());
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 20_000), "{times:?}");
    assert!(times.windows(2).skip(18).all(|pair| pair[1] - pair[0] >= 59_000), "{times:?}");
}

#[test]
fn rate_of_calls_lets_leases_of_six_seconds_live() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.answer_with_lifetime("a", Span::secs(6));
    schedule.complete("a", Span::secs(6));
    schedule.advance(Span::secs(6 * 3600));
    assert_eq!(schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count(), 0);
}

#[test]
fn rate_of_calls_does_not_delay_an_operator() {
    let rate = CallRate { interval: Span::secs(1), per_hour: 5 };
    let mut schedule = TestSchedule::new([("a", plan_with(|plan| plan.policy.calls = rate))]);
    schedule.complete("a", Span::secs(2));
    schedule.advance(Span::secs(60));
    assert_eq!(schedule.call_kind("a"), "nothing");
    let view = schedule.snapshot("a");
    let next = view.next.unwrap().since(schedule.now().wall);
    assert_eq!(
        (view.activity, next),
        (InstanceActivity::Retrying, Span::secs(720 - 60)),
        "what is shown is when it is called"
    );
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.snapshot("a").lease.unwrap().revision, Revision(2));
}

#[test]
fn rate_of_calls_bounds_the_retries_of_a_request() {
    let rate = CallRate { interval: Span::secs(1), per_hour: 5 };
    let mut schedule = TestSchedule::new([("a", plan_with(|plan| plan.policy.calls = rate))]);
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.fail_call("a", FailureKind::Unavailable);
    assert_eq!(schedule.advance_until_called("a"), 720_000);
}

#[test]
fn rate_of_calls_is_changed_by_a_reload() {
    let with = |per_hour| plan_with(|plan| plan.policy.calls = CallRate { interval: Span::secs(1), per_hour });
    let mut schedule = TestSchedule::new([("a", with(5))]);
    schedule.complete("a", Span::secs(2));
    schedule.advance(Span::secs(60));
    schedule.configure("a", with(1000));
    assert_eq!(schedule.call_kind("a"), "obtain");
}
