//! Failures that a person has to end.

use deputy_core::Span;
use deputy_core::failure::{CallFailure, FailureKind};
use deputy_core::schedule::{CallOutcome, ConfigFingerprint, InstanceActivity, OperatorEvent, ScheduleEvent};
use deputy_test_support::{TestSchedule, failure, instance_name, plain_plan, plan_with, renewing_plan};

const HOUR: Span = Span::secs(3600);
const MONTH: Span = Span::secs(30 * 86_400);

fn calls(schedule: &TestSchedule) -> usize {
    schedule.calls_of("a").len()
}

/// An instance whose provider asked for a person.
fn waiting() -> TestSchedule {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.fail_call("a", FailureKind::Attention);
    schedule.advance(MONTH);
    assert_eq!(calls(&schedule), 1);
    schedule
}

#[test]
fn attention_without_a_delay_waits_for_a_person() {
    let schedule = waiting();
    let view = schedule.snapshot("a");
    assert_eq!((view.activity, view.next), (InstanceActivity::NeedsAttention, None));
    let told = schedule.operator_events().filter(|event| matches!(event, OperatorEvent::Failed(_, _, None))).count();
    assert_eq!(told, 1, "the operator learns it once");
}

#[test]
fn attention_ends_with_a_renewal_that_an_operator_asks_for() {
    let mut schedule = waiting();
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    assert_eq!(calls(&schedule), 2);
    schedule.complete("a", HOUR);
    assert_eq!(schedule.snapshot("a").activity, InstanceActivity::Holding);
}

#[test]
fn attention_ends_with_another_configuration() {
    let mut schedule = waiting();
    schedule.configure("a", plan_with(|plan| plan.fingerprint = ConfigFingerprint([2; 16])));
    assert_eq!(calls(&schedule), 2);
}

#[test]
fn attention_with_a_delay_is_polled() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    let retry_after = Some(Span::secs(600));
    let polled = CallFailure { retry_after, ..CallFailure::new(FailureKind::Attention, "consent is missing") };
    for _ in 0..3 {
        schedule.end_call("a", CallOutcome::Failed(polled.clone()));
        let waited = schedule.advance_until_called("a");
        assert!((600_000..=660_000).contains(&waited), "{waited}");
    }
}

#[test]
fn attention_keeps_the_lease_until_it_expires() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.fail_call("a", FailureKind::Attention);
    assert!(schedule.published.contains_key(&instance_name("a")));
    schedule.advance(MONTH);
    assert_eq!(calls(&schedule), 2);
    let expired = schedule.operator_events().filter(|event| matches!(event, OperatorEvent::Expired(..))).count();
    assert_eq!(expired, 1);
}

#[test]
fn attention_from_a_renewal_is_followed_by_an_obtain() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.fail_call("a", FailureKind::Attention);
    assert_eq!((schedule.advance_until_called("a"), schedule.call_kind("a")), (1000, "obtain"));
}

#[test]
fn ended_obtain_is_tried_once_more_and_then_needs_a_person() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", failure(FailureKind::Ended));
    assert_eq!(schedule.advance_until_called("a"), 1000);
    schedule.end_call("a", failure(FailureKind::Ended));
    schedule.advance(MONTH);
    assert_eq!((calls(&schedule), schedule.snapshot("a").activity), (2, InstanceActivity::NeedsAttention));
}

#[test]
fn ended_obtain_counts_anew_after_another_answer() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    for _ in 0..3 {
        schedule.end_call("a", failure(FailureKind::Ended));
        schedule.advance_until_called("a");
        schedule.fail_call("a", FailureKind::Unavailable);
        schedule.advance_until_called("a");
    }
    assert_eq!(schedule.snapshot("a").activity, InstanceActivity::Calling("obtain", Span::millis(0)));
}
