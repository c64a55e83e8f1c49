use super::world::{World, failed, lasting, name, plain, plan, revoking};
use crate::failure::FailureKind;
use crate::schedule::{
    CallOutcome, InstancePlan, NotRevoked, OperatorEvent, OptionalExports, ProviderCall, REMOVAL_GRACE, Readiness,
    RevocationPolicy, ScheduleEvent, Switch,
};
use crate::{Revision, Span};

const HOUR: Span = Span::secs(3600);

fn revoking_with(revoke: RevocationPolicy) -> InstancePlan {
    plan(|plan| {
        plan.component = revoking().component;
        plan.policy.revoke = revoke;
    })
}

/// The revision that is being revoked.
fn revoked(world: &World) -> Option<u64> {
    match world.work("a") {
        Some(ProviderCall::Revoke(lease)) => Some(lease.revision.0),
        _ => None,
    }
}

#[test]
fn a_replaced_lease_is_revoked_after_the_grace() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.until_called("a");
    world.bring("a", HOUR);
    assert_eq!(world.view("a").retired, 1);
    assert_eq!(world.until_called("a"), 300_000);
    assert_eq!((revoked(&world), world.revision("a")), (Some(1), Some(2)));
    world.end("a", CallOutcome::Revoked);
    assert_eq!(world.view("a").retired, 0);
    world.pass(Span::secs(600));
    assert_eq!(world.called("a").len(), 3);
}

#[test]
fn a_lease_that_ends_within_the_grace_is_left_alone() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", Span::secs(1000));
    world.until_called("a");
    world.bring("a", Span::secs(1000));
    assert_eq!(world.view("a").retired, 0, "it had 250 seconds");
}

#[test]
fn replaced_leases_are_left_to_expire_if_that_is_configured_or_the_component_cannot() {
    for plan in [revoking_with(RevocationPolicy { replaced: None, ..RevocationPolicy::default() }), plain()] {
        let mut world = World::new([("a", plan)]);
        world.bring("a", HOUR);
        world.until_called("a");
        world.bring("a", HOUR);
        world.pass(Span::secs(2000));
        assert!(world.called("a").iter().all(|(_, word)| *word == "obtain"));
    }
}

#[test]
fn a_lease_that_was_renewed_is_not_revoked() {
    let mut world =
        World::new([("a", plan(|plan| plan.component = Some(OptionalExports { renews: true, revokes: true })))]);
    world.bring("a", HOUR);
    world.until_called("a");
    world.bring("a", HOUR);
    assert_eq!(world.view("a").retired, 0, "it is the same token at the service");
}

#[test]
fn what_an_operator_revokes_is_withdrawn_at_once_replaced_and_revoked() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.until_called("a");
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Revoke(name("a")));
    assert_eq!((world.revision("a"), world.word("a")), (None, "obtain"));
    assert_eq!(world.view("a").readiness, Readiness::Missing);
    world.bring("a", HOUR);
    assert_eq!((world.revision("a"), revoked(&world)), (Some(3), Some(1)));
    world.end("a", CallOutcome::Revoked);
    assert_eq!(revoked(&world), Some(2), "the replaced one does not wait for its grace");
    world.end("a", CallOutcome::Revoked);
    assert_eq!((world.view("a").retired, world.word("a")), (0, "nothing"));
}

#[test]
fn revoking_cuts_a_call_that_is_under_way() {
    let mut world = World::new([("a", revoking())]);
    let first = world.call("a").unwrap();
    world.handle(ScheduleEvent::Revoke(name("a")));
    let second = world.call("a").unwrap();
    assert_ne!(first, second);
    world.handle(ScheduleEvent::Finished(first, lasting(world.now(), HOUR)));
    assert_eq!(world.revision("a"), None, "what it brings is ignored");
}

#[test]
fn what_cannot_be_revoked_is_withdrawn_and_told() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Revoke(name("a")));
    assert_eq!((world.revision("a"), world.word("a")), (None, "obtain"));
    assert!(
        world
            .notices()
            .any(|notice| *notice == OperatorEvent::RevokeGivenUp(name("a"), Revision(1), NotRevoked::Unable))
    );
}

#[test]
fn an_instance_that_is_removed_is_withdrawn_revoked_and_forgotten() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.remove("a");
    assert_eq!((world.revision("a"), revoked(&world)), (None, Some(1)));
    world.end("a", CallOutcome::Revoked);
    assert!(world.disk.is_empty());
    assert_eq!(world.schedule.views(world.now()).count(), 0);
}

#[test]
fn an_instance_that_is_removed_is_only_forgotten_where_its_leases_are_left_to_expire() {
    for plan in
        [revoking_with(RevocationPolicy { removed: None, replaced: None, ..RevocationPolicy::default() }), plain()]
    {
        let mut world = World::new([("a", plan)]);
        world.bring("a", HOUR);
        world.until_called("a");
        world.bring("a", HOUR);
        world.remove("a");
        assert_eq!((world.revision("a"), world.word("a")), (None, "nothing"));
        world.pass(REMOVAL_GRACE);
        assert_eq!((world.word("a"), world.disk.len()), ("nothing", 0));
    }
}

#[test]
fn another_reload_leaves_a_revocation_under_way_alone() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.remove("a");
    let call = world.call("a");
    world.reload();
    assert_eq!((world.call("a"), call.is_some()), (call, true));
}

#[test]
fn a_revocation_that_fails_is_told_and_tried_again() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.remove("a");
    for _ in 0..4 {
        world.fail("a", FailureKind::Unavailable);
        let Some(OperatorEvent::RevokeFailed(_, revision, _, wait)) = world.notices().last().cloned() else {
            panic!("it is not told");
        };
        assert_eq!(revision, Revision(1));
        assert_eq!(world.until_called("a"), wait.as_millis());
    }
    world.end("a", CallOutcome::Revoked);
    assert!(world.disk.is_empty());
}

#[test]
fn a_revocation_is_given_up_when_the_lease_ends_and_that_is_told() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", Span::secs(100));
    world.serve("a", |_, _| Some((Span::millis(10), failed(FailureKind::Denied))));
    world.remove("a");
    world.pass(Span::secs(100));
    assert!(
        world
            .notices()
            .any(|notice| *notice == OperatorEvent::RevokeGivenUp(name("a"), Revision(1), NotRevoked::Ended))
    );
    assert!(world.disk.is_empty());
}

#[test]
fn a_due_obtain_cuts_a_revocation_which_is_tried_again() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", Span::secs(1000));
    world.handle(ScheduleEvent::Renew(name("a")));
    world.bring("a", Span::secs(1000));
    assert_eq!(world.until_called("a"), 300_000);
    assert_eq!(revoked(&world), Some(1));
    assert_eq!(world.until_called("a"), 450_000, "it hung until the second lease was due");
    assert_eq!(world.word("a"), "obtain");
    world.bring("a", Span::secs(1000));
    assert_eq!(world.until_called("a"), 1000);
    assert_eq!(revoked(&world), Some(1));
}

#[test]
fn one_that_cannot_be_revoked_keeps_no_other_waiting() {
    let mut world = World::new([("a", revoking())]);
    for _ in 0..2 {
        world.bring("a", HOUR);
        world.handle(ScheduleEvent::Renew(name("a")));
    }
    world.bring("a", HOUR);
    world.until_called("a");
    assert_eq!(revoked(&world), Some(1));
    world.fail("a", FailureKind::Denied);
    world.until_called("a");
    assert_eq!(revoked(&world), Some(2));
}

#[test]
fn a_throttled_revocation_pauses_its_upstream_like_any_other_call() {
    let mut world = World::new([("a", revoking()), ("b", plain())]);
    world.fail("b", FailureKind::Unavailable);
    world.bring("a", HOUR);
    world.remove("a");
    world.fail("a", FailureKind::Throttled(Span::secs(120)));
    assert!(world.until_called("b") >= 120_000);
}

#[test]
fn stopping_revokes_where_that_is_configured() {
    let mut world = World::new([
        ("a", revoking_with(RevocationPolicy { shutdown: Switch::Revoke, ..RevocationPolicy::default() })),
        ("b", revoking()),
    ]);
    world.bring("a", HOUR);
    world.bring("b", HOUR);
    world.handle(ScheduleEvent::Stop);
    assert_eq!((revoked(&world), world.word("b")), (Some(1), "nothing"));
    assert_eq!((world.revision("a"), world.revision("b")), (None, Some(1)));
    assert!(!world.schedule.is_stopped());
    world.end("a", CallOutcome::Revoked);
    assert!(world.schedule.is_stopped());
    assert!(world.disk[&name("a")].lease.is_none());
}

#[test]
fn a_revocation_that_fails_while_stopping_is_left_for_the_next_start() {
    let mut world = World::new([(
        "a",
        revoking_with(RevocationPolicy { shutdown: Switch::Revoke, ..RevocationPolicy::default() }),
    )]);
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Stop);
    world.fail("a", FailureKind::Unavailable);
    assert!(world.schedule.is_stopped());
    world.crash();
    world.until_called("a");
    world.bring("a", HOUR);
    world.until_called("a");
    assert_eq!(revoked(&world), Some(1));
}

#[test]
fn stopping_keeps_what_cannot_be_revoked() {
    let mut world = World::new([(
        "a",
        plan(|plan| plan.policy.revoke = RevocationPolicy { shutdown: Switch::Revoke, ..RevocationPolicy::default() }),
    )]);
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Stop);
    assert!(world.schedule.is_stopped());
    assert_eq!(world.disk[&name("a")].lease.as_ref().map(|lease| lease.revision), Some(Revision(1)));
}

#[test]
fn what_waits_to_be_revoked_outlives_the_process() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.until_called("a");
    world.bring("a", HOUR);
    world.pass(Span::secs(100));
    world.crash();
    assert_eq!((world.until_called("a"), revoked(&world)), (200_000, Some(1)));
}
