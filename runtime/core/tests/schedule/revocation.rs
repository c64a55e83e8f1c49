use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, InstancePlan, NotRevoked, OperatorEvent, OptionalExports, ProviderCall, REMOVAL_GRACE, Readiness,
    RevocationPolicy, ScheduleEvent, Switch,
};
use deputy_core::{Revision, Span};
use deputy_test_support::{TestSchedule, failure, instance_name, plain_plan, plan_with, revoking_plan, tokens_for};

const HOUR: Span = Span::secs(3600);

fn revoking_with(revoke: RevocationPolicy) -> InstancePlan {
    plan_with(|plan| {
        plan.component = revoking_plan().component;
        plan.policy.revoke = revoke;
    })
}

/// The revision that is being revoked.
fn revoked(schedule: &TestSchedule) -> Option<u64> {
    match schedule.running_call("a") {
        Some(ProviderCall::Revoke(lease)) => Some(lease.revision.0),
        _ => None,
    }
}

#[test]
fn revocation_of_a_replaced_lease_follows_the_grace() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.snapshot("a").retired, 1);
    assert_eq!(schedule.advance_until_called("a"), 300_000);
    assert_eq!((revoked(&schedule), schedule.published_revision("a")), (Some(1), Some(2)));
    schedule.end_call("a", CallOutcome::Revoked);
    assert_eq!(schedule.snapshot("a").retired, 0);
    schedule.advance(Span::secs(600));
    assert_eq!(schedule.calls_of("a").len(), 3);
}

#[test]
fn revocation_that_waits_does_not_hide_the_next_renewal() {
    let mut schedule = TestSchedule::new([("a", revoking_plan()), ("b", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.complete("b", HOUR);
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.complete("a", HOUR);
    let next = schedule.snapshot("a").next;
    schedule.configuration.calls = 1;
    schedule.reload();
    schedule.handle(ScheduleEvent::Renew(instance_name("b")));
    schedule.advance(Span::secs(300));
    assert_eq!(
        (schedule.call_kind("a"), schedule.call_kind("b")),
        ("nothing", "obtain"),
        "there is one place for a call"
    );
    assert!(next.is_some());
    assert_eq!(schedule.snapshot("a").next, next);
}

#[test]
fn revocation_skips_a_lease_that_expires_within_the_grace() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", Span::secs(1000));
    schedule.advance_until_called("a");
    schedule.complete("a", Span::secs(1000));
    assert_eq!(schedule.snapshot("a").retired, 0, "it had 250 seconds");
}

#[test]
fn revocation_is_skipped_where_configured_or_unsupported() {
    for plan in [revoking_with(RevocationPolicy { replaced: None, ..RevocationPolicy::default() }), plain_plan()] {
        let mut schedule = TestSchedule::new([("a", plan)]);
        schedule.complete("a", HOUR);
        schedule.advance_until_called("a");
        schedule.complete("a", HOUR);
        schedule.advance(Span::secs(2000));
        assert!(schedule.calls_of("a").iter().all(|(_, word)| *word == "obtain"));
    }
}

#[test]
fn revocation_skips_a_renewed_lease() {
    let mut schedule = TestSchedule::new([(
        "a",
        plan_with(|plan| plan.component = Some(OptionalExports { renews: true, revokes: true })),
    )]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.snapshot("a").retired, 0, "it is the same token at the service");
}

#[test]
fn revocation_by_an_operator_withdraws_at_once_and_replaces() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    assert_eq!((schedule.published_revision("a"), schedule.call_kind("a")), (None, "obtain"));
    assert_eq!(schedule.snapshot("a").readiness, Readiness::Missing);
    schedule.complete("a", HOUR);
    assert_eq!((schedule.published_revision("a"), revoked(&schedule)), (Some(3), Some(1)));
    schedule.end_call("a", CallOutcome::Revoked);
    assert_eq!(revoked(&schedule), Some(2), "the replaced one does not wait for its grace");
    schedule.end_call("a", CallOutcome::Revoked);
    assert_eq!((schedule.snapshot("a").retired, schedule.call_kind("a")), (0, "nothing"));
}

#[test]
fn revocation_by_an_operator_aborts_a_running_call() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    let first = schedule.call_id("a").unwrap();
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    let second = schedule.call_id("a").unwrap();
    assert_ne!(first, second);
    schedule.handle(ScheduleEvent::Finished(first, tokens_for(schedule.now(), HOUR)));
    assert_eq!(schedule.published_revision("a"), None, "what it brings is ignored");
}

#[test]
fn revocation_that_is_unsupported_withdraws_and_reports() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    assert_eq!((schedule.published_revision("a"), schedule.call_kind("a")), (None, "obtain"));
    assert!(
        schedule
            .operator_events()
            .any(|notice| *notice == OperatorEvent::RevokeGivenUp(instance_name("a"), Revision(1), NotRevoked::Unable))
    );
}

#[test]
fn revocation_of_a_removed_instance_withdraws_and_deletes_it() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.remove("a");
    assert_eq!((schedule.published_revision("a"), revoked(&schedule)), (None, Some(1)));
    schedule.end_call("a", CallOutcome::Revoked);
    assert!(schedule.disk.is_empty());
    assert_eq!(schedule.machine.instances(schedule.now()).count(), 0);
}

#[test]
fn revocation_skipped_for_a_removed_instance_only_deletes_it() {
    for plan in
        [revoking_with(RevocationPolicy { removed: None, replaced: None, ..RevocationPolicy::default() }), plain_plan()]
    {
        let mut schedule = TestSchedule::new([("a", plan)]);
        schedule.complete("a", HOUR);
        schedule.advance_until_called("a");
        schedule.complete("a", HOUR);
        schedule.remove("a");
        assert_eq!((schedule.published_revision("a"), schedule.call_kind("a")), (None, "nothing"));
        schedule.advance(REMOVAL_GRACE);
        assert_eq!((schedule.call_kind("a"), schedule.disk.len()), ("nothing", 0));
    }
}

#[test]
fn revocation_that_runs_is_not_changed_by_a_reload() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.remove("a");
    let call = schedule.call_id("a");
    schedule.reload();
    assert_eq!((schedule.call_id("a"), call.is_some()), (call, true));
}

#[test]
fn revocation_that_fails_is_reported_and_retried() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.remove("a");
    for _ in 0..4 {
        schedule.fail_call("a", FailureKind::Unavailable);
        let Some(OperatorEvent::RevokeFailed(_, revision, _, wait)) = schedule.operator_events().last().cloned() else {
            panic!("the failure is not reported");
        };
        assert_eq!(revision, Revision(1));
        assert_eq!(schedule.advance_until_called("a"), wait.as_millis());
    }
    schedule.end_call("a", CallOutcome::Revoked);
    assert!(schedule.disk.is_empty());
}

#[test]
fn revocation_is_given_up_and_reported_when_the_lease_expires() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", Span::secs(100));
    schedule.answer_calls("a", |_, _| Some((Span::millis(10), failure(FailureKind::Denied))));
    schedule.remove("a");
    schedule.advance(Span::secs(100));
    assert!(
        schedule
            .operator_events()
            .any(|notice| *notice == OperatorEvent::RevokeGivenUp(instance_name("a"), Revision(1), NotRevoked::Ended))
    );
    assert!(schedule.disk.is_empty());
}

#[test]
fn revocation_aborted_by_a_due_obtain_is_retried() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", Span::secs(1000));
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.complete("a", Span::secs(1000));
    assert_eq!(schedule.advance_until_called("a"), 300_000);
    assert_eq!(revoked(&schedule), Some(1));
    assert_eq!(schedule.advance_until_called("a"), 450_000, "it hung until the second lease was due");
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.complete("a", Span::secs(1000));
    assert_eq!(schedule.advance_until_called("a"), 1000);
    assert_eq!(revoked(&schedule), Some(1));
}

#[test]
fn revocation_that_keeps_failing_delays_no_other() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    for _ in 0..2 {
        schedule.complete("a", HOUR);
        schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    }
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    assert_eq!(revoked(&schedule), Some(1));
    schedule.fail_call("a", FailureKind::Denied);
    schedule.advance_until_called("a");
    assert_eq!(revoked(&schedule), Some(2));
}

#[test]
fn revocation_that_is_throttled_pauses_its_upstream() {
    let mut schedule = TestSchedule::new([("a", revoking_plan()), ("b", plain_plan())]);
    schedule.fail_call("b", FailureKind::Unavailable);
    schedule.complete("a", HOUR);
    schedule.remove("a");
    schedule.throttle_call("a", Span::secs(120));
    assert!(schedule.advance_until_called("b") >= 120_000);
}

#[test]
fn revocation_on_shutdown_happens_where_configured() {
    let mut schedule = TestSchedule::new([
        ("a", revoking_with(RevocationPolicy { shutdown: Switch::Revoke, ..RevocationPolicy::default() })),
        ("b", revoking_plan()),
    ]);
    schedule.complete("a", HOUR);
    schedule.complete("b", HOUR);
    schedule.handle(ScheduleEvent::Stop);
    assert_eq!((revoked(&schedule), schedule.call_kind("b")), (Some(1), "nothing"));
    assert_eq!((schedule.published_revision("a"), schedule.published_revision("b")), (None, Some(1)));
    assert!(!schedule.machine.is_stopped());
    schedule.end_call("a", CallOutcome::Revoked);
    assert!(schedule.machine.is_stopped());
    assert!(schedule.disk[&instance_name("a")].lease.is_none());
}

#[test]
fn revocation_on_shutdown_that_fails_is_left_for_the_next_start() {
    let mut schedule = TestSchedule::new([(
        "a",
        revoking_with(RevocationPolicy { shutdown: Switch::Revoke, ..RevocationPolicy::default() }),
    )]);
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Stop);
    schedule.fail_call("a", FailureKind::Unavailable);
    assert!(schedule.machine.is_stopped());
    schedule.crash();
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    assert_eq!(revoked(&schedule), Some(1));
}

#[test]
fn revocation_on_shutdown_keeps_leases_that_cannot_be_revoked() {
    let mut schedule = TestSchedule::new([(
        "a",
        plan_with(|plan| {
            plan.policy.revoke = RevocationPolicy { shutdown: Switch::Revoke, ..RevocationPolicy::default() }
        }),
    )]);
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Stop);
    assert!(schedule.machine.is_stopped());
    assert_eq!(schedule.disk[&instance_name("a")].lease.as_ref().map(|lease| lease.revision), Some(Revision(1)));
}

#[test]
fn revocation_that_waits_survives_a_restart() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(100));
    schedule.crash();
    assert_eq!((schedule.advance_until_called("a"), revoked(&schedule)), (200_000, Some(1)));
}
