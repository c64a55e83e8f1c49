//! What an instance held is kept for a grace time after its removal.

use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, ConfigFingerprint, InstanceActivity, InstancePlan, NotRevoked, ORPHAN_GRACE, OperatorEvent,
    ProviderCall, REMOVAL_GRACE, Readiness, RevocationPolicy, ScheduleEvent,
};
use deputy_core::{Revision, Span};
use deputy_test_support::{Performed, SaveMode, TestSchedule, failure, instance_name, plain_plan, revoking_plan};

const DAY: Span = Span::secs(86_400);
const HALF: Span = Span::secs(300);

/// One whose lease is kept for the default time.
fn kept() -> InstancePlan {
    let mut plan = revoking_plan();
    plan.policy.revoke = RevocationPolicy::default();
    plan
}

fn changed() -> InstancePlan {
    InstancePlan { fingerprint: ConfigFingerprint([2; 16]), ..kept() }
}

/// One instance that holds a lease for ten days.
fn schedule() -> TestSchedule {
    let mut schedule = TestSchedule::new([("a", kept()), ("b", plain_plan())]);
    schedule.complete("a", Span::secs(10 * DAY.as_millis() / 1000));
    schedule.complete("b", Span::secs(10 * DAY.as_millis() / 1000));
    schedule
}

fn calls(schedule: &TestSchedule) -> Vec<&'static str> {
    schedule.calls_of("a").into_iter().map(|(_, word)| word).collect()
}

#[test]
fn removal_withdraws_at_once_and_revokes_after_the_grace() {
    let mut schedule = schedule();
    schedule.remove("a");
    assert_eq!((schedule.published_revision("a"), schedule.call_kind("a"), schedule.disk.len()), (None, "nothing", 2));
    let view = schedule.snapshot("a");
    assert_eq!(
        (view.activity, view.readiness, view.leaves_in),
        (InstanceActivity::Leaving, Readiness::NotNeeded, Some(REMOVAL_GRACE))
    );
    assert_eq!(schedule.advance_until_called("a"), REMOVAL_GRACE.as_millis());
    assert_eq!(schedule.call_kind("a"), "revoke");
    schedule.end_call("a", CallOutcome::Revoked);
    assert_eq!(schedule.disk.len(), 1);
    assert_eq!(schedule.published_revision("b"), Some(1));
}

#[test]
fn removal_undone_during_a_second_call_publishes_lease_at_once() {
    let mut schedule = schedule();
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.configure("a", changed()); // gives up the first call
    assert!(schedule.has_detached("a"));
    assert_eq!((schedule.call_kind("a"), schedule.published_revision("a")), ("obtain", Some(1)));
    schedule.remove("a");
    assert_eq!((schedule.call_kind("a"), schedule.published_revision("a")), ("obtain", None));
    schedule.configure("a", kept());
    assert_eq!((schedule.call_kind("a"), schedule.published_revision("a")), ("obtain", Some(1)));
    schedule.fail_call("a", FailureKind::Unavailable);
    assert_eq!(schedule.published_revision("a"), Some(1), "the failed call brought no other lease");
}

#[test]
fn removal_undone_resumes_the_lease() {
    let mut schedule = schedule();
    schedule.remove("a");
    schedule.advance(HALF);
    schedule.configure("a", kept());
    assert_eq!((schedule.published_revision("a"), calls(&schedule)), (Some(1), vec!["obtain"]));
    schedule.advance(DAY);
    assert_eq!((schedule.snapshot("a").activity, calls(&schedule)), (InstanceActivity::Holding, vec!["obtain"]));
    assert_eq!(schedule.disk[&instance_name("a")].removed, None);
    schedule.crash();
    assert_eq!(schedule.published_revision("a"), Some(1));
}

#[test]
fn removal_undone_with_another_configuration_revokes_the_lease() {
    let mut schedule = schedule();
    schedule.remove("a");
    schedule.advance(HALF);
    schedule.configure("a", changed());
    assert_eq!(
        (schedule.published_revision("a"), schedule.call_kind("a")),
        (None, "obtain"),
        "what another configuration got is not its own"
    );
    schedule.complete("a", DAY);
    assert!(
        matches!(schedule.running_call("a"), Some(ProviderCall::Revoke(lease)) if lease.fingerprint == kept().fingerprint)
    );
}

#[test]
fn removal_is_not_final_after_a_restart() {
    for restarts_without in [1, 3] {
        let mut schedule = schedule();
        schedule.remove("a");
        schedule.advance(HALF);
        for _ in 0..restarts_without {
            schedule.crash();
        }
        assert_eq!((schedule.published_revision("a"), schedule.disk.len()), (None, 2));
        schedule.configure("a", kept());
        assert_eq!((schedule.published_revision("a"), calls(&schedule)), (Some(1), vec!["obtain"]));
        assert_eq!(schedule.disk[&instance_name("a")].removed, None);
    }
}

#[test]
fn removal_before_a_restart_is_reported_when_the_grace_is_over() {
    let mut schedule = schedule();
    schedule.remove("a");
    schedule.crash();
    schedule.advance(REMOVAL_GRACE);
    assert_eq!((schedule.disk.len(), calls(&schedule)), (1, vec!["obtain"]));
    let reported = OperatorEvent::RevokeGivenUp(instance_name("a"), Revision(1), NotRevoked::Reconfigured);
    assert!(schedule.operator_events().any(|notice| *notice == reported));
}

#[test]
fn removal_during_a_restart_keeps_the_lease_for_a_day() {
    let mut schedule = schedule();
    schedule.configuration.plans.clear();
    schedule.crash();
    let reported = schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Orphaned(..))).count();
    assert_eq!((reported, schedule.disk.len(), schedule.machine.orphans(schedule.now()).count()), (2, 2, 2));
    schedule.advance(Span::secs(3600));
    schedule.configure("a", kept());
    assert_eq!((schedule.published_revision("a"), calls(&schedule)), (Some(1), vec!["obtain"]));
    schedule.advance(ORPHAN_GRACE);
    assert_eq!(schedule.disk.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["a"], "b was not configured again");
}

#[test]
fn removal_during_a_restart_drops_leases_of_old_configurations() {
    let mut schedule = schedule();
    schedule.configuration.plans.remove(&instance_name("a"));
    schedule.crash();
    schedule.configure("a", changed());
    assert_eq!(schedule.published_revision("a"), None);
    schedule.advance_until_called("a");
    assert_eq!(schedule.call_kind("a"), "obtain");
    let reported = OperatorEvent::RevokeGivenUp(instance_name("a"), Revision(1), NotRevoked::Reconfigured);
    assert!(schedule.operator_events().any(|notice| *notice == reported));
}

#[test]
fn removal_is_not_hastened_by_a_clock_jump() {
    let mut schedule = schedule();
    schedule.remove("a");
    schedule.jump_clock(3_600_000);
    schedule.jump_clock(-7_200_000);
    assert_eq!(schedule.call_kind("a"), "nothing");
    assert_eq!(schedule.advance_until_called("a"), REMOVAL_GRACE.as_millis());
}

#[test]
fn removal_is_hastened_by_an_operator() {
    let mut schedule = schedule();
    schedule.remove("a");
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    assert_eq!(schedule.call_kind("a"), "revoke");
    schedule.end_call("a", CallOutcome::Revoked);
    assert_eq!(schedule.disk.len(), 1);
}

#[test]
fn removal_of_a_lease_that_expires_leaves_nothing() {
    let mut schedule = TestSchedule::new([("a", kept())]);
    schedule.complete("a", Span::secs(60));
    schedule.remove("a");
    schedule.advance(Span::secs(60));
    assert_eq!((schedule.disk.len(), calls(&schedule)), (0, vec!["obtain"]));
    assert!(
        !schedule.operator_events().any(|notice| matches!(notice, OperatorEvent::Expired(..))),
        "no worker waits for another lease"
    );
}

#[test]
fn removal_keeps_the_lease_when_the_coordinator_stops() {
    let mut schedule = schedule();
    schedule.remove("a");
    schedule.handle(ScheduleEvent::Stop);
    assert!(schedule.machine.is_stopped());
    assert_eq!((schedule.disk.len(), calls(&schedule)), (2, vec!["obtain"]));
}

#[test]
fn removal_continues_revocations_of_replaced_leases() {
    let mut schedule = schedule();
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.complete("a", DAY);
    schedule.remove("a");
    assert_eq!(schedule.advance_until_called("a"), 300_000);
    assert!(matches!(schedule.running_call("a"), Some(ProviderCall::Revoke(lease)) if lease.revision == Revision(1)));
    schedule.end_call("a", failure(FailureKind::Unavailable));
    schedule.answer_with_lifetime("a", DAY);
    schedule.advance(REMOVAL_GRACE);
    assert_eq!(schedule.disk.len(), 1);
}

#[test]
fn removal_undone_twice_saves_before_it_revokes() {
    let mut schedule = schedule();
    schedule.saves = SaveMode::Hold;
    schedule.log.clear();
    schedule.remove("a"); // which is being saved
    schedule.configure("a", changed()); // what it holds is another's, and is to be revoked
    schedule.remove("a");
    schedule.release_saves();
    assert_eq!(schedule.call_kind("a"), "revoke");
    let before = schedule.log.iter().map(|(_, did)| did).take_while(|did| !matches!(did, Performed::Call(..)));
    let saves = before.filter(|did| **did == Performed::Save("a".to_owned())).count();
    assert_eq!(saves, 2, "it is on the disk that the lease is to be revoked");
}

#[test]
fn removal_ends_the_lease_while_another_waits_for_a_place() {
    let mut schedule = schedule();
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.complete("a", Span::secs(10 * DAY.as_millis() / 1000)); // the first one is to be revoked
    schedule.handle(ScheduleEvent::Renew(instance_name("b")));
    schedule.configuration.calls = 1; // which this call of b has
    schedule.remove("a");
    schedule.advance(REMOVAL_GRACE);
    assert_eq!(schedule.call_kind("a"), "nothing");
    assert!(schedule.disk[&instance_name("a")].lease.is_none(), "its grace is over, whatever else waits");
}
