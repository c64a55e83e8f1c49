//! Leases that a coordinator could not save before it lost the lock, at the one that leads then.

use std::sync::Arc;

use deputy_core::schedule::{
    CallOutcome, ConfigFingerprint, InstancePlan, Lease, NotRevoked, OperatorEvent, OptionalExports, ProviderCall,
    ScheduleEvent,
};
use deputy_core::{Revision, SecretBytes, Span};
use deputy_test_support::{SaveMode, TestSchedule, instance_name, plan_with, revoking_plan};

const HOUR: Span = Span::secs(3600);

/// A process whose saves fail, with what it obtained.
fn unsaved(plan: InstancePlan) -> Lease {
    let mut schedule = TestSchedule::new([("a", plan)]);
    schedule.saves = SaveMode::Fail;
    schedule.complete("a", HOUR);
    let unsaved: Vec<Lease> = schedule.machine.unsaved_leases().map(|(_, lease)| lease.clone()).collect();
    let [lease] = &unsaved[..] else { panic!("{unsaved:?}") };
    // Another than that of the process which takes it in.
    let obtained_at = lease.obtained_at.minus(Span::secs(7));
    let payload = Arc::new(SecretBytes::new(b"unsaved".to_vec()));
    Lease { payload, obtained_at, issued_at: obtained_at, ..lease.clone() }
}

fn leave(schedule: &mut TestSchedule, lease: &Lease) {
    schedule.handle(ScheduleEvent::UnsavedLease(instance_name("a"), lease.clone()));
}

fn has_unsaved(schedule: &TestSchedule) -> bool {
    schedule.machine.has_unsaved(&instance_name("a"), schedule.now().wall)
}

#[test]
fn left_behind_are_the_leases_that_are_not_known_to_be_saved() {
    let mut schedule = TestSchedule::new([("a", revoking_plan()), ("b", revoking_plan()), ("c", plan_with(|_| {}))]);
    let unsaved = |schedule: &TestSchedule| -> Vec<(String, u64)> {
        let unsaved = schedule.machine.unsaved_leases();
        unsaved.map(|(name, lease)| (name.to_string(), lease.revision.0)).collect()
    };
    schedule.complete("a", HOUR);
    schedule.saves = SaveMode::Hold;
    schedule.complete("b", HOUR);
    schedule.complete("c", HOUR);
    assert_eq!(unsaved(&schedule), [("b".to_owned(), 1)], "`c` cannot revoke");
    schedule.release_saves();
    assert_eq!(unsaved(&schedule), []);
    schedule.crash();
    assert_eq!(unsaved(&schedule), [], "what was restored is saved");
}

#[test]
fn left_behind_lease_is_revoked_after_that_is_saved() {
    let lease = unsaved(revoking_plan());
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.saves = SaveMode::Hold;
    leave(&mut schedule, &lease);
    assert!(has_unsaved(&schedule) && schedule.call_kind("a") == "nothing");
    schedule.release_saves();
    assert!(!has_unsaved(&schedule), "it may be forgotten where it was left");
    let Some(ProviderCall::Revoke(revoked)) = schedule.running_call("a") else { panic!("{}", schedule.dump_log()) };
    assert_eq!(revoked.payload.expose(), b"unsaved");
    schedule.end_call("a", CallOutcome::Revoked);
    assert_eq!(schedule.published_revision("a"), Some(1), "what is held stays");
    assert!(schedule.disk[&instance_name("a")].retired.is_empty());
}

#[test]
fn left_behind_lease_survives_a_crash_of_the_one_that_took_it() {
    let lease = unsaved(revoking_plan());
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    leave(&mut schedule, &lease);
    schedule.crash();
    schedule.advance(Span::secs(1));
    assert_eq!(schedule.call_kind("a"), "revoke");
}

#[test]
fn left_behind_lease_that_was_saved_is_not_revoked() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    let held = schedule.disk[&instance_name("a")].lease.clone().unwrap();
    leave(&mut schedule, &held);
    assert!(!has_unsaved(&schedule) && schedule.call_kind("a") == "nothing");
    // The one that it was renewed to is the same token at the service.
    let renewed_from = Lease { payload: Arc::new(SecretBytes::new(b"before".to_vec())), ..held.clone() };
    leave(&mut schedule, &renewed_from);
    // One that waits to be revoked is revoked at its time.
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.complete("a", HOUR);
    leave(&mut schedule, &held);
    assert!(!has_unsaved(&schedule) && schedule.call_kind("a") == "nothing");
}

#[test]
fn left_behind_lease_waits_for_a_call_that_is_under_way() {
    let lease = unsaved(revoking_plan());
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    leave(&mut schedule, &lease);
    assert!(has_unsaved(&schedule) && schedule.call_kind("a") == "obtain");
    schedule.complete("a", HOUR);
    assert!(!has_unsaved(&schedule) && schedule.call_kind("a") == "revoke");
}

#[test]
fn left_behind_lease_reaches_no_other_component() {
    let lease = unsaved(revoking_plan());
    let other = plan_with(|plan| {
        plan.component = Some(OptionalExports { renews: false, revokes: true });
        plan.fingerprint = ConfigFingerprint([2; 16]);
    });
    let mut schedule = TestSchedule::new([("a", other)]);
    schedule.complete("a", HOUR);
    leave(&mut schedule, &lease);
    assert_eq!(schedule.call_kind("a"), "nothing");
    let is_reported =
        |event: &OperatorEvent| matches!(event, OperatorEvent::RevokeGivenUp(_, Revision(2), NotRevoked::Reconfigured));
    assert!(schedule.operator_events().any(is_reported) && !has_unsaved(&schedule), "{}", schedule.dump_log());

    let expiring = plan_with(|plan| {
        plan.component = Some(OptionalExports { renews: false, revokes: true });
        plan.policy.revoke.replaced = None;
    });
    let mut schedule = TestSchedule::new([("a", expiring)]);
    schedule.complete("a", HOUR);
    leave(&mut schedule, &lease);
    assert!(!has_unsaved(&schedule) && schedule.call_kind("a") == "nothing");
}

#[test]
fn left_behind_lease_of_an_unknown_instance_is_ignored() {
    let lease = unsaved(revoking_plan());
    let mut schedule = TestSchedule::unconfigured(1);
    leave(&mut schedule, &lease);
    assert!(!has_unsaved(&schedule) && schedule.log.is_empty());
}
