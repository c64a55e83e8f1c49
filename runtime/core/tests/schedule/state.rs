//! What an instance keeps as state outlives its leases, and goes a day after they do.

use deputy_core::schedule::{
    CallOutcome, InstancePlan, LeaseRecord, ORPHAN_GRACE, OperatorEvent, REMOVAL_GRACE, ScheduleEvent,
};
use deputy_core::{Revision, Span};
use deputy_test_support::{TestSchedule, failure, instance_name, plan_with};

const HOUR: Span = Span::secs(3600);

fn stateful() -> InstancePlan {
    plan_with(|plan| plan.keeps_state = true)
}

fn schedule() -> TestSchedule {
    TestSchedule::new([("a", stateful())])
}

fn orphans(schedule: &TestSchedule) -> usize {
    schedule.machine.orphans(schedule.now()).count()
}

#[test]
fn state_is_kept_for_a_day_after_the_last_lease() {
    let mut schedule = schedule();
    schedule.complete("a", HOUR);
    schedule.remove("a");
    assert_eq!((schedule.published_revision("a"), orphans(&schedule), schedule.disk.len()), (None, 1, 1));
    assert!(schedule.disk[&instance_name("a")].lease.is_none(), "the lease goes as it would without state");
    assert!(schedule.operator_events().any(|event| matches!(event, OperatorEvent::Orphaned(..))));
    schedule.advance(ORPHAN_GRACE);
    assert_eq!((orphans(&schedule), schedule.disk.len()), (0, 0));
}

#[test]
fn state_without_a_lease_is_kept_for_a_day() {
    let mut schedule = schedule();
    schedule.end_call("a", failure(deputy_core::failure::FailureKind::Unavailable));
    schedule.remove("a");
    assert_eq!((orphans(&schedule), schedule.disk.len()), (1, 1));
    schedule.crash();
    assert_eq!((orphans(&schedule), schedule.disk.len()), (1, 1));
    schedule.advance(ORPHAN_GRACE);
    assert_eq!((orphans(&schedule), schedule.disk.len()), (0, 0));
}

#[test]
fn state_is_taken_up_by_an_instance_that_comes_back() {
    let mut schedule = schedule();
    schedule.complete("a", HOUR);
    schedule.remove("a");
    schedule.advance(Span::secs(7200));
    schedule.configure("a", stateful());
    schedule.complete("a", HOUR);
    let record = &schedule.disk[&instance_name("a")];
    assert_eq!((orphans(&schedule), record.removed, record.revision), (0, None, Revision(2)));
    schedule.advance(ORPHAN_GRACE);
    assert_eq!(schedule.disk.len(), 1);
}

#[test]
fn state_survives_a_restart_during_the_grace_of_the_lease() {
    let mut plan = stateful();
    plan.policy.revoke.removed = Some(REMOVAL_GRACE);
    let mut schedule = TestSchedule::new([("a", plan)]);
    schedule.complete("a", HOUR);
    schedule.remove("a");
    schedule.advance(Span::secs(60));
    schedule.crash();
    schedule.advance(REMOVAL_GRACE);
    assert_eq!((orphans(&schedule), schedule.disk.len()), (1, 1), "its lease would be deleted by now");
    schedule.advance(ORPHAN_GRACE);
    assert_eq!(schedule.disk.len(), 0);
}

#[test]
fn state_found_after_a_restart_outlives_an_expired_lease() {
    let mut schedule = schedule();
    schedule.complete("a", HOUR);
    schedule.configuration.plans.clear();
    schedule.advance(Span::secs(60));
    schedule.crash();
    schedule.advance(Span::secs(7200));
    assert_eq!((orphans(&schedule), schedule.disk.len()), (1, 1));
    schedule.advance(ORPHAN_GRACE);
    assert_eq!(schedule.disk.len(), 0);
}

#[test]
fn state_of_an_earlier_configuration_is_not_forgotten() {
    let mut schedule = schedule();
    schedule.complete("a", HOUR);
    schedule.configure("a", plan_with(|_| {}));
    schedule.remove("a");
    assert_eq!(orphans(&schedule), 1, "the grant was withdrawn, and what was saved is still there");
}

#[test]
fn state_does_not_keep_the_coordinator_from_stopping() {
    let mut schedule = schedule();
    schedule.complete("a", HOUR);
    schedule.remove("a");
    schedule.handle(ScheduleEvent::Stop);
    assert!(schedule.machine.is_stopped());
}

#[test]
fn state_is_kept_after_leases_are_revoked() {
    let mut plan = stateful();
    plan.component = Some(deputy_core::schedule::OptionalExports { renews: false, revokes: true });
    let mut schedule = TestSchedule::new([("a", plan)]);
    schedule.complete("a", HOUR);
    schedule.remove("a");
    assert_eq!((schedule.call_kind("a"), orphans(&schedule)), ("revoke", 0));
    schedule.end_call("a", CallOutcome::Revoked);
    assert_eq!(orphans(&schedule), 1);
}

#[test]
fn state_is_found_without_a_lease_record() {
    let mut schedule = TestSchedule::unconfigured(1);
    let record = LeaseRecord { keeps_state: true, ..LeaseRecord::default() };
    schedule.handle(ScheduleEvent::Restored(instance_name("a"), record));
    schedule.configure("b", stateful());
    assert_eq!(orphans(&schedule), 1);
}
