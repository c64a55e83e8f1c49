use deputy_core::Span;
use deputy_core::schedule::{InstanceActivity, OperatorEvent, Readiness, RevocationPolicy, ScheduleEvent};
use deputy_test_support::{
    Performed, SaveMode, TestSchedule, instance_name, plain_plan, plan_with, revoking_plan, tokens_for,
};

const HOUR: Span = Span::secs(3600);

#[test]
fn saving_comes_before_publishing() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.saves = SaveMode::Hold;
    schedule.complete("a", HOUR);
    assert_eq!(
        (schedule.snapshot("a").activity, schedule.snapshot("a").readiness),
        (InstanceActivity::Saving(0), Readiness::Missing)
    );
    schedule.advance(Span::secs(60));
    assert!(schedule.published.is_empty());
    schedule.release_saves();
    assert_eq!(schedule.published_revision("a"), Some(1));
    let order: Vec<&Performed> = schedule.log.iter().map(|(_, did)| did).collect();
    assert!(matches!(order[..], [Performed::Call(..), Performed::Save(_), Performed::Publish(..)]));
}

#[test]
fn saving_that_fails_is_reported_and_retried() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.saves = SaveMode::Fail;
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(600));
    let saves = schedule.count(&Performed::Save("a".to_owned()));
    assert!((30..=100).contains(&saves), "{saves} in ten minutes: from half a second to 15 seconds apart");
    let reported = schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::SaveFailed(..))).count();
    assert_eq!(reported, saves);
    assert!(
        matches!(schedule.snapshot("a").activity, InstanceActivity::Saving(failures) if failures as usize == saves)
    );
    assert!(schedule.snapshot("a").unsaved.is_some());
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(15));
    assert_eq!((schedule.published_revision("a"), schedule.snapshot("a").unsaved), (Some(1), None));
}

#[test]
fn saving_failure_keeps_the_old_lease_published() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.saves = SaveMode::Fail;
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(500));
    assert_eq!((schedule.published_revision("a"), schedule.snapshot("a").readiness), (Some(1), Readiness::Ready));
    assert_eq!(schedule.snapshot("a").lease.unwrap().revision.0, 1, "what others have is shown");
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(15));
    assert_eq!(schedule.published_revision("a"), Some(2));
}

#[test]
fn saving_failure_of_one_instance_delays_no_other() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan())]);
    schedule.complete("b", HOUR);
    schedule.saves = SaveMode::Hold;
    schedule.complete("a", HOUR);
    schedule.saves = SaveMode::Succeed;
    schedule.handle(ScheduleEvent::Renew(instance_name("b")));
    schedule.complete("b", HOUR);
    assert_eq!(schedule.published_revision("b"), Some(2));
}

#[test]
fn saving_replaces_a_lease_that_expired_unsaved() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.saves = SaveMode::Hold;
    schedule.complete("a", Span::secs(60));
    schedule.advance(Span::secs(61));
    schedule.release_saves();
    assert_eq!((schedule.published_revision("a"), schedule.call_kind("a")), (None, "obtain"));
}

#[test]
fn saving_failure_does_not_stop_an_operators_withdrawal() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.saves = SaveMode::Fail;
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(60));
    assert_eq!(schedule.published_revision("a"), Some(1));
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    assert_eq!(
        (schedule.published_revision("a"), schedule.call_kind("a")),
        (None, "nothing"),
        "but nothing is called before it is saved"
    );
    schedule.advance(Span::secs(60));
    assert_eq!(schedule.snapshot("a").retired, 2, "the one that was never given out as well");
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(15));
    assert_eq!(schedule.call_kind("a"), "obtain");
}

#[test]
fn saving_lease_revoked_meanwhile_is_never_published() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.saves = SaveMode::Hold;
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    schedule.release_saves();
    assert_eq!(schedule.count(&Performed::Publish("a".to_owned(), 1)), 0);
    assert_eq!(schedule.call_kind("a"), "obtain");
}

#[test]
fn saving_does_not_delay_a_withdrawal() {
    let mut schedule = TestSchedule::new([("a", revoking_plan()), ("b", revoking_plan())]);
    for text in ["a", "b"] {
        schedule.complete(text, HOUR);
        schedule.handle(ScheduleEvent::Renew(instance_name(text)));
    }
    schedule.saves = SaveMode::Hold;
    for text in ["a", "b"] {
        schedule.complete(text, HOUR);
    }
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    schedule.remove("b");
    assert!(schedule.published.is_empty());
    schedule.release_saves();
    assert!(schedule.published.is_empty());
}

#[test]
fn saving_renew_request_does_not_cancel_a_revoke_request() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.saves = SaveMode::Hold;
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.release_saves();
    assert_eq!((schedule.snapshot("a").retired, schedule.count(&Performed::Publish("a".to_owned(), 1))), (1, 0));
}

#[test]
fn saving_lease_removed_meanwhile_is_never_published() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.saves = SaveMode::Hold;
    schedule.complete("a", HOUR);
    schedule.remove("a");
    schedule.release_saves();
    assert!(schedule.published.is_empty() && schedule.disk.is_empty());
}

#[test]
fn saving_the_intent_comes_before_the_revocation() {
    let revoke = RevocationPolicy { removed: Some(Span::millis(0)), ..RevocationPolicy::default() };
    let mut schedule = TestSchedule::new([(
        "a",
        plan_with(|plan| {
            plan.component = revoking_plan().component;
            plan.policy.revoke = revoke;
        }),
    )]);
    schedule.complete("a", HOUR);
    schedule.saves = SaveMode::Hold;
    schedule.remove("a");
    assert_eq!((schedule.call_kind("a"), schedule.published_revision("a")), ("nothing", None));
    schedule.release_saves();
    assert_eq!(schedule.call_kind("a"), "revoke");
}

#[test]
fn saving_retries_a_failed_delete() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.saves = SaveMode::Fail;
    schedule.remove("a");
    schedule.advance(Span::secs(60));
    assert_eq!(schedule.snapshot("a").activity, InstanceActivity::Leaving);
    assert!(!schedule.disk.is_empty());
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(15));
    assert!(schedule.disk.is_empty());
    assert_eq!(schedule.machine.instances(schedule.now()).count(), 0);
}

#[test]
fn saving_ignores_an_unknown_save_id() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    let before = schedule.log.len();
    schedule.handle(ScheduleEvent::Saved(deputy_core::schedule::SaveId(999)));
    schedule.handle(ScheduleEvent::SaveFailed(deputy_core::schedule::SaveId(999), String::new()));
    assert_eq!(schedule.log.len(), before);
    schedule.end_call("a", tokens_for(schedule.now(), HOUR));
    assert_eq!(schedule.published_revision("a"), Some(2));
}
