//! Obtaining again when somebody asks: `reobtainDelegationTokens` there, the operator's wish here.

use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{Budget, ConfigFingerprint, ScheduleEvent};

use crate::HOUR;
use crate::world::{Did, Saves, World, name, plain, plan};

fn wish(world: &mut World) {
    world.handle(ScheduleEvent::Renew(name("a")));
}

fn held() -> World {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world
}

/// `reobtainShouldCoalesceConcurrentRequests`: two requests, one cycle.
#[test]
fn requests_at_the_same_time_are_one() {
    let mut world = held();
    wish(&mut world);
    wish(&mut world);
    world.bring("a", HOUR);
    assert_eq!((world.called("a").len(), world.word("a")), (2, "nothing"));
}

/// `waitingReobtainMustKeepFurtherRequestsCoalesced`: an obtain that is blocked does not fill the pool.
#[test]
fn requests_while_an_obtain_hangs_are_one() {
    let mut world = held();
    for _ in 0..100 {
        wish(&mut world);
        world.pass(Span::secs(1));
    }
    assert_eq!((world.under_way().len(), world.called("a").len()), (1, 2));
    world.bring("a", HOUR);
    assert_eq!(world.word("a"), "nothing");
}

/// `repeatedSchedulerRejectionsMustKeepRequestsCoalesced`
#[test]
fn requests_while_obtains_fail_are_one_each() {
    let mut world = held();
    for round in 0..10 {
        wish(&mut world);
        wish(&mut world);
        assert_eq!(world.called("a").len(), round + 2);
        world.fail("a", FailureKind::Unavailable);
    }
}

/// `periodicRenewalMustNotCancelPendingOnDemandReobtain`: what waits is not lost because a renewal comes due.
#[test]
fn reobtain_request_survives_a_due_renewal() {
    let mut world = held();
    world.configuration.calls = 1;
    world.plan("hangs", plain());
    wish(&mut world);
    world.pass(HOUR);
    assert_eq!(world.word("a"), "nothing");
    world.bring("hangs", Span::secs(86_400));
    world.bring("a", HOUR);
    assert_eq!((world.called("a").len(), world.word("a")), (2, "nothing"), "and it is one call for both");
}

/// `reobtainShouldBeIgnoredWhenNotStarted`, `reobtainBeforeStartMustNotScheduleObtainCycle`
#[test]
fn reobtain_request_before_configuration_is_ignored() {
    let mut world = World::silent(1);
    wish(&mut world);
    world.pass(HOUR);
    assert!(world.log.is_empty());
}

/// `schedulerFailureMustNotWedgeSubsequentReobtains`: what failed does not block the next request. Flink's scheduler
/// fails there; here a call or a disk does.
#[test]
fn reobtain_after_a_failure_is_not_blocked() {
    let mut world = held();
    wish(&mut world);
    world.fail("a", FailureKind::Internal);
    wish(&mut world);
    assert_eq!(world.word("a"), "obtain", "and the delay after the failure does not count for it");
    world.saves = Saves::Fail;
    world.bring("a", HOUR);
    world.saves = Saves::Succeed;
    world.pass(Span::secs(15));
    wish(&mut world);
    assert_eq!(world.word("a"), "obtain");
}

/// `schedulerRejectionMustRetryWithoutAnotherRequest`, `ioRejectionMustRetryWithoutAnotherRequest`,
/// `rejectedOnDemandReplacementMustRetainRenewalProgress`
#[test]
fn reobtain_request_is_kept_until_it_is_possible() {
    let mut world = held();
    wish(&mut world);
    world.fail("a", FailureKind::Internal);
    assert!(world.until_called("a") <= 2000);
    world.saves = Saves::Fail;
    world.bring("a", HOUR);
    assert_eq!(world.revision("a"), Some(1), "what was there stays");
    world.saves = Saves::Succeed;
    world.pass(Span::secs(1));
    assert_eq!(world.revision("a"), Some(2));
}

/// `staleIoRejectionMustNotReplaceNewerCycle`: the end of an old call changes nothing about the new one.
#[test]
fn reobtain_ignores_the_end_of_an_aborted_call() {
    let mut world = World::new([("a", plain())]);
    let old = world.call("a").unwrap();
    world.plan("a", plan(|plan| plan.fingerprint = ConfigFingerprint([2; 16])));
    let new = world.call("a").unwrap();
    world.handle(ScheduleEvent::Finished(old, crate::world::failed(FailureKind::Internal)));
    assert_eq!((world.call("a"), world.view("a").failures), (Some(new), 0));
}

/// `retryMustBringPendingOnDemandReobtainForward`: there, a retry takes a pending request with it.
/// Deputy differs: a request waits for no retry in the first place.
#[test]
fn reobtain_request_cuts_a_delay_short() {
    let mut world = held();
    wish(&mut world);
    world.fail("a", FailureKind::Denied);
    world.pass(Span::secs(1));
    wish(&mut world);
    assert_eq!(world.word("a"), "obtain");
    world.bring("a", HOUR);
    assert_eq!(world.until_called("a"), 2_700_000, "and there is no retry left over");
}

/// `renewalCycleLockSerializesConcurrentObtainCycles`: the world sees to it that no two calls of one instance overlap.
#[test]
fn two_calls_of_one_instance_never_overlap() {
    let mut world = World::new([("a", crate::world::revoking()), ("b", plain())]);
    world.serve_for("b", Span::secs(60));
    world.configuration.default_budget = Budget { per_minute: 600, burst: 5 };
    for round in 0..50_u8 {
        world.plan("a", plan(|plan| plan.fingerprint = ConfigFingerprint([round; 16])));
        wish(&mut world);
        if round % 3 == 0 && world.word("a") != "nothing" {
            world.bring("a", HOUR);
        }
        if round % 7 == 0 {
            world.handle(ScheduleEvent::Revoke(name("a")));
        }
        world.pass(Span::secs(7));
    }
    let begun = world.called("a").len();
    assert!(begun > 40 && world.did(&Did::Cancel("a".to_owned())) > 20);
}
