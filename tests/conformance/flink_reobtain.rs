//! Obtaining on request: `reobtainDelegationTokens` in Flink, the operator's renew request in Deputy.

use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{Budget, ConfigFingerprint, ScheduleEvent};

use crate::HOUR;
use deputy_test_support::{Performed, SaveMode, TestSchedule, instance_name, plain_plan, plan_with};

fn wish(schedule: &mut TestSchedule) {
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
}

fn held() -> TestSchedule {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule
}

/// `reobtainShouldCoalesceConcurrentRequests`: two requests, one cycle.
#[test]
fn reobtain_requests_at_the_same_time_are_merged() {
    let mut schedule = held();
    wish(&mut schedule);
    wish(&mut schedule);
    schedule.complete("a", HOUR);
    assert_eq!((schedule.calls_of("a").len(), schedule.call_kind("a")), (2, "nothing"));
}

/// `waitingReobtainMustKeepFurtherRequestsCoalesced`: an obtain that is blocked does not fill the pool.
#[test]
fn reobtain_requests_during_a_hanging_obtain_are_merged() {
    let mut schedule = held();
    for _ in 0..100 {
        wish(&mut schedule);
        schedule.advance(Span::secs(1));
    }
    assert_eq!((schedule.running().len(), schedule.calls_of("a").len()), (1, 2));
    schedule.complete("a", HOUR);
    assert_eq!(schedule.call_kind("a"), "nothing");
}

/// `repeatedSchedulerRejectionsMustKeepRequestsCoalesced`
#[test]
fn reobtain_requests_between_failures_make_one_call_each() {
    let mut schedule = held();
    for round in 0..10 {
        wish(&mut schedule);
        wish(&mut schedule);
        assert_eq!(schedule.calls_of("a").len(), round + 2);
        schedule.fail_call("a", FailureKind::Unavailable);
    }
}

/// `periodicRenewalMustNotCancelPendingOnDemandReobtain`: what waits is not lost because a renewal comes due.
#[test]
fn reobtain_request_survives_a_due_renewal() {
    let mut schedule = held();
    schedule.configuration.calls = 1;
    schedule.configure("hangs", plain_plan());
    wish(&mut schedule);
    schedule.advance(HOUR);
    assert_eq!(schedule.call_kind("a"), "nothing");
    schedule.complete("hangs", Span::secs(86_400));
    schedule.complete("a", HOUR);
    assert_eq!((schedule.calls_of("a").len(), schedule.call_kind("a")), (2, "nothing"), "and it is one call for both");
}

/// `reobtainShouldBeIgnoredWhenNotStarted`, `reobtainBeforeStartMustNotScheduleObtainCycle`
#[test]
fn reobtain_request_before_configuration_is_ignored() {
    let mut schedule = TestSchedule::unconfigured(1);
    wish(&mut schedule);
    schedule.advance(HOUR);
    assert!(schedule.log.is_empty());
}

/// `schedulerFailureMustNotWedgeSubsequentReobtains`: what failed does not block the next request. Flink's scheduler
/// fails there; here a call or a disk does.
#[test]
fn reobtain_after_a_failure_is_not_blocked() {
    let mut schedule = held();
    wish(&mut schedule);
    schedule.fail_call("a", FailureKind::Internal);
    wish(&mut schedule);
    assert_eq!(schedule.call_kind("a"), "obtain", "and the delay after the failure does not count for it");
    schedule.saves = SaveMode::Fail;
    schedule.complete("a", HOUR);
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(15));
    wish(&mut schedule);
    assert_eq!(schedule.call_kind("a"), "obtain");
}

/// `schedulerRejectionMustRetryWithoutAnotherRequest`, `ioRejectionMustRetryWithoutAnotherRequest`,
/// `rejectedOnDemandReplacementMustRetainRenewalProgress`
#[test]
fn reobtain_request_is_kept_until_it_is_possible() {
    let mut schedule = held();
    wish(&mut schedule);
    schedule.fail_call("a", FailureKind::Internal);
    assert!(schedule.advance_until_called("a") <= 2000);
    schedule.saves = SaveMode::Fail;
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_revision("a"), Some(1), "what was there stays");
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(1));
    assert_eq!(schedule.published_revision("a"), Some(2));
}

/// `staleIoRejectionMustNotReplaceNewerCycle`: the end of an old call changes nothing about the new one.
#[test]
fn reobtain_ignores_the_end_of_an_aborted_call() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    let old = schedule.call_id("a").unwrap();
    schedule.configure("a", plan_with(|plan| plan.fingerprint = ConfigFingerprint([2; 16])));
    let new = schedule.call_id("a").unwrap();
    schedule.handle(ScheduleEvent::Finished(old, deputy_test_support::failure(FailureKind::Internal)));
    assert_eq!((schedule.call_id("a"), schedule.snapshot("a").failures), (Some(new), 0));
}

/// `retryMustBringPendingOnDemandReobtainForward`: there, a retry takes a pending request with it.
/// Deputy differs: a request waits for no retry in the first place.
#[test]
fn reobtain_request_cuts_a_delay_short() {
    let mut schedule = held();
    wish(&mut schedule);
    schedule.fail_call("a", FailureKind::Denied);
    schedule.advance(Span::secs(1));
    wish(&mut schedule);
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.advance_until_called("a"), 2_700_000, "and there is no retry left over");
}

/// `renewalCycleLockSerializesConcurrentObtainCycles`: the schedule sees to it that no two calls of one instance overlap.
#[test]
fn reobtain_calls_of_one_instance_never_overlap() {
    let mut schedule = TestSchedule::new([("a", deputy_test_support::revoking_plan()), ("b", plain_plan())]);
    schedule.answer_with_lifetime("b", Span::secs(60));
    schedule.configuration.default_budget = Budget { per_minute: 600, burst: 5 };
    for round in 0..50_u8 {
        schedule.configure("a", plan_with(|plan| plan.fingerprint = ConfigFingerprint([round; 16])));
        wish(&mut schedule);
        if round % 3 == 0 && schedule.call_kind("a") != "nothing" {
            schedule.complete("a", HOUR);
        }
        if round % 7 == 0 {
            schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
        }
        schedule.advance(Span::secs(7));
    }
    let begun = schedule.calls_of("a").len();
    assert!(begun > 40 && schedule.count(&Performed::Cancel("a".to_owned())) > 20);
}
