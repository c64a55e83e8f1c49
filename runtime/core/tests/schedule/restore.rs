use deputy_core::Span;
use deputy_core::schedule::{ConfigFingerprint, LeaseRecord, OperatorEvent, ProviderCall, Readiness, ScheduleEvent};
use deputy_test_support::{TestSchedule, instance_name, plain_plan, plan_with, renewing_plan, revoking_plan};

const HOUR: Span = Span::secs(3600);

#[test]
fn restore_publishes_valid_leases_without_a_call() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.complete("b", HOUR);
    schedule.advance(Span::secs(600));
    schedule.log.clear();
    schedule.crash();
    assert_eq!((schedule.published_revision("a"), schedule.published_revision("b")), (Some(1), Some(1)));
    assert_eq!(schedule.snapshot("a").readiness, Readiness::Ready);
    assert_eq!(schedule.advance_until_called("a"), 2_100_000, "when it would have been without the restart");
    assert_eq!(schedule.calls_of("a").len(), 1);
}

#[test]
fn restore_lease_can_be_renewed() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.complete("a", HOUR);
    schedule.crash();
    schedule.advance_until_called("a");
    assert!(matches!(schedule.running_call("a"), Some(ProviderCall::Renew(lease)) if lease.revision.0 == 1));
}

#[test]
fn restore_publishes_a_due_lease_while_it_is_replaced() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.crash();
    assert_eq!(schedule.published_revision("a"), Some(1));
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_revision("a"), Some(2), "numbers go on");
}

#[test]
fn restore_does_not_publish_an_expired_lease() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", Span::secs(60));
    schedule.advance_until_called("a");
    schedule.jump_clock(3_600_000);
    schedule.crash();
    assert_eq!(schedule.published_revision("a"), None);
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_revision("a"), Some(2));
}

#[test]
fn restore_serves_a_lease_of_an_old_configuration_meanwhile() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.complete("a", HOUR);
    schedule.configuration.plans.insert(
        instance_name("a"),
        plan_with(|plan| {
            plan.component = renewing_plan().component;
            plan.fingerprint = ConfigFingerprint([2; 16]);
        }),
    );
    schedule.crash();
    assert_eq!(schedule.published_revision("a"), Some(1));
    schedule.advance_until_called("a");
    assert_eq!(schedule.call_kind("a"), "obtain", "it is not prolonged");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_revision("a"), Some(2));
}

#[test]
fn restore_reports_and_deletes_records_of_unknown_instances() {
    let mut schedule = TestSchedule::new([("a", revoking_plan()), ("b", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.complete("b", HOUR);
    schedule.configuration.plans.remove(&instance_name("a"));
    schedule.crash();
    assert!(
        schedule
            .operator_events()
            .any(|notice| matches!(notice, OperatorEvent::Orphaned(of, _) if *of == instance_name("a")))
    );
    assert_eq!(schedule.disk.len(), 2, "it may come back");
    schedule.advance(Span::secs(3600));
    assert_eq!(schedule.disk.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(schedule.published.contains_key(&instance_name("b")));
}

#[test]
fn restore_of_a_damaged_record_loses_only_that_lease() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.complete("b", HOUR);
    schedule.disk.remove(&instance_name("a")); // the store reports it, and restores nothing
    schedule.crash();
    assert_eq!((schedule.published_revision("a"), schedule.published_revision("b")), (None, Some(1)));
    schedule.advance_until_called("a");
    assert_eq!((schedule.call_kind("a"), schedule.call_kind("b")), ("obtain", "nothing"));
}

#[test]
fn restore_of_an_empty_record_yields_no_lease() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.handle(ScheduleEvent::Restored(instance_name("a"), LeaseRecord::default()));
    schedule.configure("a", plain_plan());
    assert_eq!(schedule.call_kind("a"), "obtain");
}

#[test]
fn restore_after_the_configuration_is_ignored() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    let record = schedule.disk[&instance_name("a")].clone();
    schedule.handle(ScheduleEvent::Restored(instance_name("a"), record));
    schedule.reload();
    assert_eq!((schedule.published_revision("a"), schedule.disk.len()), (Some(1), 1));
}

#[test]
fn restore_after_a_clock_set_back_does_not_extend_a_lease() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", Span::secs(900));
    schedule.jump_clock(-3_600_000);
    schedule.crash();
    let wait = schedule.advance_until_called("a");
    assert!(wait <= 675_000, "{wait}");
}
