//! A disk that takes nothing ends no lease.

use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, InitialBudget, InstanceActivity, OperatorEvent, OptionalExports, ProviderCall, Readiness, Schedule,
    ScheduleEvent,
};
use deputy_core::{Revision, Span};
use deputy_test_support::{Performed, SaveMode, TestSchedule, instance_name, plain_plan, plan_with, revoking_plan};

const HOUR: Span = Span::secs(3600);

fn reported(schedule: &TestSchedule) -> Vec<u64> {
    let reported = schedule.operator_events().filter_map(|notice| match notice {
        OperatorEvent::PublishedUnsaved(_, revision) => Some(revision.0),
        _ => None,
    });
    reported.collect()
}

#[test]
fn unsaved_lease_is_published_before_the_old_one_expires() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.saves = SaveMode::Fail;
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(530));
    assert_eq!(
        (schedule.published_revision("a"), reported(&schedule)),
        (Some(1), vec![]),
        "the old one is good for a while"
    );
    schedule.advance(Span::secs(30));
    assert_eq!((schedule.published_revision("a"), reported(&schedule)), (Some(2), vec![2]));
    let view = schedule.snapshot("a");
    assert_eq!((view.readiness, view.unsaved.is_some()), (Readiness::Ready, true));
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(15));
    assert_eq!((schedule.published_revision("a"), schedule.snapshot("a").unsaved), (Some(2), None));
    assert_eq!(schedule.disk[&instance_name("a")].revision, Revision(2));
    assert_eq!(schedule.count(&Performed::Publish("a".to_owned(), 2)), 1, "it is not given out again");
}

#[test]
fn unsaved_lease_stays_marked_while_another_one_is_held() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.saves = SaveMode::Fail;
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(560));
    assert_eq!((schedule.published_revision("a"), schedule.snapshot("a").published_unsaved), (Some(2), true));
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    let view = schedule.snapshot("a");
    assert_eq!((view.lease.map(|lease| lease.revision.0), view.published_unsaved), (Some(2), true));
    assert!(view.unsaved.is_some(), "{}", schedule.dump_log());
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(60));
    assert_eq!((schedule.published_revision("a"), schedule.snapshot("a").published_unsaved), (Some(3), false));
}

#[test]
fn unsaved_leases_are_replaced_for_as_long_as_the_disk_is_full() {
    let mut schedule = TestSchedule::new([
        ("a", plain_plan()),
        ("b", plan_with(|plan| plan.component = Some(OptionalExports { renews: true, revokes: false }))),
    ]);
    for text in ["a", "b"] {
        schedule.complete(text, HOUR);
        schedule.answer_with_lifetime(text, HOUR);
    }
    schedule.saves = SaveMode::Fail;
    for _ in 0..48 {
        schedule.advance(Span::secs(1800));
        for text in ["a", "b"] {
            assert_eq!(schedule.snapshot(text).readiness, Readiness::Ready, "{text}:\n{}", schedule.dump_log());
        }
    }
    assert!(!schedule.operator_events().any(|notice| matches!(notice, OperatorEvent::Expired(..))));
    let saves = schedule.count(&Performed::Save("a".to_owned()));
    assert!(saves > 1000, "{saves} tries in a day");
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(3600));
    assert_eq!(schedule.snapshot("a").unsaved, None);
    assert_eq!(
        schedule.disk[&instance_name("a")].lease.as_ref().map(|lease| lease.revision.0),
        schedule.published_revision("a")
    );
}

#[test]
fn unsaved_leases_that_are_short_do_not_lapse() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", Span::secs(8));
    schedule.answer_with_lifetime("a", Span::secs(8));
    schedule.saves = SaveMode::Fail;
    for _ in 0..600 {
        schedule.advance(Span::millis(500));
        assert_eq!(schedule.snapshot("a").readiness, Readiness::Ready, "{}", schedule.dump_log());
    }
    assert!(
        !schedule.operator_events().any(|notice| matches!(notice, OperatorEvent::Expired(..))),
        "{}",
        schedule.dump_log()
    );
}

#[test]
fn unsaved_lease_is_published_at_once_where_there_is_none() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", Span::secs(60));
    schedule.advance(Span::secs(30));
    schedule.crash();
    schedule.jump_clock(3_600_000);
    schedule.advance_until_called("a");
    schedule.saves = SaveMode::Fail;
    schedule.complete("a", HOUR);
    assert_eq!((schedule.published_revision("a"), schedule.snapshot("a").readiness), (Some(2), Readiness::Ready));
    assert!(matches!(schedule.snapshot("a").activity, InstanceActivity::Saving(_)));
}

#[test]
fn unsaved_revocations_wait() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.saves = SaveMode::Fail;
    schedule.answer_with_lifetime("a", HOUR);
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(7200));
    assert_eq!(schedule.snapshot("a").readiness, Readiness::Ready);
    assert!(!schedule.calls_of("a").iter().any(|(_, word)| *word == "revoke"), "it is not saved that they are retired");
    schedule.saves = SaveMode::Succeed;
    schedule.advance(HOUR);
    assert!(schedule.calls_of("a").iter().any(|(_, word)| *word == "revoke"));
}

#[test]
fn unsaved_revocation_waits_while_the_service_fails() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.saves = SaveMode::Fail;
    schedule.complete("a", Span::secs(14 * 60));
    schedule.advance_until_called("a");
    assert_eq!((schedule.published_revision("a"), schedule.snapshot("a").published_unsaved), (Some(2), true));
    // The instance rests, the first lease is good and was to be revoked minutes ago, and the disk still has it as held.
    schedule.fail_call("a", FailureKind::Misconfigured);
    assert_eq!(schedule.call_kind("a"), "nothing");
    schedule.advance(Span::secs(20));
    assert!(!schedule.calls_of("a").iter().any(|(_, word)| *word == "revoke"), "{}", schedule.dump_log());
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(20));
    assert_eq!(schedule.call_kind("a"), "revoke", "{}", schedule.dump_log());
    let retired: Vec<_> = schedule.disk[&instance_name("a")].retired.iter().map(|it| it.lease.revision.0).collect();
    assert_eq!(retired, [1]);
}

#[test]
fn unsaved_lease_that_was_revoked_is_not_published() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.saves = SaveMode::Fail;
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    schedule.advance(HOUR);
    assert_eq!((schedule.published_revision("a"), reported(&schedule)), (None, vec![]));
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(15));
    assert!(matches!(schedule.running_call("a"), Some(ProviderCall::Obtain)));
    schedule.end_call("a", CallOutcome::NotRequired);
}

#[test]
fn unsaved_lease_is_saved_before_the_stop() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.answer_with_lifetime("a", HOUR);
    schedule.saves = SaveMode::Fail;
    schedule.advance(Span::secs(86_400));
    schedule.saves = SaveMode::Succeed;
    schedule.handle(ScheduleEvent::Stop);
    schedule.advance(Span::secs(15));
    assert!(schedule.machine.is_stopped());
    assert_eq!(
        schedule.disk[&instance_name("a")].lease.as_ref().map(|lease| lease.revision.0),
        schedule.published_revision("a")
    );
}

#[test]
fn unsaved_lease_is_not_published_if_others_may_take_over() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    let machine = std::mem::replace(&mut schedule.machine, Schedule::new(InitialBudget::Empty, 0));
    schedule.machine = machine.saving_first();
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.saves = SaveMode::Fail;
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(3000));
    assert_eq!((schedule.snapshot("a").readiness, reported(&schedule)), (Readiness::Expired, vec![]));
    assert!(schedule.snapshot("a").unsaved.is_some(), "the operator sees why");
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(15));
    assert_eq!((schedule.published_revision("a"), schedule.snapshot("a").readiness), (Some(2), Readiness::Ready));
}
