use super::world::{Did, Saves, World, lasting, name, plain, renewing, revoking};
use crate::Span;
use crate::failure::FailureKind;
use crate::schedule::{CallOutcome, ScheduleEvent};

const HOUR: Span = Span::secs(3600);

#[test]
fn who_has_nothing_under_way_is_stopped_at_once() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", HOUR);
    assert!(!world.schedule.is_stopped());
    world.handle(ScheduleEvent::Stop);
    assert!(world.schedule.is_stopped());
    assert_eq!(world.schedule.wake_at(world.now()), None);
    assert_eq!(world.revision("a"), Some(1), "what is held stays good");
}

#[test]
fn what_a_call_under_way_brings_is_kept() {
    let mut world = World::new([("a", plain())]);
    world.handle(ScheduleEvent::Stop);
    assert!(!world.schedule.is_stopped());
    world.bring("a", HOUR);
    assert!(world.schedule.is_stopped());
    assert!(world.disk[&name("a")].lease.is_some());
    world.crash();
    assert_eq!((world.revision("a"), world.word("a")), (Some(1), "nothing"));
}

#[test]
fn a_call_under_way_that_fails_is_not_tried_again() {
    let mut world = World::new([("a", plain())]);
    world.handle(ScheduleEvent::Stop);
    world.fail("a", FailureKind::Unavailable);
    assert!(world.schedule.is_stopped());
    world.pass(Span::secs(3600));
    assert_eq!(world.called("a").len(), 1);
}

#[test]
fn nothing_new_begins() {
    let mut world = World::silent(1);
    world.configuration.calls = 1;
    for (text, plan) in [("a", plain()), ("b", plain()), ("held", renewing())] {
        world.configuration.plans.insert(name(text), plan);
    }
    world.reload();
    world.bring("a", HOUR);
    world.bring("b", Span::secs(60));
    world.bring("held", Span::secs(60));
    world.pass(Span::secs(50));
    let calls = world.log.iter().filter(|(_, did)| matches!(did, Did::Call(..))).count();
    world.handle(ScheduleEvent::Stop);
    world.fail(if world.word("b") == "nothing" { "held" } else { "b" }, FailureKind::Unavailable);
    for event in [
        ScheduleEvent::Renew(name("a")),
        ScheduleEvent::LeaseRequested(name("a")),
        ScheduleEvent::Used(name("a"), 1),
        ScheduleEvent::TimerFired,
    ] {
        world.handle(event);
    }
    world.plan("new", plain());
    world.pass(HOUR);
    assert_eq!(world.log.iter().filter(|(_, did)| matches!(did, Did::Call(..))).count(), calls);
    assert!(world.schedule.is_stopped());
}

#[test]
fn what_is_being_saved_is_saved_first() {
    let mut world = World::new([("a", plain())]);
    world.saves = Saves::Fail;
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Stop);
    world.pass(Span::secs(60));
    assert!(!world.schedule.is_stopped());
    world.saves = Saves::Succeed;
    world.pass(Span::secs(15));
    assert!(world.schedule.is_stopped());
    assert!(world.disk.contains_key(&name("a")));
}

#[test]
fn a_replaced_lease_whose_time_comes_is_revoked_after_the_next_start() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.until_called("a");
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Stop);
    world.pass(Span::secs(400));
    assert!(world.schedule.is_stopped());
    assert_eq!(world.word("a"), "nothing");
    world.crash();
    world.until_called("a");
    assert_eq!(world.word("a"), "revoke");
}

#[test]
fn what_left_is_revoked_before_the_stop_because_nobody_could_later() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.saves = Saves::Hold;
    world.remove("a");
    world.handle(ScheduleEvent::Stop);
    world.release();
    assert_eq!((world.word("a"), world.schedule.is_stopped()), ("revoke", false));
    world.end("a", CallOutcome::Revoked);
    assert!(world.schedule.is_stopped() && world.disk.is_empty());
}

#[test]
fn actions_that_nobody_took_yet_belong_to_what_is_under_way() {
    let mut world = World::new([("a", plain())]);
    let call = world.call("a").unwrap();
    world.handle(ScheduleEvent::Stop);
    let now = world.now();
    world.schedule.handle(now, ScheduleEvent::Finished(call, lasting(now, HOUR)));
    assert!(!world.schedule.is_stopped());
}
