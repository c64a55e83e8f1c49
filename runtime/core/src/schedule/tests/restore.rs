use super::world::{World, name, plain, plan, renewing, revoking};
use crate::Span;
use crate::schedule::{ConfigFingerprint, LeaseRecord, OperatorEvent, ProviderCall, Readiness, ScheduleEvent};

const HOUR: Span = Span::secs(3600);

#[test]
fn good_leases_are_published_at_once_after_a_restart_and_not_obtained_again() {
    let mut world = World::new([("a", plain()), ("b", plain())]);
    world.bring("a", HOUR);
    world.bring("b", HOUR);
    world.pass(Span::secs(600));
    world.log.clear();
    world.crash();
    assert_eq!((world.revision("a"), world.revision("b")), (Some(1), Some(1)));
    assert_eq!(world.view("a").readiness, Readiness::Ready);
    assert_eq!(world.until_called("a"), 2_100_000, "when it would have been without the restart");
    assert_eq!(world.called("a").len(), 1);
}

#[test]
fn a_restored_lease_can_be_renewed() {
    let mut world = World::new([("a", renewing())]);
    world.bring("a", HOUR);
    world.crash();
    world.until_called("a");
    assert!(matches!(world.work("a"), Some(ProviderCall::Renew(lease)) if lease.revision.0 == 1));
}

#[test]
fn a_restored_lease_that_is_due_is_given_out_while_it_is_replaced() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.until_called("a");
    world.crash();
    assert_eq!(world.revision("a"), Some(1));
    world.until_called("a");
    world.bring("a", HOUR);
    assert_eq!(world.revision("a"), Some(2), "numbers go on");
}

#[test]
fn a_restored_lease_that_ended_is_not_published() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", Span::secs(60));
    world.until_called("a");
    world.jump(3_600_000);
    world.crash();
    assert_eq!(world.revision("a"), None);
    world.until_called("a");
    world.bring("a", HOUR);
    assert_eq!(world.revision("a"), Some(2));
}

#[test]
fn a_lease_of_another_configuration_is_served_while_it_is_replaced() {
    let mut world = World::new([("a", renewing())]);
    world.bring("a", HOUR);
    world.configuration.plans.insert(
        name("a"),
        plan(|plan| {
            plan.component = renewing().component;
            plan.fingerprint = ConfigFingerprint([2; 16]);
        }),
    );
    world.crash();
    assert_eq!(world.revision("a"), Some(1));
    world.until_called("a");
    assert_eq!(world.word("a"), "obtain", "it is not prolonged");
    world.bring("a", HOUR);
    assert_eq!(world.revision("a"), Some(2));
}

#[test]
fn what_is_saved_of_an_instance_that_is_not_configured_is_told_and_forgotten() {
    let mut world = World::new([("a", revoking()), ("b", plain())]);
    world.bring("a", HOUR);
    world.bring("b", HOUR);
    world.configuration.plans.remove(&name("a"));
    world.crash();
    assert!(world.notices().any(|notice| matches!(notice, OperatorEvent::Orphaned(of, _) if *of == name("a"))));
    assert_eq!(world.disk.len(), 2, "it may come back");
    world.pass(Span::secs(3600));
    assert_eq!(world.disk.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(world.published.contains_key(&name("b")));
}

#[test]
fn a_damaged_record_costs_only_the_lease_in_it() {
    let mut world = World::new([("a", plain()), ("b", plain())]);
    world.bring("a", HOUR);
    world.bring("b", HOUR);
    world.disk.remove(&name("a")); // the store reports it, and restores nothing
    world.crash();
    assert_eq!((world.revision("a"), world.revision("b")), (None, Some(1)));
    world.until_called("a");
    assert_eq!((world.word("a"), world.word("b")), ("obtain", "nothing"));
}

#[test]
fn an_empty_record_is_no_lease() {
    let mut world = World::silent(1);
    world.handle(ScheduleEvent::Restored(name("a"), LeaseRecord::default()));
    world.plan("a", plain());
    assert_eq!(world.word("a"), "obtain");
}

#[test]
fn what_is_restored_too_late_harms_nobody() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    let record = world.disk[&name("a")].clone();
    world.handle(ScheduleEvent::Restored(name("a"), record));
    world.reload();
    assert_eq!((world.revision("a"), world.disk.len()), (Some(1), 1));
}

#[test]
fn a_lease_from_a_clock_that_was_set_back_meanwhile_is_not_kept_for_longer_than_its_life() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", Span::secs(900));
    world.jump(-3_600_000);
    world.crash();
    let wait = world.until_called("a");
    assert!(wait <= 675_000, "{wait}");
}
