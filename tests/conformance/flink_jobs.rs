//! Flink's jobs, which register for tokens: instances that are added, used and removed here.

use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, ConfigFingerprint, InstancePlan, ObtainMode, OperatorEvent, Readiness, ScheduleEvent,
};

use crate::HOUR;
use crate::world::{Did, World, name, plain, plan, revoking};

fn on_demand() -> InstancePlan {
    plan(|plan| {
        plan.component = revoking().component;
        plan.policy.mode = ObtainMode::OnDemand(Span::secs(60));
    })
}

/// `registerJobShouldTriggerImmediateRenewalAndTrackJob`: the first use obtains at once, and the end of it removes.
#[test]
fn job_start_obtains_and_job_end_removes() {
    let mut world = World::new([("a", on_demand())]);
    world.handle(ScheduleEvent::Used(name("a"), 1));
    assert_eq!(world.word("a"), "obtain");
    world.bring("a", HOUR);
    assert_eq!((world.revision("a"), world.view("a").users), (Some(1), 1));
    world.handle(ScheduleEvent::Used(name("a"), 0));
    world.pass(Span::secs(60));
    assert_eq!((world.revision("a"), world.word("a")), (None, "revoke"));
}

/// `registerJobShouldBeIdempotent`
#[test]
fn job_that_shares_an_instance_obtains_nothing() {
    let mut world = World::new([("a", on_demand())]);
    for users in [1, 1, 2, 2] {
        world.handle(ScheduleEvent::Used(name("a"), users));
    }
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Used(name("a"), 3));
    assert_eq!((world.called("a").len(), world.word("a")), (1, "nothing"));
}

/// `failedFirstRegistrationMustRethrowWithoutTouchingOtherJobs`
#[test]
fn job_whose_instance_fails_touches_no_other() {
    let mut world = World::new([("old", plain())]);
    world.bring("old", HOUR);
    let before = world.log.len();
    world.plan("new", plain());
    world.fail("new", FailureKind::Misconfigured);
    assert!(world.notices().any(|notice| matches!(notice, OperatorEvent::Failed(..))), "and it is told");
    assert_eq!((world.revision("old"), world.log.len()), (Some(1), before + 2));
}

/// `registerJobFailureWithLinkageErrorMustRollBackProviders`: a component that breaks leaves nothing behind.
#[test]
fn job_whose_component_traps_leaves_nothing() {
    let mut world = World::new([("a", plain())]);
    world.fail("a", FailureKind::Broken);
    assert!(world.disk.is_empty() && world.published.is_empty());
    world.remove("a");
    assert_eq!(world.schedule.views(world.now()).count(), 0);
}

/// `failedRegistrationIsNotTrackedUntilARetrySucceeds`
#[test]
fn job_is_not_ready_until_a_retry_succeeds() {
    let mut world = World::new([("a", plain())]);
    world.fail("a", FailureKind::Unavailable);
    assert_eq!(world.view("a").readiness, Readiness::Missing);
    world.until_called("a");
    world.bring("a", HOUR);
    assert_eq!(world.view("a").readiness, Readiness::Ready);
}

/// `failedReregistrationMustNotWipePreviousRegistration`
#[test]
fn job_keeps_its_lease_when_a_changed_instance_fails() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.plan("a", plan(|plan| plan.fingerprint = ConfigFingerprint([2; 16])));
    world.fail("a", FailureKind::Misconfigured);
    assert_eq!((world.revision("a"), world.view("a").readiness), (Some(1), Readiness::Ready));
    world.crash();
    assert_eq!(world.revision("a"), Some(1), "over a restart as well");
}

/// `unregisterJobShouldSwallowProviderFailure`, `unregisterJobShouldSwallowLinkageError`: cleaning up goes on.
#[test]
fn job_cleanup_continues_after_a_failed_revocation() {
    let mut world = World::new([("a", revoking()), ("b", revoking())]);
    world.bring("a", HOUR);
    world.bring("b", HOUR);
    world.configuration.plans.clear();
    world.reload();
    world.fail("a", FailureKind::Broken);
    world.end("b", CallOutcome::Revoked);
    assert!(!world.disk.contains_key(&name("b")));
    assert!(world.notices().any(|notice| matches!(notice, OperatorEvent::RevokeFailed(..))), "and it is told");
    assert!(world.published.is_empty());
}

/// `failedUnregistrationMustDropTheJob`. Deputy differs: it tries on until the lease has ended by itself, and then drops
/// the instance.
#[test]
fn job_is_dropped_when_revocation_never_succeeds() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.serve("a", |_, _| Some((Span::millis(5), crate::world::failed(FailureKind::Broken))));
    world.remove("a");
    assert_eq!(world.did(&Did::Withdraw("a".to_owned())), 1, "nobody has it any longer from the first moment on");
    world.pass(HOUR);
    assert!(world.disk.is_empty());
    assert_eq!(world.schedule.views(world.now()).count(), 0);
}

/// Untested in Flink: one of two providers throws, and no token of either is delivered; the next cycle is in an hour.
/// Deputy differs: FLIP-211 said that one provider must have no effect on the others, and here it has none.
#[test]
fn job_failure_has_no_effect_on_others() {
    let mut world = World::new([("good", plain()), ("bad", plain())]);
    world.fail("bad", FailureKind::Broken);
    world.bring("good", HOUR);
    assert_eq!((world.revision("good"), world.revision("bad")), (Some(1), None));
    assert!(world.until_called("bad") <= 2000);
}
