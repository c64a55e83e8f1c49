use super::world::{Did, Saves, World, lasting, name, plain, plan, revoking};
use crate::Span;
use crate::schedule::{InstanceActivity, OperatorEvent, Readiness, RevocationPolicy, ScheduleEvent};

const HOUR: Span = Span::secs(3600);

#[test]
fn nothing_is_published_before_it_is_saved() {
    let mut world = World::new([("a", plain())]);
    world.saves = Saves::Hold;
    world.bring("a", HOUR);
    assert_eq!((world.view("a").doing, world.view("a").readiness), (InstanceActivity::Saving(0), Readiness::Missing));
    world.pass(Span::secs(60));
    assert!(world.published.is_empty());
    world.release();
    assert_eq!(world.revision("a"), Some(1));
    let order: Vec<&Did> = world.log.iter().map(|(_, did)| did).collect();
    assert!(matches!(order[..], [Did::Call(..), Did::Save(_), Did::Publish(..)]));
}

#[test]
fn a_save_that_fails_is_told_and_tried_again() {
    let mut world = World::new([("a", plain())]);
    world.saves = Saves::Fail;
    world.bring("a", HOUR);
    world.pass(Span::secs(600));
    let saves = world.did(&Did::Save("a".to_owned()));
    assert!((30..=100).contains(&saves), "{saves} in ten minutes: from half a second to 15 seconds apart");
    let told = world.notices().filter(|notice| matches!(notice, OperatorEvent::SaveFailed(..))).count();
    assert_eq!(told, saves);
    assert!(matches!(world.view("a").doing, InstanceActivity::Saving(failures) if failures as usize == saves));
    assert!(world.view("a").unsaved.is_some());
    world.saves = Saves::Succeed;
    world.pass(Span::secs(15));
    assert_eq!((world.revision("a"), world.view("a").unsaved), (Some(1), None));
}

#[test]
fn the_old_lease_stays_published_while_saving_fails() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.until_called("a");
    world.saves = Saves::Fail;
    world.bring("a", HOUR);
    world.pass(Span::secs(500));
    assert_eq!((world.revision("a"), world.view("a").readiness), (Some(1), Readiness::Ready));
    assert_eq!(world.view("a").lease.unwrap().revision.0, 1, "what others have is shown");
    world.saves = Saves::Succeed;
    world.pass(Span::secs(15));
    assert_eq!(world.revision("a"), Some(2));
}

#[test]
fn a_failing_disk_keeps_nobody_but_itself_waiting() {
    let mut world = World::new([("a", plain()), ("b", plain())]);
    world.bring("b", HOUR);
    world.saves = Saves::Hold;
    world.bring("a", HOUR);
    world.saves = Saves::Succeed;
    world.handle(ScheduleEvent::Renew(name("b")));
    world.bring("b", HOUR);
    assert_eq!(world.revision("b"), Some(2));
}

#[test]
fn a_lease_that_ended_while_it_could_not_be_saved_is_replaced_and_not_published() {
    let mut world = World::new([("a", plain())]);
    world.saves = Saves::Hold;
    world.bring("a", Span::secs(60));
    world.pass(Span::secs(61));
    world.release();
    assert_eq!((world.revision("a"), world.word("a")), (None, "obtain"));
}

#[test]
fn what_an_operator_revokes_is_withdrawn_although_the_disk_is_full() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.until_called("a");
    world.saves = Saves::Fail;
    world.bring("a", HOUR);
    world.pass(Span::secs(60));
    assert_eq!(world.revision("a"), Some(1));
    world.handle(ScheduleEvent::Revoke(name("a")));
    assert_eq!((world.revision("a"), world.word("a")), (None, "nothing"), "but nothing is called before it is saved");
    world.pass(Span::secs(60));
    assert_eq!(world.view("a").retired, 2, "the one that was never given out as well");
    world.saves = Saves::Succeed;
    world.pass(Span::secs(15));
    assert_eq!(world.word("a"), "obtain");
}

#[test]
fn what_is_revoked_while_it_is_being_saved_is_never_published() {
    let mut world = World::new([("a", revoking())]);
    world.saves = Saves::Hold;
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Revoke(name("a")));
    world.release();
    assert_eq!(world.did(&Did::Publish("a".to_owned(), 1)), 0);
    assert_eq!(world.word("a"), "obtain");
}

#[test]
fn what_is_revoked_or_removed_is_withdrawn_although_something_is_being_saved() {
    let mut world = World::new([("a", revoking()), ("b", revoking())]);
    for text in ["a", "b"] {
        world.bring(text, HOUR);
        world.handle(ScheduleEvent::Renew(name(text)));
    }
    world.saves = Saves::Hold;
    for text in ["a", "b"] {
        world.bring(text, HOUR);
    }
    world.handle(ScheduleEvent::Revoke(name("a")));
    world.remove("b");
    assert!(world.published.is_empty());
    world.release();
    assert!(world.published.is_empty());
}

#[test]
fn a_wish_to_renew_does_not_take_a_wish_to_revoke_back() {
    let mut world = World::new([("a", revoking())]);
    world.saves = Saves::Hold;
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Revoke(name("a")));
    world.handle(ScheduleEvent::Renew(name("a")));
    world.release();
    assert_eq!((world.view("a").retired, world.did(&Did::Publish("a".to_owned(), 1))), (1, 0));
}

#[test]
fn what_is_removed_while_it_is_being_saved_is_never_published() {
    let mut world = World::new([("a", plain())]);
    world.saves = Saves::Hold;
    world.bring("a", HOUR);
    world.remove("a");
    world.release();
    assert!(world.published.is_empty() && world.disk.is_empty());
}

#[test]
fn a_revocation_begins_when_it_is_saved_that_it_is_to_happen() {
    let revoke = RevocationPolicy { removed: Some(Span::millis(0)), ..RevocationPolicy::default() };
    let mut world = World::new([(
        "a",
        plan(|plan| {
            plan.component = revoking().component;
            plan.policy.revoke = revoke;
        }),
    )]);
    world.bring("a", HOUR);
    world.saves = Saves::Hold;
    world.remove("a");
    assert_eq!((world.word("a"), world.revision("a")), ("nothing", None));
    world.release();
    assert_eq!(world.word("a"), "revoke");
}

#[test]
fn forgetting_that_fails_is_tried_again() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.saves = Saves::Fail;
    world.remove("a");
    world.pass(Span::secs(60));
    assert_eq!(world.view("a").doing, InstanceActivity::Leaving);
    assert!(!world.disk.is_empty());
    world.saves = Saves::Succeed;
    world.pass(Span::secs(15));
    assert!(world.disk.is_empty());
    assert_eq!(world.schedule.views(world.now()).count(), 0);
}

#[test]
fn a_ticket_that_is_not_known_changes_nothing() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Renew(name("a")));
    let before = world.log.len();
    world.handle(ScheduleEvent::Saved(crate::schedule::SaveId(999)));
    world.handle(ScheduleEvent::SaveFailed(crate::schedule::SaveId(999), String::new()));
    assert_eq!(world.log.len(), before);
    world.end("a", lasting(world.now(), HOUR));
    assert_eq!(world.revision("a"), Some(2));
}
