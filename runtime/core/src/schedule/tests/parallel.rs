use super::world::{Did, World, distinct, failed, lasting, name, plain, plan, upstream};
use crate::Span;
use crate::failure::FailureKind;
use crate::schedule::{InstanceActivity, OperatorEvent, ProviderCall};

fn fifty() -> (World, Vec<String>) {
    let names: Vec<String> = (0..50).map(|n| format!("a{n}")).collect();
    let mut world = World::silent(1);
    world.configuration.plans = names.iter().map(|text| (name(text), plain())).collect();
    world.configuration.calls = 8;
    (world, names)
}

#[test]
fn no_more_calls_are_made_at_once_than_configured() {
    let (mut world, _) = fifty();
    world.reload();
    assert_eq!(world.under_way().len(), 8);
    world.bring("a0", Span::secs(3600));
    assert_eq!(world.under_way().len(), 8, "the next takes its place");
    let waiting =
        world.schedule.views(world.now()).filter(|view| matches!(view.doing, InstanceActivity::Waiting(None))).count();
    assert_eq!(waiting, 41, "and who waits is shown");
}

#[test]
fn a_greater_limit_counts_at_once_and_a_smaller_one_from_the_next_call_on() {
    let (mut world, _) = fifty();
    world.reload();
    world.configuration.calls = 20;
    world.reload();
    assert_eq!(world.under_way().len(), 20);
    world.configuration.calls = 5;
    world.reload();
    for left in [19, 18, 17] {
        world.bring(&world.under_way()[0].clone(), Span::secs(3600));
        assert_eq!(world.under_way().len(), left, "nobody is cut");
    }
}

#[test]
fn a_limit_of_nothing_is_a_limit_of_one() {
    let (mut world, _) = fifty();
    world.configuration.calls = 0;
    world.reload();
    assert_eq!(world.under_way().len(), 1);
}

#[test]
fn one_of_fifty_hangs_and_delays_nobody() {
    let (mut world, names) = fifty();
    for text in names.iter().skip(1) {
        world.serve(text, |_, now| Some((Span::millis(50), lasting(now, Span::secs(60)))));
    }
    world.reload();
    world.pass(Span::secs(3600));
    assert_eq!(world.called("a0").len(), 1, "it hangs since the beginning");
    assert_eq!(world.published.len(), 49);
    for text in names.iter().skip(1) {
        let times: Vec<u64> = world.called(text).iter().map(|(at, _)| *at).collect();
        assert!(times.len() >= 79, "{text} was called {} times", times.len());
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 46_000), "{text} was late");
    }
    assert_eq!(world.notices().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count(), 0);
}

/// So many instances of each service that hang until the limits end their calls, and ten of one that answers. The ones
/// that hang are due first.
fn hanging(services: usize, instances: usize, life: u64) -> World {
    let mut world = World::silent(1);
    world.configuration.calls = 32;
    for n in 0..services * instances {
        let text = format!("a{n:03}");
        let service = format!("hangs{}", n % services);
        world.configuration.plans.insert(name(&text), plan(|plan| plan.upstream = upstream(&service)));
        world.serve(&text, |_, _| Some((Span::secs(60), failed(FailureKind::OverLimit))));
    }
    for n in 0..10 {
        let text = format!("good{n}");
        world.configuration.plans.insert(name(&text), plan(|plan| plan.upstream = upstream("answers")));
        world.serve(&text, move |_, now| Some((Span::millis(200), lasting(now, Span::secs(life)))));
    }
    world
}

#[test]
fn parallel_hanging_service_leaves_places_to_another() {
    for life in [6, 60, 3600] {
        let mut world = hanging(1, 120, life);
        world.reload();
        world.pass(Span::secs(1));
        assert_eq!(world.published.len(), 10, "all of them have a lease within a second");
        world.pass(Span::secs(3600));
        assert_eq!(
            world.notices().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count(),
            0,
            "{life} s"
        );
        let hung = world.log.iter().filter(|(_, did)| matches!(did, Did::Call(text, _) if text.starts_with('a')));
        assert!(hung.count() > 500, "and the one that hangs is tried, too");
    }
}

#[test]
fn parallel_hanging_services_leave_a_lease_at_risk_a_place() {
    for life in [60, 3600] {
        let mut world = hanging(8, 15, life);
        let all = world.configuration.plans.clone();
        world.configuration.plans.retain(|name, _| name.as_str().starts_with("good"));
        world.reload();
        world.pass(Span::secs(1));
        world.configuration.plans = all;
        world.reload();
        world.pass(Span::secs(2 * life));
        assert_eq!(world.published.len(), 10);
        assert_eq!(
            world.notices().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count(),
            0,
            "{life} s"
        );
    }
}

#[test]
fn one_of_fifty_fails_and_delays_nobody() {
    let (mut world, names) = fifty();
    world.serve("a0", |_, _| Some((Span::millis(5), failed(FailureKind::Broken))));
    for text in names.iter().skip(1) {
        world.serve(text, |_, now| Some((Span::millis(50), lasting(now, Span::secs(60)))));
    }
    world.reload();
    world.pass(Span::secs(600));
    assert_eq!(world.published.len(), 49);
    assert_eq!(distinct(world.published.keys().map(|name| name.as_str())), 49);
    assert_eq!(world.notices().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count(), 0);
}

#[test]
fn who_was_due_first_is_called_first() {
    let mut world = World::silent(1);
    for (text, life) in [("a", 80), ("b", 40), ("c", 20)] {
        world.plan(text, plain());
        world.bring(text, Span::secs(life));
    }
    world.configuration.calls = 1;
    world.plan("hangs", plain());
    world.pass(Span::secs(100));
    let mut order = Vec::new();
    for _ in 0..3 {
        world.bring(&world.under_way()[0].clone(), Span::secs(3600));
        order.extend(world.under_way());
    }
    assert_eq!(order, ["c", "b", "a"]);
}

#[test]
fn a_hanging_revocation_keeps_no_tokens_waiting() {
    let mut world = World::new([("a", super::world::revoking())]);
    world.serve("a", |work, now| match work {
        ProviderCall::Revoke(_) => None,
        _ => Some((Span::millis(10), lasting(now, Span::secs(1000)))),
    });
    world.bring("a", Span::secs(1000));
    world.pass(Span::secs(7500));
    let obtained = world.called("a").iter().filter(|(_, word)| *word == "obtain").count();
    assert_eq!(obtained, 11);
}
