//! A lease is revoked by the configuration that obtained it, or not at all.

use super::world::{World, name, plain, plan, renewing, revoking, upstream};
use crate::failure::FailureKind;
use crate::schedule::{
    CallOutcome, ConfigFingerprint, InstanceActivity, InstancePlan, MOST_RETIRED, NotRevoked, OperatorEvent,
    ProviderCall, ScheduleEvent,
};
use crate::{Revision, Span};

const HOUR: Span = Span::secs(3600);
const OLD: ConfigFingerprint = ConfigFingerprint([1; 16]);
const NEW: ConfigFingerprint = ConfigFingerprint([2; 16]);

/// Another service, whose component can revoke or not.
fn reconfigured(like: InstancePlan) -> InstancePlan {
    InstancePlan { fingerprint: NEW, upstream: upstream("other"), ..like }
}

/// The lease that is being revoked, and under which configuration it was obtained.
fn revoked(world: &World) -> Option<(u64, ConfigFingerprint)> {
    match world.work("a") {
        Some(ProviderCall::Revoke(lease)) => Some((lease.revision.0, lease.fingerprint)),
        _ => None,
    }
}

fn at_hand(world: &World) -> Vec<ConfigFingerprint> {
    let mut all: Vec<_> = world.schedule.fingerprints(&name("a")).collect();
    all.sort();
    all.dedup();
    all
}

fn given_up(world: &World, why: NotRevoked) -> bool {
    world.notices().any(|notice| *notice == OperatorEvent::RevokeGivenUp(name("a"), Revision(1), why))
}

#[test]
fn revocation_after_a_reload_is_the_old_configurations() {
    for new in [reconfigured(revoking()), reconfigured(plain()), reconfigured(plan(|plan| plan.component = None))] {
        let mut world = World::new([("a", revoking())]);
        world.bring("a", HOUR);
        world.plan("a", new.clone());
        if new.component.is_some() {
            world.bring("a", HOUR);
        } else {
            world.handle(ScheduleEvent::Revoke(name("a")));
        }
        assert_eq!(at_hand(&world), [OLD, NEW], "the old component can still be called");
        if revoked(&world).is_none() {
            world.until_called("a");
        }
        assert_eq!(revoked(&world), Some((1, OLD)));
        world.end("a", CallOutcome::Revoked);
        assert_eq!((at_hand(&world), world.view("a").retired), (vec![NEW], 0));
        assert_eq!(world.view("a").abandoned, None);
    }
}

#[test]
fn revocation_survives_several_reloads() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    for number in 2..5 {
        world.plan("a", InstancePlan { fingerprint: ConfigFingerprint([number; 16]), ..revoking() });
        world.bring("a", HOUR);
    }
    for number in 1..4_u8 {
        if revoked(&world).is_none() {
            world.until_called("a");
        }
        assert_eq!(revoked(&world), Some((number.into(), ConfigFingerprint([number; 16]))));
        world.end("a", CallOutcome::Revoked);
    }
    assert_eq!(at_hand(&world), [ConfigFingerprint([4; 16])]);
}

#[test]
fn revocation_is_not_another_configurations_after_a_restart() {
    for held in [true, false] {
        let mut world = World::new([("a", revoking())]);
        world.bring("a", HOUR);
        if !held {
            world.handle(ScheduleEvent::Renew(name("a")));
            world.bring("a", HOUR);
        }
        world.configuration.plans.insert(name("a"), reconfigured(revoking()));
        world.crash();
        if world.work("a").is_none() {
            world.until_called("a");
        }
        world.bring("a", HOUR);
        assert!(given_up(&world, NotRevoked::Reconfigured), "{}", world.story());
        assert_eq!(world.view("a").abandoned.map(|abandoned| abandoned.why), Some(NotRevoked::Reconfigured));
        world.pass(Span::secs(600));
        assert!(!world.called("a").iter().any(|(_, word)| *word == "revoke"));
    }
}

#[test]
fn revocation_by_an_operator_says_when_nobody_can() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.configuration.plans.insert(name("a"), reconfigured(revoking()));
    world.crash();
    world.handle(ScheduleEvent::Revoke(name("a")));
    assert_eq!(world.revision("a"), None, "it is withdrawn all the same");
    assert!(given_up(&world, NotRevoked::Reconfigured));
}

#[test]
fn revocation_waits_for_a_component_that_is_not_loaded() {
    let mut world = World::new([("a", revoking())]);
    world.bring("a", HOUR);
    world.handle(ScheduleEvent::Renew(name("a")));
    world.bring("a", HOUR);
    let unloaded = InstancePlan { fingerprint: ConfigFingerprint::UNKNOWN, ..revoking() };
    world.configuration.plans.insert(name("a"), unloaded);
    world.serve("a", |_, _| {
        Some((Span::millis(10), CallOutcome::Failed(FailureKind::Misconfigured, "not there".to_owned())))
    });
    world.crash();
    world.pass(Span::secs(600));
    assert_eq!((world.view("a").retired, world.view("a").abandoned), (1, None));
    world.serve_for("a", HOUR);
    world.plan("a", revoking());
    world.pass(Span::secs(600));
    assert_eq!(world.view("a").retired, 0);
    assert_eq!(world.view("a").doing, InstanceActivity::Holding);
    assert_eq!(world.revision("a"), Some(2), "what it holds was obtained under this configuration");
}

#[test]
fn revocation_that_is_throttled_pauses_the_old_upstream() {
    let mut world = World::new([("a", revoking()), ("old", plain())]);
    world.bring("old", Span::secs(400));
    world.bring("a", HOUR);
    world.plan("a", reconfigured(revoking()));
    world.bring("a", Span::secs(600));
    world.handle(ScheduleEvent::Used(name("a"), 1));
    assert_eq!(world.until_called("a"), 300_000);
    world.fail("a", FailureKind::Throttled(Span::secs(200)));
    assert_eq!(world.until_called("a"), 150_000, "the new upstream is not throttled");
}

#[test]
fn renewal_is_never_another_configurations() {
    let mut world = World::new([("a", renewing())]);
    world.bring("a", HOUR);
    world.plan("a", reconfigured(renewing()));
    assert_eq!(world.word("a"), "obtain");
    assert_eq!(world.work("a").and_then(ProviderCall::payload_of), None);
}

#[test]
fn revocations_that_wait_are_bounded_and_the_rest_is_reported() {
    let mut world = World::new([("a", revoking())]);
    for _ in 0..MOST_RETIRED + 3 {
        world.bring("a", HOUR);
        world.handle(ScheduleEvent::Renew(name("a")));
    }
    assert_eq!(world.view("a").retired, MOST_RETIRED);
    assert_eq!(
        world.view("a").abandoned.map(|abandoned| (abandoned.count, abandoned.why)),
        Some((2, NotRevoked::TooMany))
    );
    assert!(given_up(&world, NotRevoked::TooMany), "the one that ends first");
}
