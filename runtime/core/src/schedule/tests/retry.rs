use super::world::{World, name, plain, plan, upstream};
use crate::Span;
use crate::failure::FailureKind;
use crate::retry::RetryPolicy;
use crate::schedule::{Account, CallOutcome, InstanceActivity, OperatorEvent, Readiness, ScheduleEvent};

/// The waits that are told, in milliseconds.
fn waits(world: &World) -> Vec<u64> {
    let told = world.notices().filter_map(|notice| match notice {
        OperatorEvent::Failed(_, _, wait) => Some(wait.as_millis()),
        _ => None,
    });
    told.collect()
}

#[test]
fn delays_double_from_the_floor_to_the_greatest_with_jitter() {
    for seed in 0..50 {
        let mut world = World::silent(seed);
        world.plan("a", plain());
        for _ in 0..12 {
            world.fail("a", FailureKind::Unavailable);
            let told = *waits(&world).last().unwrap();
            assert_eq!(world.until_called("a"), told, "what is told is what is done");
        }
        for (failures, wait) in waits(&world).into_iter().enumerate() {
            let most = (2000 << failures).min(300_000);
            assert!((most / 2..=most).contains(&wait), "failure {failures}: {wait} of {most}");
        }
    }
}

#[test]
fn those_who_failed_together_come_back_apart() {
    let mut world = World::silent(1);
    let names: Vec<String> = (0..50).map(|n| format!("a{n}")).collect();
    world.configuration.plans = names.iter().map(|text| (name(text), plain())).collect();
    world.reload();
    for text in &names {
        world.fail(text, FailureKind::Unavailable);
    }
    let mut waits = waits(&world);
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 40, "{waits:?}");
}

#[test]
fn a_success_begins_the_delays_anew() {
    let mut world = World::new([("a", plain())]);
    for _ in 0..5 {
        world.fail("a", FailureKind::Unavailable);
        world.until_called("a");
    }
    assert!(*waits(&world).last().unwrap() >= 16_000);
    world.bring("a", Span::secs(3600));
    assert_eq!((world.view("a").failures, world.view("a").trouble), (0, None));
    world.until_called("a");
    world.fail("a", FailureKind::Unavailable);
    assert!(*waits(&world).last().unwrap() <= 2000);
}

#[test]
fn no_delay_is_longer_than_a_third_of_what_is_left() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", Span::secs(120));
    world.until_called("a");
    let ends = world.view("a").lease.unwrap().valid_until;
    loop {
        let left = ends.since(world.now().wall).as_millis();
        if left < 3000 {
            break;
        }
        world.fail("a", FailureKind::Unavailable);
        let wait = *waits(&world).last().unwrap();
        assert!(wait <= (left / 3).max(1000), "{wait} of {left}");
        assert!(wait >= 1000, "{wait}");
        world.until_called("a");
    }
    assert!(waits(&world).len() > 5, "it was tried often before the end: {:?}", waits(&world));
}

#[test]
fn retry_begins_anew_when_the_lease_ends() {
    for seed in 0..50 {
        let mut world = World::silent(seed);
        world.plan("a", plain());
        world.bring("a", Span::secs(60));
        world.until_called("a");
        let ends = world.view("a").lease.unwrap().valid_until;
        while world.now().wall < ends {
            world.fail("a", FailureKind::Unavailable);
            world.until_called("a");
        }
        assert!(waits(&world).len() > 4, "hurried tries come before the end: {:?}", waits(&world));
        for most in [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
            world.fail("a", FailureKind::Unavailable);
            let wait = world.until_called("a");
            assert!((most / 2..=most).contains(&wait), "{wait} of {most} after the end");
        }
    }
}

#[test]
fn retry_after_a_restart_is_bounded_by_the_usual_life_as_well() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", Span::secs(30));
    world.until_called("a");
    world.pass(Span::secs(40));
    world.crash();
    world.pass(Span::secs(1));
    for _ in 0..8 {
        world.fail("a", FailureKind::Unavailable);
        assert!(world.until_called("a") <= 30_000);
    }
}

#[test]
fn retry_outage_longer_than_the_leases_ends_promptly() {
    // A server that is away for longer than its leases live, with what a caller then waits for the first lease.
    for (life, outage, slowest) in [(6, 10, 7), (60, 30, 35), (60, 20, 25), (900, 240, 130)] {
        for seed in 0..20 {
            let mut world = World::silent(seed);
            let away = (world.now().mono.plus(Span::secs(life)), world.now().mono.plus(Span::secs(life + outage)));
            for n in 0..20 {
                let text = format!("a{n}");
                world.configuration.plans.insert(name(&text), plain());
                world.serve(&text, move |_, now| {
                    let outcome = if (away.0..away.1).contains(&now.mono) {
                        super::world::failed(FailureKind::Unavailable)
                    } else {
                        super::world::lasting(now, Span::secs(life))
                    };
                    Some((Span::millis(20), outcome))
                });
            }
            world.reload();
            world.pass(Span::secs(life + outage + slowest));
            let now = world.now().wall;
            let without = world.published.values().filter(|lease| !lease.is_valid(now)).count();
            assert_eq!(without, 0, "{life} s leases, {slowest} s after {outage} s, with seed {seed}");
        }
    }
}

#[test]
fn the_floor_holds_however_little_is_left() {
    let retry = RetryPolicy { floor: Span::secs(10), ..RetryPolicy::default() };
    let mut world = World::new([("a", plan(|plan| plan.policy.retry = retry))]);
    world.bring("a", Span::secs(12));
    world.until_called("a");
    world.fail("a", FailureKind::Unavailable);
    assert!(world.until_called("a") >= 10_000);
}

#[test]
fn a_floor_of_nothing_is_no_hot_loop() {
    let retry = RetryPolicy { floor: Span::millis(0), most: Span::millis(0), slow: Span::millis(0) };
    let mut world = World::new([("a", plan(|plan| plan.policy.retry = retry))]);
    for kind in [FailureKind::Unavailable, FailureKind::Denied, FailureKind::Throttled(Span::millis(0))] {
        world.fail("a", kind);
        assert!(world.until_called("a") >= 10, "{kind}");
    }
}

#[test]
fn what_only_the_operator_can_mend_is_tried_slowly() {
    for kind in [FailureKind::Misconfigured, FailureKind::Denied, FailureKind::Refused] {
        let mut world = World::new([("a", plain())]);
        world.bring("a", Span::secs(60));
        world.until_called("a");
        for _ in 0..6 {
            world.fail("a", kind);
            let wait = world.until_called("a");
            assert!((60_000..=300_000).contains(&wait), "{kind}: {wait}");
        }
        assert_eq!(waits(&world).len(), 6, "and each failure is told");
    }
}

#[test]
fn a_service_that_throttles_is_asked_no_sooner_than_it_said() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", Span::secs(3600));
    world.until_called("a");
    world.fail("a", FailureKind::Throttled(Span::secs(90)));
    let wait = world.until_called("a");
    assert!((90_000..=99_000).contains(&wait), "{wait}");
}

#[test]
fn retry_throttled_without_a_delay_backs_off() {
    let mut world = World::new([("a", plain())]);
    for after in [0, 0, 0, 5, 5, 5, 5, 5, 5] {
        world.fail("a", FailureKind::Throttled(Span::secs(after)));
        world.until_called("a");
    }
    for (failures, wait) in waits(&world).into_iter().enumerate() {
        let most = (2000 << failures).min(300_000);
        assert!((most / 2..=most.max(5500)).contains(&wait), "failure {failures}: {wait} of {most}");
    }
}

#[test]
fn an_absurd_delay_is_capped() {
    let mut world = World::new([("a", plain())]);
    world.fail("a", FailureKind::Throttled(Span::secs(400 * 86_400)));
    let wait = world.until_called("a");
    assert!((3_600_000..=3_960_000).contains(&wait), "{wait}");
}

#[test]
fn who_throttles_one_is_left_alone_by_everybody() {
    let mut world =
        World::new([("a", plain()), ("b", plain()), ("other", plan(|plan| plan.upstream = upstream("other")))]);
    world.fail("b", FailureKind::Unavailable);
    world.bring("other", Span::secs(60));
    world.fail("a", FailureKind::Throttled(Span::secs(120)));
    world.pass(Span::secs(60));
    assert_eq!(world.word("other"), "obtain", "another upstream goes on");
    assert_eq!(world.word("b"), "nothing", "it was due after two seconds");
    assert!(matches!(world.view("b").doing, InstanceActivity::Waiting(Some(_))));
    assert_eq!(world.schedule.upstreams(world.now()).filter(|upstream| upstream.waiting == 1).count(), 1);
    world.pass(Span::secs(59));
    assert_eq!(world.word("b"), "nothing");
    world.pass(Span::secs(2));
    assert_eq!(world.word("b"), "obtain");
}

#[test]
fn one_component_does_not_stop_everybody_for_longer_than_the_greatest_delay() {
    let mut world = World::new([("a", plain()), ("b", plain())]);
    world.fail("b", FailureKind::Unavailable);
    world.fail("a", FailureKind::Throttled(Span::secs(86_400)));
    let wait = world.until_called("b");
    assert!((300_000..301_000).contains(&wait), "{wait}");
}

#[test]
fn retry_told_an_hour_still_tries_before_the_lease_ends() {
    for life in [60, 900, 3600] {
        let mut world = World::new([("a", plain())]);
        world.bring("a", Span::secs(life));
        world.until_called("a");
        let ends = world.view("a").lease.unwrap().valid_until;
        world.fail("a", FailureKind::Throttled(Span::secs(3600)));
        let wait = world.until_called("a");
        let left = life * 1000 / 4;
        assert!((left / 2..=left / 5 * 4).contains(&wait), "{wait} of {left}");
        assert!(world.now().wall < ends, "{life} s");
        world.bring("a", Span::secs(life));
        assert_eq!(world.notices().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count(), 0);
    }
}

#[test]
fn retry_one_told_an_hour_costs_no_other_its_lease() {
    for life in [6, 60, 300, 3600] {
        let mut world = World::silent(1);
        for n in 0..50 {
            let text = format!("a{n}");
            world.configuration.plans.insert(name(&text), plain());
            let mut calls = 0;
            world.serve(&text, move |_, now| {
                calls += 1;
                let outcome = match (n, calls) {
                    (0, 2) => super::world::failed(FailureKind::Throttled(Span::secs(3600))),
                    _ => super::world::lasting(now, Span::secs(life)),
                };
                Some((Span::millis(50), outcome))
            });
        }
        world.reload();
        world.pass(Span::secs(life * 10));
        let ended: Vec<&OperatorEvent> =
            world.notices().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).collect();
        assert!(ended.is_empty(), "{life} s: {ended:?}");
        assert_eq!(world.notices().filter(|notice| matches!(notice, OperatorEvent::Failed(..))).count(), 1);
    }
}

#[test]
fn retry_leaves_other_accounts_of_a_throttled_upstream_alone() {
    let of = |account| plan(|plan| plan.account = account);
    let (one, two) = (Some(Account([1; 16])), Some(Account([2; 16])));
    let mut world = World::new([("a", of(one)), ("b", of(one)), ("c", of(two)), ("d", of(None))]);
    for text in ["b", "c", "d"] {
        world.fail(text, FailureKind::Unavailable);
    }
    world.fail("a", FailureKind::Throttled(Span::secs(120)));
    world.pass(Span::secs(60));
    assert_eq!(["b", "c", "d"].map(|text| world.word(text)), ["nothing", "obtain", "obtain"]);
    assert!(matches!(world.view("b").doing, InstanceActivity::Waiting(Some(left)) if left == Span::secs(60)));
    world.pass(Span::secs(60));
    assert_eq!(world.word("b"), "obtain");
}

#[test]
fn an_old_lease_stays_published_while_another_one_fails() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", Span::secs(3600));
    world.until_called("a");
    world.fail("a", FailureKind::Unavailable);
    assert_eq!((world.revision("a"), world.view("a").readiness), (Some(1), Readiness::Ready));
    assert_eq!(world.view("a").doing, InstanceActivity::Retrying);
    world.serve("a", |_, _| Some((Span::millis(0), super::world::failed(FailureKind::Unavailable))));
    world.pass(Span::secs(900));
    assert_eq!(world.view("a").readiness, Readiness::Expired);
}

#[test]
fn a_component_that_needs_no_tokens_is_asked_again_later() {
    let mut world = World::new([("a", plain())]);
    world.end("a", CallOutcome::NotRequired);
    assert_eq!(
        (world.view("a").doing, world.view("a").readiness),
        (InstanceActivity::NotRequired, Readiness::NotNeeded)
    );
    assert_eq!(world.until_called("a"), 600_000);
    world.bring("a", Span::secs(60));
    assert_eq!(world.view("a").readiness, Readiness::Ready);
}

#[test]
fn a_lease_that_is_no_longer_needed_ends_without_alarm() {
    let mut world = World::new([("a", plain())]);
    world.bring("a", Span::secs(60));
    world.until_called("a");
    world.end("a", CallOutcome::NotRequired);
    world.pass(Span::secs(60));
    assert_eq!(world.view("a").readiness, Readiness::NotNeeded);
    assert_eq!(world.notices().count(), 0);
}

#[test]
fn the_end_of_a_call_that_is_not_known_changes_nothing() {
    let mut world = World::new([("a", plain())]);
    let call = world.call("a").unwrap();
    world.bring("a", Span::secs(3600));
    let before = world.log.len();
    world.handle(ScheduleEvent::Finished(call, super::world::failed(FailureKind::Broken)));
    assert_eq!((world.log.len(), world.view("a").failures), (before, 0));
}
