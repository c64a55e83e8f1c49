use super::world::{Did, World, failed, lasting, name, plain, plan, revoking};
use crate::Span;
use crate::failure::FailureKind;
use crate::schedule::{
    CallOutcome, ConfigFingerprint, InstancePlan, MOST_RETIRED, NotRevoked, OperatorEvent, ProviderCall,
    RevocationPolicy, ScheduleEvent,
};

const HOUR: Span = Span::secs(3600);

fn with_settings(number: u8, like: InstancePlan) -> InstancePlan {
    InstancePlan { fingerprint: ConfigFingerprint([number; 16]), ..like }
}

/// The revision that is being revoked.
fn revoked(world: &World) -> Option<u64> {
    match world.work("a") {
        Some(ProviderCall::Revoke(lease)) => Some(lease.revision.0),
        _ => None,
    }
}

fn detached(world: &World) -> usize {
    world.did(&Did::Detach("a".to_owned()))
}

#[test]
fn reload_that_alternates_settings_lets_calls_end() {
    for like in [plain, revoking] {
        for takes in [50, 1000, 7000] {
            let mut world = World::new([("a", with_settings(1, like()))]);
            world.serve("a", move |work, now| match work {
                ProviderCall::Revoke(_) => Some((Span::millis(10), CallOutcome::Revoked)),
                _ => Some((Span::millis(takes), lasting(now, Span::secs(60)))),
            });
            world.bring("a", Span::secs(60));
            for round in 0..1000 {
                let number = if round % 2 == 0 { 1 } else { 2 };
                world.plan("a", with_settings(number, like()));
                world.pass(Span::millis(90));
            }
            let calls = world.called("a").iter().filter(|(_, word)| *word == "obtain").count();
            assert!(calls <= 120, "{calls} calls in 90 s, which take {takes} ms");
            let expired = world.notices().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count();
            assert_eq!(expired, 0, "the lease is lost, with calls that take {takes} ms");
            world.pass(Span::secs(20));
            let lease = world.view("a").lease.unwrap();
            assert_eq!(lease.fingerprint, ConfigFingerprint([2; 16]), "in the end, it is of the last configuration");
        }
    }
}

#[test]
fn reload_that_goes_back_keeps_what_was_obtained_so() {
    let mut world = World::new([("a", with_settings(1, plain()))]);
    world.bring("a", HOUR);
    world.plan("a", with_settings(2, plain()));
    assert_eq!(world.word("a"), "obtain");
    world.plan("a", with_settings(1, plain()));
    assert_eq!(world.word("a"), "nothing");
    assert_eq!((world.revision("a"), world.until_called("a")), (Some(1), 2_700_000));
}

#[test]
fn reload_during_an_obtain_revokes_what_it_brings() {
    let mut world = World::new([("a", with_settings(1, revoking()))]);
    world.plan("a", with_settings(2, revoking()));
    assert_eq!((world.word("a"), detached(&world)), ("obtain", 1));
    world.bring("a", HOUR);
    assert_eq!((world.revision("a"), world.word("a")), (Some(1), "nothing"));
    let now = world.now();
    world.end_detached("a", lasting(now, HOUR));
    assert_eq!(world.view("a").retired, world.disk[&name("a")].retired.len(), "it is saved");
    assert_eq!(world.revision("a"), Some(1), "and not given out");
}

#[test]
fn revoke_during_an_obtain_revokes_what_it_brings() {
    let mut world = World::new([("a", revoking())]);
    world.handle(ScheduleEvent::Revoke(name("a")));
    assert_eq!((world.word("a"), detached(&world)), ("obtain", 1));
    let now = world.now();
    world.end_detached("a", lasting(now, HOUR));
    assert_eq!(world.word("a"), "obtain", "one thing at a time");
    world.bring("a", HOUR);
    assert_eq!(world.published.len(), 1);
    assert!(revoked(&world).is_some_and(|revision| Some(revision) != world.revision("a")));
    world.end("a", CallOutcome::Revoked);
    assert_eq!((world.view("a").retired, world.word("a")), (0, "nothing"));
}

#[test]
fn revoke_after_a_reload_revokes_what_the_detached_call_brings() {
    let expiring = |number| {
        let mut plan = with_settings(number, revoking());
        plan.policy.revoke = RevocationPolicy { replaced: None, ..plan.policy.revoke };
        plan
    };
    for is_revoked in [false, true] {
        let mut world = World::new([("a", expiring(1))]);
        world.plan("a", expiring(2));
        assert_eq!((world.word("a"), detached(&world)), ("obtain", 1));
        if is_revoked {
            world.handle(ScheduleEvent::Revoke(name("a")));
        }
        let now = world.now();
        world.end_detached("a", lasting(now, HOUR));
        while world.word("a") == "obtain" {
            world.bring("a", HOUR);
        }
        assert_eq!(revoked(&world).is_some(), is_revoked, "replaced leases are left to expire, revoked ones are not");
    }
}

#[test]
fn revoke_again_and_again_revokes_all_that_was_brought() {
    let mut world = World::new([("a", revoking())]);
    let (mut brought, mut gone) = (0, 0);
    for round in 0..200 {
        world.handle(ScheduleEvent::Revoke(name("a")));
        if round % 3 == 0 && world.has_detached("a") {
            let now = world.now();
            world.end_detached("a", lasting(now, HOUR));
            brought += 1;
        }
        match world.word("a") {
            "obtain" if round % 2 == 0 => {
                world.bring("a", HOUR);
                brought += 1;
            }
            "revoke" => {
                world.end("a", CallOutcome::Revoked);
                gone += 1;
            }
            _ => {}
        }
        world.pass(Span::millis(500));
    }
    while world.has_detached("a") {
        world.end_detached("a", failed(FailureKind::Unavailable));
    }
    while world.word("a") != "nothing" {
        match world.word("a") {
            "revoke" => {
                world.end("a", CallOutcome::Revoked);
                gone += 1;
            }
            _ => {
                world.bring("a", HOUR);
                brought += 1;
            }
        }
    }
    assert!(brought > 50, "{brought}");
    let too_many = |notice: &&OperatorEvent| matches!(notice, OperatorEvent::RevokeGivenUp(_, _, NotRevoked::TooMany));
    let given_up = world.notices().filter(too_many).count();
    assert_eq!(gone + given_up + 1, brought, "all but the one that is held, and those that are reported");
    assert!(gone >= MOST_RETIRED, "{gone} were revoked");
}

#[test]
fn remove_during_an_obtain_waits_for_the_answer_and_revokes_it() {
    let mut world = World::new([("a", revoking())]);
    world.remove("a");
    assert_eq!((world.word("a"), detached(&world)), ("nothing", 1));
    world.pass(Span::secs(30));
    let now = world.now();
    world.end_detached("a", lasting(now, HOUR));
    assert_eq!(revoked(&world), Some(1));
    world.end("a", CallOutcome::Revoked);
    assert!(world.disk.is_empty() && world.published.is_empty());
    assert_eq!(world.schedule.views(world.now()).count(), 0);
}

#[test]
fn remove_during_an_obtain_that_fails_forgets_the_instance() {
    let leaves = RevocationPolicy { removed: None, ..RevocationPolicy::default() };
    let expiring = plan(|plan| {
        plan.component = revoking().component;
        plan.policy.revoke = leaves;
    });
    for (plan, outcome) in [(revoking(), failed(FailureKind::Unavailable)), (expiring, CallOutcome::NotRequired)] {
        let mut world = World::new([("a", plan)]);
        world.remove("a");
        world.end_detached("a", outcome);
        assert_eq!((world.word("a"), world.schedule.views(world.now()).count()), ("nothing", 0));
    }
}

#[test]
fn stop_waits_for_a_call_that_was_given_up_and_keeps_what_it_brings() {
    let mut world = World::new([("a", revoking())]);
    world.handle(ScheduleEvent::Revoke(name("a")));
    world.handle(ScheduleEvent::Stop);
    world.fail("a", FailureKind::Unavailable);
    assert!(!world.schedule.is_stopped());
    let now = world.now();
    world.end_detached("a", lasting(now, HOUR));
    assert!(world.schedule.is_stopped());
    assert_eq!(world.disk[&name("a")].retired.len(), 1, "it is revoked after the next start");
}

#[test]
fn late_tokens_are_left_to_expire_where_that_is_configured() {
    let mut world = World::new([(
        "a",
        plan(|plan| {
            plan.component = revoking().component;
            plan.policy.revoke.replaced = None;
        }),
    )]);
    let changed =
        InstancePlan { fingerprint: ConfigFingerprint([2; 16]), ..world.configuration.plans[&name("a")].clone() };
    world.plan("a", changed);
    let now = world.now();
    world.end_detached("a", lasting(now, HOUR));
    world.bring("a", HOUR);
    assert_eq!((world.view("a").retired, world.word("a")), (0, "nothing"));
}
