//! What an instance held is kept for a grace time after its removal.

use super::world::{World, failed, name, plain, revoking};
use crate::failure::FailureKind;
use crate::schedule::{
    CallOutcome, ConfigFingerprint, InstanceActivity, InstancePlan, NotRevoked, ORPHAN_GRACE, OperatorEvent,
    ProviderCall, REMOVAL_GRACE, Readiness, RevocationPolicy, ScheduleEvent,
};
use crate::{Revision, Span};

const DAY: Span = Span::secs(86_400);
const HALF: Span = Span::secs(300);

/// One whose lease is kept for the default time.
fn kept() -> InstancePlan {
    let mut plan = revoking();
    plan.policy.revoke = RevocationPolicy::default();
    plan
}

fn changed() -> InstancePlan {
    InstancePlan { fingerprint: ConfigFingerprint([2; 16]), ..kept() }
}

/// One instance that holds a lease for ten days.
fn world() -> World {
    let mut world = World::new([("a", kept()), ("b", plain())]);
    world.bring("a", Span::secs(10 * DAY.as_millis() / 1000));
    world.bring("b", Span::secs(10 * DAY.as_millis() / 1000));
    world
}

fn calls(world: &World) -> Vec<&'static str> {
    world.called("a").into_iter().map(|(_, word)| word).collect()
}

#[test]
fn removal_withdraws_at_once_and_revokes_after_the_grace() {
    let mut world = world();
    world.remove("a");
    assert_eq!((world.revision("a"), world.word("a"), world.disk.len()), (None, "nothing", 2));
    let view = world.view("a");
    assert_eq!(
        (view.doing, view.readiness, view.leaves_in),
        (InstanceActivity::Leaving, Readiness::NotNeeded, Some(REMOVAL_GRACE))
    );
    assert_eq!(world.until_called("a"), REMOVAL_GRACE.as_millis());
    assert_eq!(world.word("a"), "revoke");
    world.end("a", CallOutcome::Revoked);
    assert_eq!(world.disk.len(), 1);
    assert_eq!(world.revision("b"), Some(1));
}

#[test]
fn removal_that_is_undone_takes_the_lease_up_again() {
    let mut world = world();
    world.remove("a");
    world.pass(HALF);
    world.plan("a", kept());
    assert_eq!((world.revision("a"), calls(&world)), (Some(1), vec!["obtain"]));
    world.pass(DAY);
    assert_eq!((world.view("a").doing, calls(&world)), (InstanceActivity::Holding, vec!["obtain"]));
    assert_eq!(world.disk[&name("a")].removed, None);
    world.crash();
    assert_eq!(world.revision("a"), Some(1));
}

#[test]
fn removal_that_ends_with_another_configuration_revokes_the_old_lease() {
    let mut world = world();
    world.remove("a");
    world.pass(HALF);
    world.plan("a", changed());
    assert_eq!(
        (world.revision("a"), world.word("a")),
        (None, "obtain"),
        "what another configuration got is not its own"
    );
    world.bring("a", DAY);
    assert!(matches!(world.work("a"), Some(ProviderCall::Revoke(lease)) if lease.fingerprint == kept().fingerprint));
}

#[test]
fn removal_is_not_final_after_a_restart() {
    for restarts_without in [1, 3] {
        let mut world = world();
        world.remove("a");
        world.pass(HALF);
        for _ in 0..restarts_without {
            world.crash();
        }
        assert_eq!((world.revision("a"), world.disk.len()), (None, 2));
        world.plan("a", kept());
        assert_eq!((world.revision("a"), calls(&world)), (Some(1), vec!["obtain"]));
        assert_eq!(world.disk[&name("a")].removed, None);
    }
}

#[test]
fn removal_before_a_restart_is_reported_when_the_grace_is_over() {
    let mut world = world();
    world.remove("a");
    world.crash();
    world.pass(REMOVAL_GRACE);
    assert_eq!((world.disk.len(), calls(&world)), (1, vec!["obtain"]));
    let told = OperatorEvent::RevokeGivenUp(name("a"), Revision(1), NotRevoked::Reconfigured);
    assert!(world.notices().any(|notice| *notice == told));
}

#[test]
fn removal_during_a_restart_keeps_the_lease_for_a_day() {
    let mut world = world();
    world.configuration.plans.clear();
    world.crash();
    let told = world.notices().filter(|notice| matches!(notice, OperatorEvent::Orphaned(..))).count();
    assert_eq!((told, world.disk.len(), world.schedule.orphans(world.now()).count()), (2, 2, 2));
    world.pass(Span::secs(3600));
    world.plan("a", kept());
    assert_eq!((world.revision("a"), calls(&world)), (Some(1), vec!["obtain"]));
    world.pass(ORPHAN_GRACE);
    assert_eq!(world.disk.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["a"], "nobody came back for b");
}

#[test]
fn removal_during_a_restart_and_another_configuration_publishes_nothing_old() {
    let mut world = world();
    world.configuration.plans.remove(&name("a"));
    world.crash();
    world.plan("a", changed());
    assert_eq!(world.revision("a"), None);
    world.until_called("a");
    assert_eq!(world.word("a"), "obtain");
    let told = OperatorEvent::RevokeGivenUp(name("a"), Revision(1), NotRevoked::Reconfigured);
    assert!(world.notices().any(|notice| *notice == told));
}

#[test]
fn removal_is_not_hurried_by_a_clock_that_jumps() {
    let mut world = world();
    world.remove("a");
    world.jump(3_600_000);
    world.jump(-7_200_000);
    assert_eq!(world.word("a"), "nothing");
    assert_eq!(world.until_called("a"), REMOVAL_GRACE.as_millis());
}

#[test]
fn removal_is_hurried_by_an_operator() {
    let mut world = world();
    world.remove("a");
    world.handle(ScheduleEvent::Revoke(name("a")));
    assert_eq!(world.word("a"), "revoke");
    world.end("a", CallOutcome::Revoked);
    assert_eq!(world.disk.len(), 1);
}

#[test]
fn removal_of_a_lease_that_ends_meanwhile_leaves_nothing() {
    let mut world = World::new([("a", kept())]);
    world.bring("a", Span::secs(60));
    world.remove("a");
    world.pass(Span::secs(60));
    assert_eq!((world.disk.len(), calls(&world)), (0, vec!["obtain"]));
    assert!(
        !world.notices().any(|notice| matches!(notice, OperatorEvent::Expired(..))),
        "nobody waits for another one"
    );
}

#[test]
fn removal_keeps_the_lease_when_the_coordinator_stops() {
    let mut world = world();
    world.remove("a");
    world.handle(ScheduleEvent::Stop);
    assert!(world.schedule.is_stopped());
    assert_eq!((world.disk.len(), calls(&world)), (2, vec!["obtain"]));
}

#[test]
fn removal_goes_on_revoking_what_was_replaced_before() {
    let mut world = world();
    world.handle(ScheduleEvent::Renew(name("a")));
    world.bring("a", DAY);
    world.remove("a");
    assert_eq!(world.until_called("a"), 300_000);
    assert!(matches!(world.work("a"), Some(ProviderCall::Revoke(lease)) if lease.revision == Revision(1)));
    world.end("a", failed(FailureKind::Unavailable));
    world.serve_for("a", DAY);
    world.pass(REMOVAL_GRACE);
    assert_eq!(world.disk.len(), 1);
}
