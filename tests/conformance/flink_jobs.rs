//! Flink's jobs, which register for tokens: instances that are added, used and removed here.

use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, ConfigFingerprint, InstancePlan, ObtainMode, OperatorEvent, Readiness, ScheduleEvent,
};

use crate::HOUR;
use deputy_test_support::{Performed, TestSchedule, instance_name, plain_plan, plan_with, revoking_plan};

fn on_demand() -> InstancePlan {
    plan_with(|plan| {
        plan.component = revoking_plan().component;
        plan.policy.mode = ObtainMode::OnDemand(Span::secs(60));
    })
}

/// `registerJobShouldTriggerImmediateRenewalAndTrackJob`: the first use obtains at once, and the end of it removes.
#[test]
fn job_start_obtains_and_job_end_removes() {
    let mut schedule = TestSchedule::new([("a", on_demand())]);
    schedule.handle(ScheduleEvent::Used(instance_name("a"), 1));
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.complete("a", HOUR);
    assert_eq!((schedule.published_revision("a"), schedule.snapshot("a").users), (Some(1), 1));
    schedule.handle(ScheduleEvent::Used(instance_name("a"), 0));
    schedule.advance(Span::secs(60));
    assert_eq!((schedule.published_revision("a"), schedule.call_kind("a")), (None, "revoke"));
}

/// `registerJobShouldBeIdempotent`
#[test]
fn job_that_shares_an_instance_obtains_nothing() {
    let mut schedule = TestSchedule::new([("a", on_demand())]);
    for users in [1, 1, 2, 2] {
        schedule.handle(ScheduleEvent::Used(instance_name("a"), users));
    }
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Used(instance_name("a"), 3));
    assert_eq!((schedule.calls_of("a").len(), schedule.call_kind("a")), (1, "nothing"));
}

/// `failedFirstRegistrationMustRethrowWithoutTouchingOtherJobs`
#[test]
fn job_whose_instance_fails_touches_no_other() {
    let mut schedule = TestSchedule::new([("old", plain_plan())]);
    schedule.complete("old", HOUR);
    let before = schedule.log.len();
    schedule.configure("new", plain_plan());
    schedule.fail_call("new", FailureKind::Misconfigured);
    assert!(
        schedule.operator_events().any(|notice| matches!(notice, OperatorEvent::Failed(..))),
        "the failure is reported"
    );
    assert_eq!((schedule.published_revision("old"), schedule.log.len()), (Some(1), before + 2));
}

/// `registerJobFailureWithLinkageErrorMustRollBackProviders`: a component that breaks leaves nothing behind.
#[test]
fn job_whose_component_traps_leaves_nothing() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.fail_call("a", FailureKind::Broken);
    assert!(schedule.disk.is_empty() && schedule.published.is_empty());
    schedule.remove("a");
    assert_eq!(schedule.machine.instances(schedule.now()).count(), 0);
}

/// `failedRegistrationIsNotTrackedUntilARetrySucceeds`
#[test]
fn job_is_not_ready_until_a_retry_succeeds() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.fail_call("a", FailureKind::Unavailable);
    assert_eq!(schedule.snapshot("a").readiness, Readiness::Missing);
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.snapshot("a").readiness, Readiness::Ready);
}

/// `failedReregistrationMustNotWipePreviousRegistration`
#[test]
fn job_keeps_its_lease_when_a_changed_instance_fails() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.configure("a", plan_with(|plan| plan.fingerprint = ConfigFingerprint([2; 16])));
    schedule.fail_call("a", FailureKind::Misconfigured);
    assert_eq!((schedule.published_revision("a"), schedule.snapshot("a").readiness), (Some(1), Readiness::Ready));
    schedule.crash();
    assert_eq!(schedule.published_revision("a"), Some(1), "over a restart as well");
}

/// `unregisterJobShouldSwallowProviderFailure`, `unregisterJobShouldSwallowLinkageError`: cleaning up goes on.
#[test]
fn job_cleanup_continues_after_a_failed_revocation() {
    let mut schedule = TestSchedule::new([("a", revoking_plan()), ("b", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.complete("b", HOUR);
    schedule.configuration.plans.clear();
    schedule.reload();
    schedule.fail_call("a", FailureKind::Broken);
    schedule.end_call("b", CallOutcome::Revoked);
    assert!(!schedule.disk.contains_key(&instance_name("b")));
    assert!(
        schedule.operator_events().any(|notice| matches!(notice, OperatorEvent::RevokeFailed(..))),
        "the failure is reported"
    );
    assert!(schedule.published.is_empty());
}

/// `failedUnregistrationMustDropTheJob`. Deputy differs: it tries on until the lease has ended by itself, and then drops
/// the instance.
#[test]
fn job_is_dropped_when_revocation_never_succeeds() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.answer_calls("a", |_, _| Some((Span::millis(5), deputy_test_support::failure(FailureKind::Broken))));
    schedule.remove("a");
    assert_eq!(schedule.count(&Performed::Withdraw("a".to_owned())), 1, "the lease is withdrawn at once");
    schedule.advance(HOUR);
    assert!(schedule.disk.is_empty());
    assert_eq!(schedule.machine.instances(schedule.now()).count(), 0);
}

/// Untested in Flink: one of two providers throws, and no token of either is delivered; the next cycle is in an hour.
/// Deputy differs: FLIP-211 said that one provider must have no effect on the others, and here it has none.
#[test]
fn job_failure_has_no_effect_on_others() {
    let mut schedule = TestSchedule::new([("good", plain_plan()), ("bad", plain_plan())]);
    schedule.fail_call("bad", FailureKind::Broken);
    schedule.complete("good", HOUR);
    assert_eq!((schedule.published_revision("good"), schedule.published_revision("bad")), (Some(1), None));
    assert!(schedule.advance_until_called("bad") <= 2000);
}
