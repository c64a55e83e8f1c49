use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::world::{Did, World, lasting, name, plain, plan, upstream};
use crate::Span;
use crate::failure::FailureKind;
use crate::schedule::{Budget, CallOutcome, InitialBudget, InstanceActivity, Schedule};
use crate::time::{MonotonicTime, Now};

/// A thousand instances of one upstream, whose calls take 200 ms.
fn thousand(budget: Budget) -> World {
    let mut world = World::silent(1);
    for n in 0..1000 {
        let text = format!("a{n}");
        world.configuration.plans.insert(name(&text), plain());
        world.serve(&text, |_, now| Some((Span::millis(200), lasting(now, Span::secs(3600)))));
    }
    world.configuration.default_budget = budget;
    world.configuration.calls = 64;
    world
}

/// The times of all calls.
fn times(world: &World) -> Vec<u64> {
    let calls = world.log.iter().filter(|(_, did)| matches!(did, Did::Call(..)));
    calls.map(|(at, _)| *at).collect()
}

/// No window of any length holds more calls than the burst and what the pace brings meanwhile.
fn assert_within(times: &[u64], budget: Budget) {
    for (from, first) in times.iter().enumerate() {
        for (to, last) in times.iter().enumerate().skip(from) {
            let most = u64::from(budget.burst) + (last - first) * u64::from(budget.per_minute) / 60_000;
            let calls = (to - from + 1) as u64;
            assert!(calls <= most, "{calls} calls in {} ms, of at most {most}", last - first);
        }
    }
}

#[test]
fn a_thousand_instances_at_start_are_all_served_within_the_budget_and_in_its_time() {
    let budget = Budget { per_minute: 600, burst: 100 };
    let mut world = thousand(budget);
    world.reload();
    assert_eq!(world.under_way().len(), 64);
    world.pass(Span::secs(92));
    assert_eq!(world.published.len(), 1000, "a burst of 100, and 900 at ten per second");
    assert_within(&times(&world), budget);
}

#[test]
fn after_a_restart_a_budget_begins_with_nothing() {
    let budget = Budget { per_minute: 600, burst: 100 };
    let mut world = thousand(budget);
    world.reload();
    assert_eq!(world.under_way().len(), 64);
    world.crash();
    assert_eq!(world.under_way().len(), 0);
    world.pass(Span::secs(10));
    world.crash();
    world.pass(Span::secs(110));
    assert_eq!(world.published.len(), 1000);
    assert_within(&times(&world), budget);
}

#[test]
fn who_waits_for_a_budget_is_shown_with_how_long() {
    let mut world = thousand(Budget { per_minute: 60, burst: 2 });
    world.reload();
    let waiting = |world: &World| {
        let views = world.schedule.views(world.now());
        views
            .filter(|view| matches!(view.doing, InstanceActivity::Waiting(Some(left)) if left == Span::secs(1)))
            .count()
    };
    assert_eq!(waiting(&world), 998);
    let upstreams: Vec<_> = world.schedule.upstreams(world.now()).collect();
    assert_eq!(upstreams.len(), 1);
    assert_eq!((upstreams[0].waiting, upstreams[0].blocked_for), (998, Some(Span::secs(1))));
}

#[test]
fn each_upstream_has_its_own_budget() {
    let mut world = World::silent(1);
    for (text, up) in [("a", "u"), ("b", "u"), ("c", "v"), ("d", "v"), ("e", "w")] {
        world.configuration.plans.insert(name(text), plan(|plan| plan.upstream = upstream(up)));
    }
    world.configuration.default_budget = Budget { per_minute: 1, burst: 1 };
    world.configuration.budgets.insert(upstream("v"), Budget { per_minute: 1, burst: 2 });
    world.reload();
    let called: Vec<&str> =
        ["a", "b", "c", "d", "e"].into_iter().filter(|text| world.word(text) != "nothing").collect();
    assert_eq!(called, ["a", "c", "d", "e"]);
}

#[test]
fn a_revocation_counts_as_a_call_and_comes_after_tokens() {
    let mut world = World::silent(1);
    world.configuration.default_budget = Budget { per_minute: 1, burst: 2 };
    world.configuration.plans.insert(name("r"), super::world::revoking());
    world.reload();
    world.bring("r", Span::secs(36_000));
    world.remove("r");
    assert_eq!(world.word("r"), "revoke");
    world.fail("r", FailureKind::Unavailable);
    world.pass(Span::secs(30)); // it waits for the next call
    world.plan("a", plain());
    world.until_called("a");
    assert_eq!(world.called("r").len(), 2, "the one who waited longer comes second");
}

#[test]
fn a_service_that_flaps_costs_no_more_than_the_budget() {
    let budget = Budget { per_minute: 120, burst: 10 };
    let mut world = thousand(budget);
    for n in 0..1000 {
        let mut calls = 0;
        world.serve(&format!("a{n}"), move |_, now| {
            calls += 1;
            let outcome = match calls % 2 {
                0 => lasting(now, Span::secs(60)),
                _ => super::world::failed(FailureKind::Unavailable),
            };
            Some((Span::millis(5), outcome))
        });
    }
    world.reload();
    world.pass(Span::secs(600));
    assert_within(&times(&world), budget);
    let served: Vec<usize> = (0..1000).map(|n| world.called(&format!("a{n}")).len()).collect();
    assert!(served.iter().all(|calls| (1..=3).contains(calls)), "1,200 calls, and everybody has a share: {served:?}");
}

#[test]
fn a_changed_budget_counts_at_once_and_gives_no_second_burst() {
    let mut world = thousand(Budget { per_minute: 1, burst: 10 });
    world.reload();
    assert_eq!(times(&world).len(), 10);
    world.configuration.default_budget = Budget { per_minute: 60, burst: 100 };
    world.reload();
    assert_eq!(times(&world).len(), 10);
    world.pass(Span::secs(5));
    assert_eq!(times(&world).len(), 15);
}

/// A service with a budget of its own: in no second it answers more than so many calls, and throttles all others.
fn limited(per_second: usize, told: Span) -> impl FnMut(Now) -> CallOutcome + Clone {
    let answered = Rc::new(RefCell::new(VecDeque::<u64>::new()));
    move |now| {
        let mut answered = answered.borrow_mut();
        while answered.front().is_some_and(|at| at + 1000 <= now.mono.as_millis()) {
            answered.pop_front();
        }
        if answered.len() >= per_second {
            return super::world::failed(FailureKind::Throttled(told));
        }
        answered.push_back(now.mono.as_millis());
        lasting(now, Span::secs(3600))
    }
}

/// How long a thousand instances take to start under this budget, and how many calls are throttled meanwhile.
fn start_limited(budget: Budget, per_second: usize, told: Span) -> (u64, usize) {
    let mut world = thousand(budget);
    let service = limited(per_second, told);
    for n in 0..1000 {
        let mut service = service.clone();
        world.serve(&format!("a{n}"), move |_, now| Some((Span::millis(150 + n % 100), service(now))));
    }
    world.reload();
    while world.published.len() < 1000 {
        assert!(world.age() < 600_000, "{} of 1000 after ten minutes", world.published.len());
        world.pass(Span::millis(100));
    }
    (world.age(), times(&world).len() - 1000)
}

#[test]
fn budget_equal_to_the_limit_of_the_service_costs_no_time() {
    // A thousand at fifty a second are twenty seconds.
    for (told, most) in [(0, 24_000), (1, 27_000)] {
        let budget = Budget { per_minute: 3000, burst: 100 };
        let (took, throttled) = start_limited(budget, 50, Span::secs(told));
        assert!(took <= most, "{took} ms when told {told} s, with {throttled} throttled calls");
        assert!((1..200).contains(&throttled), "{throttled} throttled calls");
    }
}

#[test]
fn budget_above_the_limit_of_the_service_finds_that_limit() {
    for (told, most) in [(0, 35_000), (1, 45_000)] {
        let budget = Budget { per_minute: 60_000, burst: 1000 };
        let (took, throttled) = start_limited(budget, 50, Span::secs(told));
        assert!(took <= most, "{took} ms when told {told} s, with {throttled} throttled calls");
        assert!(throttled < 1000, "{throttled} throttled calls");
    }
}

#[test]
fn the_same_seed_and_events_make_the_same_history() {
    let run = || {
        let mut world = thousand(Budget::DEFAULT);
        world.reload();
        world.pass(Span::secs(4000));
        world.log
    };
    assert!(run() == run());
}

#[test]
fn nobody_is_called_before_there_is_a_configuration() {
    let mut schedule = Schedule::new(InitialBudget::Full, 1);
    let now = World::silent(1).now();
    schedule.handle(now, crate::schedule::ScheduleEvent::TimerFired);
    schedule.handle(now, crate::schedule::ScheduleEvent::LeaseRequested(name("a")));
    assert!(schedule.next_action().is_none());
    assert_eq!(schedule.wake_at(now), None::<MonotonicTime>);
    assert_eq!(schedule.views(now).count(), 0);
}
