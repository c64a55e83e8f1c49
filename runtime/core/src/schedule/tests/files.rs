use super::world::{Saves, World, file, name, plan, revoking};
use crate::Span;
use crate::failure::FailureKind;
use crate::schedule::{
    FilePayload, InstanceActivity, InstancePlan, LeaseOrigin, PreferredSource, Readiness, ScheduleEvent,
};

const HOUR: Span = Span::secs(3600);

fn preferring(prefer: PreferredSource) -> InstancePlan {
    plan(|plan| {
        plan.component = revoking().component;
        plan.policy.prefer = prefer;
    })
}

fn file_only() -> InstancePlan {
    plan(|plan| plan.component = None)
}

impl World {
    fn finds(&mut self, found: Option<FilePayload>) {
        self.handle(ScheduleEvent::FileObserved(name("a"), found));
    }

    /// What is published, and where it came from.
    fn given(&self) -> Option<(&str, LeaseOrigin)> {
        let lease = self.published.get(&name("a"))?;
        Some((std::str::from_utf8(lease.payload.expose()).unwrap(), lease.origin))
    }

    /// A file of this text that was written now.
    fn writes(&mut self, text: &str, life: Span) {
        let found = file(text, self.now().wall, life);
        self.finds(found);
    }
}

#[test]
fn an_instance_with_a_file_alone_gives_out_what_the_file_holds() {
    let mut world = World::new([("a", file_only())]);
    assert_eq!((world.view("a").doing, world.view("a").readiness), (InstanceActivity::NoFile, Readiness::Missing));
    world.writes("one", HOUR);
    assert_eq!(world.given(), Some(("one", LeaseOrigin::File)));
    world.pass(Span::secs(60));
    world.writes("two", HOUR);
    assert_eq!((world.given(), world.revision("a")), (Some(("two", LeaseOrigin::File)), Some(2)));
    assert!(world.called("a").is_empty());
}

#[test]
fn the_same_file_again_changes_nothing() {
    let mut world = World::new([("a", file_only())]);
    let found = file("one", world.now().wall, HOUR);
    for _ in 0..5 {
        world.finds(found.clone());
        world.pass(Span::secs(10));
    }
    assert_eq!(world.revision("a"), Some(1));
}

#[test]
fn the_same_payload_with_a_later_expiry_is_given_out() {
    let mut world = World::new([("a", file_only())]);
    world.writes("one", HOUR);
    world.pass(Span::secs(60));
    world.writes("one", HOUR);
    assert_eq!(world.revision("a"), Some(2));
}

#[test]
fn a_file_that_is_gone_or_bad_leaves_what_is_given_out_until_its_end() {
    let mut world = World::new([("a", file_only())]);
    world.writes("one", HOUR);
    world.finds(None);
    world.pass(Span::secs(3599));
    assert_eq!(world.view("a").readiness, Readiness::Ready);
    world.pass(Span::secs(1));
    assert_eq!(world.view("a").readiness, Readiness::Expired);
    world.writes("two", HOUR);
    assert_eq!(world.view("a").readiness, Readiness::Ready);
}

#[test]
fn a_file_that_has_expired_is_not_given_out() {
    let mut world = World::new([("a", file_only())]);
    let old = file("old", world.now().wall.minus(HOUR), Span::secs(1800));
    world.finds(old);
    assert_eq!(world.given(), None);
}

#[test]
fn where_the_component_is_preferred_the_file_fills_the_gap_until_it_brings_something() {
    let mut world = World::new([("a", preferring(PreferredSource::Component))]);
    world.writes("file", HOUR);
    assert_eq!((world.given(), world.word("a")), (None, "obtain"), "it is called, and may bring something at once");
    world.fail("a", FailureKind::Unavailable);
    assert_eq!(world.given(), Some(("file", LeaseOrigin::File)));
    let wait = world.until_called("a");
    assert!(wait <= 2000, "the file does not delay the next try: {wait}");
    world.bring("a", HOUR);
    assert_eq!(world.given(), Some(("tokens", LeaseOrigin::Component)));
    world.writes("newer", HOUR);
    assert_eq!(world.given(), Some(("tokens", LeaseOrigin::Component)), "a newer file changes nothing");
}

#[test]
fn where_the_component_is_preferred_the_file_takes_over_when_its_lease_ends() {
    let mut world = World::new([("a", preferring(PreferredSource::Component))]);
    world.bring("a", Span::secs(60));
    world.serve("a", |_, _| Some((Span::millis(5), super::world::failed(FailureKind::Unavailable))));
    world.writes("file", HOUR);
    world.pass(Span::secs(59));
    assert_eq!(world.given(), Some(("tokens", LeaseOrigin::Component)));
    world.pass(Span::secs(20));
    assert_eq!(world.given(), Some(("file", LeaseOrigin::File)));
    let calls = world.called("a").len();
    world.pass(Span::secs(1200));
    assert!(world.called("a").len() > calls + 3, "the component is tried on");
    world.serve_for("a", HOUR);
    world.pass(Span::secs(600));
    assert_eq!(world.given(), Some(("tokens", LeaseOrigin::Component)));
}

#[test]
fn where_the_file_is_preferred_the_component_is_not_called_while_it_is_good() {
    let mut world = World::silent(1);
    world.writes("one", HOUR); // the shell may look at the file before there is a configuration
    world.plan("a", preferring(PreferredSource::File));
    assert_eq!(world.given(), Some(("one", LeaseOrigin::File)));
    for _ in 0..10 {
        world.pass(Span::secs(2000));
        world.writes(&format!("at {}", world.age()), HOUR);
    }
    assert!(world.called("a").is_empty());
    assert_eq!(world.revision("a"), Some(11));
}

#[test]
fn where_the_file_is_preferred_and_grows_old_the_component_is_called() {
    let mut world = World::silent(1);
    world.writes("one", HOUR);
    world.plan("a", preferring(PreferredSource::File));
    assert_eq!(world.until_called("a"), 2_700_000);
    assert_eq!(world.given(), Some(("one", LeaseOrigin::File)), "which is still good");
    world.bring("a", HOUR);
    assert_eq!(world.given(), Some(("tokens", LeaseOrigin::Component)));
    world.pass(Span::secs(60));
    assert_eq!(world.given(), Some(("tokens", LeaseOrigin::Component)), "the old file does not come back");
    world.writes("two", HOUR);
    assert_eq!(world.given(), Some(("two", LeaseOrigin::File)), "a new one does");
    assert_eq!(world.view("a").retired, 1, "and the component's lease is revoked after the grace");
}

#[test]
fn where_the_file_is_preferred_and_old_and_the_component_fails_it_stays() {
    let mut world = World::silent(1);
    world.writes("one", HOUR);
    world.plan("a", preferring(PreferredSource::File));
    world.serve("a", |_, _| Some((Span::millis(5), super::world::failed(FailureKind::Unavailable))));
    world.pass(Span::secs(3590));
    assert_eq!(world.given(), Some(("one", LeaseOrigin::File)));
    assert_eq!(world.view("a").readiness, Readiness::Ready);
    assert!(world.called("a").len() > 5);
}

#[test]
fn where_the_file_is_preferred_and_holds_nothing_the_component_is_called() {
    let mut world = World::new([("a", preferring(PreferredSource::File))]);
    world.finds(None);
    world.bring("a", HOUR);
    assert_eq!(world.given(), Some(("tokens", LeaseOrigin::Component)));
}

#[test]
fn a_preferred_file_wins_although_it_was_written_before_the_component_was_called() {
    let mut world = World::new([("a", preferring(PreferredSource::File))]);
    let written = world.now().wall;
    world.pass(Span::secs(60));
    world.bring("a", HOUR);
    world.pass(Span::secs(60));
    world.finds(file("moved here", written, HOUR)); // with the date that it had elsewhere
    assert_eq!(world.given(), Some(("moved here", LeaseOrigin::File)));
}

#[test]
fn a_preferred_file_that_is_written_during_a_call_wins() {
    let mut world = World::new([("a", preferring(PreferredSource::File))]);
    world.pass(Span::secs(1));
    world.writes("meanwhile", HOUR);
    world.pass(Span::secs(1));
    world.bring("a", HOUR);
    assert_eq!(world.given(), Some(("meanwhile", LeaseOrigin::File)));
}

#[test]
fn an_operator_who_wishes_another_lease_gets_the_component_to_bring_one() {
    let mut world = World::silent(1);
    world.writes("one", HOUR);
    world.plan("a", preferring(PreferredSource::File));
    world.handle(ScheduleEvent::Renew(name("a")));
    assert_eq!(world.word("a"), "obtain");
    world.bring("a", HOUR);
    world.pass(Span::secs(60));
    assert_eq!(world.given(), Some(("tokens", LeaseOrigin::Component)), "the file had its turn");
}

#[test]
fn a_new_file_is_another_lease_as_well() {
    let mut world = World::silent(1);
    world.writes("one", HOUR);
    world.plan("a", preferring(PreferredSource::File));
    world.handle(ScheduleEvent::Renew(name("a")));
    world.fail("a", FailureKind::Unavailable);
    world.writes("two", HOUR);
    assert_eq!(world.given(), Some(("two", LeaseOrigin::File)));
    assert_eq!(world.until_called("a"), 2_700_000, "the wish is fulfilled");
}

#[test]
fn a_file_that_the_operator_revoked_does_not_come_back_until_it_changes() {
    for plan in [file_only(), preferring(PreferredSource::Component), preferring(PreferredSource::File)] {
        let mut world = World::silent(1);
        let found = file("one", world.now().wall, HOUR);
        world.finds(found.clone());
        world.serve("a", |_, _| Some((Span::millis(1), super::world::failed(FailureKind::Unavailable))));
        world.plan("a", plan);
        world.pass(Span::secs(1));
        assert_eq!(world.given(), Some(("one", LeaseOrigin::File)));
        world.handle(ScheduleEvent::Revoke(name("a")));
        assert_eq!(world.given(), None);
        world.finds(found);
        world.pass(Span::secs(60));
        assert_eq!(world.given(), None);
        world.writes("two", HOUR);
        world.pass(Span::secs(60));
        assert_eq!(world.given(), Some(("two", LeaseOrigin::File)));
    }
}

#[test]
fn a_file_that_is_written_after_the_operator_revoked_is_good_although_that_is_still_to_be_saved() {
    let mut world = World::new([("a", file_only())]);
    world.saves = Saves::Hold;
    world.writes("one", HOUR);
    world.handle(ScheduleEvent::Revoke(name("a")));
    world.writes("two", HOUR);
    world.release();
    assert_eq!(world.given(), Some(("two", LeaseOrigin::File)));
}

#[test]
fn a_file_that_is_written_after_the_operator_revoked_twice_is_good_too() {
    let mut world = World::new([("a", file_only())]);
    world.writes("one", HOUR);
    world.saves = Saves::Hold;
    world.handle(ScheduleEvent::Revoke(name("a")));
    world.handle(ScheduleEvent::Revoke(name("a")));
    world.writes("two", HOUR);
    world.release();
    assert_eq!(world.given(), Some(("two", LeaseOrigin::File)));
}

#[test]
fn what_a_file_brought_is_never_revoked() {
    let mut world = World::silent(1);
    world.writes("one", HOUR);
    world.plan("a", preferring(PreferredSource::File));
    world.writes("two", HOUR);
    world.remove("a");
    assert!(world.called("a").is_empty() && world.disk.is_empty());
}

#[test]
fn an_instance_that_loses_its_component_goes_over_to_the_file() {
    let mut world = World::new([("a", preferring(PreferredSource::Component))]);
    world.bring("a", HOUR);
    world.writes("file", HOUR);
    world.plan("a", file_only());
    assert_eq!(world.given(), Some(("file", LeaseOrigin::File)));
}

#[test]
fn what_a_file_brought_is_given_out_after_a_restart_and_the_preferred_component_is_called() {
    let mut world = World::new([("a", preferring(PreferredSource::Component))]);
    world.writes("file", HOUR);
    world.fail("a", FailureKind::Denied);
    world.crash();
    assert_eq!(world.given(), Some(("file", LeaseOrigin::File)));
    world.pass(Span::secs(1));
    assert_eq!(world.word("a"), "obtain");
}
