use super::world::{Did, Saves, World, name, plain, plan, renewing, revoking, upstream};
use crate::Span;
use crate::failure::FailureKind;
use crate::retry::RetryPolicy;
use crate::schedule::{
    CallOutcome, ConfigFingerprint, InstanceActivity, InstancePlan, OperatorEvent, ProviderCall, Ratio, ScheduleEvent,
};

const HOUR: Span = Span::secs(3600);

fn changed() -> InstancePlan {
    plan(|plan| plan.fingerprint = ConfigFingerprint([2; 16]))
}

#[test]
fn an_unchanged_instance_keeps_its_revision_and_its_call() {
    let mut world = World::new([("held", plain()), ("called", plain()), ("failed", plain())]);
    world.bring("held", HOUR);
    world.fail("failed", FailureKind::Denied);
    let call = world.call("called");
    let before = world.log.len();
    world.plan("new", plain());
    let after: Vec<&Did> = world.log[before..].iter().map(|(_, did)| did).collect();
    assert_eq!(after, [&Did::Call("new".to_owned(), "obtain")]);
    assert_eq!((world.call("called"), world.revision("held")), (call, Some(1)));
    assert_eq!((world.word("failed"), world.view("failed").failures), ("nothing", 1));
    assert_eq!(world.until_called("held"), 2_700_000);
}

#[test]
fn a_changed_instance_is_obtained_anew_and_the_old_lease_served_until_then() {
    let mut world = World::new([("a", renewing())]);
    world.bring("a", HOUR);
    world.plan("a", changed());
    assert_eq!((world.word("a"), world.revision("a")), ("obtain", Some(1)));
    world.bring("a", HOUR);
    assert_eq!(world.revision("a"), Some(2));
}

#[test]
fn a_changed_instance_is_not_left_in_its_old_call_or_its_old_trouble() {
    let mut world = World::new([("called", plain()), ("failed", plain())]);
    world.fail("failed", FailureKind::Misconfigured);
    let call = world.call("called").unwrap();
    world.plan("called", changed());
    world.plan("failed", changed());
    assert_eq!(world.did(&Did::Cancel("called".to_owned())), 1);
    assert!(world.call("called").is_some_and(|new| new != call));
    assert_eq!((world.word("failed"), world.view("failed").failures), ("obtain", 0));
}

#[test]
fn an_instance_that_changes_while_it_waits_or_is_saved_is_called_once() {
    let mut world = World::silent(1);
    world.configuration.calls = 1;
    world.plan("a", plain());
    world.plan("b", plain());
    world.plan("b", changed());
    world.saves = Saves::Hold;
    world.bring("a", HOUR);
    world.plan("a", changed());
    world.bring("b", HOUR);
    world.release();
    world.bring("a", HOUR);
    assert_eq!((world.called("a").len(), world.called("b").len()), (2, 1));
}

#[test]
fn another_policy_alone_moves_the_next_renewal_and_obtains_nothing() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.pass(Span::secs(600));
    world.plan("a", plan(|plan| plan.policy.ratio = Ratio::thousandths(500)));
    assert_eq!(world.word("a"), "nothing");
    assert_eq!(world.until_called("a"), 1_200_000);
    assert_eq!(world.revision("a"), Some(1));
}

#[test]
fn a_shorter_lifetime_counts_for_the_lease_that_is_held_as_well() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.pass(Span::secs(300));
    world.plan("a", plan(|plan| plan.policy.lifetime = Some(Span::secs(800))));
    assert_eq!(world.until_called("a"), 300_000);
    assert_eq!(world.revision("a"), Some(1), "it is good until it is replaced");
}

#[test]
fn another_policy_does_not_cut_a_call() {
    let mut world = World::new([("a", plain())]);
    let call = world.call("a");
    world.plan("a", plan(|plan| plan.policy.retry = RetryPolicy { floor: Span::secs(7), ..RetryPolicy::default() }));
    assert_eq!(world.call("a"), call);
    world.fail("a", FailureKind::Unavailable);
    assert!(world.until_called("a") >= 7000);
}

#[test]
fn another_policy_does_not_shorten_the_delay_after_a_failure() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.until_called("a");
    world.fail("a", FailureKind::Throttled(Span::secs(100)));
    world.plan("a", plan(|plan| plan.policy.ratio = Ratio::thousandths(100)));
    assert!(world.until_called("a") >= 100_000);
}

#[test]
fn another_upstream_is_used_from_the_next_call_on() {
    let mut world = World::new([("a", plain()), ("b", plain())]);
    world.bring("b", Span::secs(40));
    world.fail("a", FailureKind::Throttled(Span::secs(200)));
    world.pass(Span::secs(32));
    assert!(matches!(world.view("b").doing, InstanceActivity::Waiting(_)));
    world.plan("b", plan(|plan| plan.upstream = upstream("other")));
    assert_eq!(world.word("b"), "obtain", "there nobody is told to wait");
}

#[test]
fn an_instance_that_is_removed_and_added_again_while_it_leaves_goes_on() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.remove("a");
    assert_eq!(
        (world.word("a"), world.view("a").doing),
        ("revoke", InstanceActivity::Calling("revoke", Span::secs(0)))
    );
    world.plan("a", revoking());
    assert_eq!(world.word("a"), "obtain");
    world.bring("a", HOUR);
    assert_eq!(world.revision("a"), Some(2), "numbers go on");
    assert!(matches!(world.work("a"), Some(ProviderCall::Revoke(lease)) if lease.revision.0 == 1));
    world.end("a", CallOutcome::Revoked);
    assert_eq!((world.disk.len(), world.view("a").doing), (1, InstanceActivity::Holding));
}

#[test]
fn an_instance_that_is_added_again_while_its_state_is_being_deleted_goes_on() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.saves = Saves::Hold;
    world.remove("a");
    world.plan("a", plain());
    assert_eq!(world.word("a"), "nothing");
    world.release();
    assert_eq!(world.word("a"), "obtain");
    world.bring("a", HOUR);
    assert_eq!((world.revision("a"), world.disk.len()), (Some(2), 1));
}

#[test]
fn an_instance_that_is_removed_during_its_call_is_cut_and_forgotten() {
    let mut world = World::new([("a", plain())]);
    let call = world.call("a").unwrap();
    world.remove("a");
    assert_eq!(world.did(&Did::Cancel("a".to_owned())), 1);
    world.handle(ScheduleEvent::Finished(call, super::world::lasting(world.now(), HOUR)));
    assert!(world.published.is_empty());
    assert_eq!(world.schedule.views(world.now()).count(), 0);
}

#[test]
fn a_wish_to_revoke_survives_a_reload() {
    let mut world = World::new([("a", revoking())]);
    world.saves = Saves::Hold;
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Revoke(name("a")));
    world.plan(
        "a",
        plan(|plan| {
            plan.component = revoking().component;
            plan.fingerprint = ConfigFingerprint([2; 16]);
        }),
    );
    world.release();
    assert_eq!((world.word("a"), world.view("a").retired), ("obtain", 1));
}

#[test]
fn the_same_configuration_again_does_nothing() {
    let mut world = World::new([("a", plain()), ("b", revoking())]);
    world.bring("b", HOUR);
    let before = world.log.len();
    for _ in 0..10 {
        world.reload();
    }
    assert_eq!(world.log.len(), before);
    assert_eq!(world.notices().filter(|notice| matches!(notice, OperatorEvent::Orphaned(..))).count(), 0);
}
