//! A disk that takes nothing ends no lease.

use super::world::{Did, Saves, World, name, plain, plan, revoking};
use crate::schedule::{
    CallOutcome, InstanceActivity, OperatorEvent, OptionalExports, ProviderCall, Readiness, ScheduleEvent,
};
use crate::{Revision, Span};

const HOUR: Span = Span::secs(3600);

fn told(world: &World) -> Vec<u64> {
    let told = world.notices().filter_map(|notice| match notice {
        OperatorEvent::PublishedUnsaved(_, revision) => Some(revision.0),
        _ => None,
    });
    told.collect()
}

#[test]
fn unsaved_lease_is_published_when_the_old_one_is_about_to_end() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.until_called("a");
    world.saves = Saves::Fail;
    world.bring("a", HOUR);
    world.pass(Span::secs(530));
    assert_eq!((world.revision("a"), told(&world)), (Some(1), vec![]), "the old one is good for a while");
    world.pass(Span::secs(30));
    assert_eq!((world.revision("a"), told(&world)), (Some(2), vec![2]));
    let view = world.view("a");
    assert_eq!((view.readiness, view.unsaved.is_some()), (Readiness::Ready, true));
    world.saves = Saves::Succeed;
    world.pass(Span::secs(15));
    assert_eq!((world.revision("a"), world.view("a").unsaved), (Some(2), None));
    assert_eq!(world.disk[&name("a")].revision, Revision(2));
    assert_eq!(world.did(&Did::Publish("a".to_owned(), 2)), 1, "it is not given out again");
}

#[test]
fn unsaved_lease_stays_marked_while_another_one_is_held() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.until_called("a");
    world.saves = Saves::Fail;
    world.bring("a", HOUR);
    world.pass(Span::secs(560));
    assert_eq!((world.revision("a"), world.view("a").given_unsaved), (Some(2), true));
    world.until_called("a");
    world.bring("a", HOUR);
    let view = world.view("a");
    assert_eq!((view.lease.map(|lease| lease.revision.0), view.given_unsaved), (Some(2), true));
    assert!(view.unsaved.is_some(), "{}", world.story());
    world.saves = Saves::Succeed;
    world.pass(Span::secs(60));
    assert_eq!((world.revision("a"), world.view("a").given_unsaved), (Some(3), false));
}

#[test]
fn unsaved_leases_are_replaced_for_as_long_as_the_disk_is_full() {
    let mut world = World::new([
        ("a", plain()),
        ("b", plan(|plan| plan.component = Some(OptionalExports { renews: true, revokes: false }))),
    ]);
    for text in ["a", "b"] {
        world.bring(text, HOUR);
        world.serve_for(text, HOUR);
    }
    world.saves = Saves::Fail;
    for _ in 0..48 {
        world.pass(Span::secs(1800));
        for text in ["a", "b"] {
            assert_eq!(world.view(text).readiness, Readiness::Ready, "{text}:\n{}", world.story());
        }
    }
    assert!(!world.notices().any(|notice| matches!(notice, OperatorEvent::Expired(..))));
    let saves = world.did(&Did::Save("a".to_owned()));
    assert!(saves > 1000, "{saves} tries in a day");
    world.saves = Saves::Succeed;
    world.pass(Span::secs(3600));
    assert_eq!(world.view("a").unsaved, None);
    assert_eq!(world.disk[&name("a")].lease.as_ref().map(|lease| lease.revision.0), world.revision("a"));
}

#[test]
fn unsaved_leases_that_are_short_do_not_lapse() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", Span::secs(8));
    world.serve_for("a", Span::secs(8));
    world.saves = Saves::Fail;
    for _ in 0..600 {
        world.pass(Span::millis(500));
        assert_eq!(world.view("a").readiness, Readiness::Ready, "{}", world.story());
    }
    assert!(!world.notices().any(|notice| matches!(notice, OperatorEvent::Expired(..))), "{}", world.story());
}

#[test]
fn unsaved_lease_is_published_at_once_where_there_is_none() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", Span::secs(60));
    world.pass(Span::secs(30));
    world.crash();
    world.jump(3_600_000);
    world.until_called("a");
    world.saves = Saves::Fail;
    world.bring("a", HOUR);
    assert_eq!((world.revision("a"), world.view("a").readiness), (Some(2), Readiness::Ready));
    assert!(matches!(world.view("a").doing, InstanceActivity::Saving(_)));
}

#[test]
fn unsaved_revocations_wait() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.until_called("a");
    world.saves = Saves::Fail;
    world.serve_for("a", HOUR);
    world.bring("a", HOUR);
    world.pass(Span::secs(7200));
    assert_eq!(world.view("a").readiness, Readiness::Ready);
    assert!(!world.called("a").iter().any(|(_, word)| *word == "revoke"), "it is not saved that they are retired");
    world.saves = Saves::Succeed;
    world.pass(HOUR);
    assert!(world.called("a").iter().any(|(_, word)| *word == "revoke"));
}

#[test]
fn unsaved_lease_that_was_revoked_is_not_published() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.saves = Saves::Fail;
    world.handle(ScheduleEvent::Renew(name("a")));
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Revoke(name("a")));
    world.pass(HOUR);
    assert_eq!((world.revision("a"), told(&world)), (None, vec![]));
    world.saves = Saves::Succeed;
    world.pass(Span::secs(15));
    assert!(matches!(world.work("a"), Some(ProviderCall::Obtain)));
    world.end("a", CallOutcome::NotRequired);
}

#[test]
fn unsaved_lease_is_saved_before_the_stop() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.serve_for("a", HOUR);
    world.saves = Saves::Fail;
    world.pass(Span::secs(86_400));
    world.saves = Saves::Succeed;
    world.handle(ScheduleEvent::Stop);
    world.pass(Span::secs(15));
    assert!(world.schedule.is_stopped());
    assert_eq!(world.disk[&name("a")].lease.as_ref().map(|lease| lease.revision.0), world.revision("a"));
}
