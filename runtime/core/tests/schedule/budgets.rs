use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{Budget, CallOutcome, InitialBudget, InstanceActivity, OperatorEvent, Schedule};
use deputy_core::time::{MonotonicTime, Now};
use deputy_test_support::{Performed, TestSchedule, instance_name, plain_plan, plan_with, tokens_for, upstream_name};

/// A thousand instances of one upstream, whose calls take 200 ms.
fn thousand(budget: Budget) -> TestSchedule {
    let mut schedule = TestSchedule::unconfigured(1);
    for n in 0..1000 {
        let text = format!("a{n}");
        schedule.configuration.plans.insert(instance_name(&text), plain_plan());
        schedule.answer_calls(&text, |_, now| Some((Span::millis(200), tokens_for(now, Span::secs(3600)))));
    }
    schedule.configuration.default_budget = budget;
    schedule.configuration.calls = 64;
    schedule
}

/// The times of all calls.
fn times(schedule: &TestSchedule) -> Vec<u64> {
    let calls = schedule.log.iter().filter(|(_, did)| matches!(did, Performed::Call(..)));
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
fn budgets_serve_a_thousand_instances_at_start_on_time() {
    let budget = Budget { per_minute: 600, burst: 100 };
    let mut schedule = thousand(budget);
    schedule.reload();
    assert_eq!(schedule.running().len(), 64);
    schedule.advance(Span::secs(92));
    assert_eq!(schedule.published.len(), 1000, "a burst of 100, and 900 at ten per second");
    assert_within(&times(&schedule), budget);
}

#[test]
fn budgets_start_empty_after_a_restart() {
    let budget = Budget { per_minute: 600, burst: 100 };
    let mut schedule = thousand(budget);
    schedule.reload();
    assert_eq!(schedule.running().len(), 64);
    schedule.crash();
    assert_eq!(schedule.running().len(), 0);
    schedule.advance(Span::secs(10));
    schedule.crash();
    schedule.advance(Span::secs(110));
    assert_eq!(schedule.published.len(), 1000);
    assert_within(&times(&schedule), budget);
}

#[test]
fn budgets_snapshot_shows_how_long_an_instance_waits() {
    let mut schedule = thousand(Budget { per_minute: 60, burst: 2 });
    schedule.reload();
    let waiting = |schedule: &TestSchedule| {
        let views = schedule.machine.instances(schedule.now());
        views
            .filter(|view| matches!(view.activity, InstanceActivity::Waiting(Some(left)) if left == Span::secs(1)))
            .count()
    };
    assert_eq!(waiting(&schedule), 998);
    let upstreams: Vec<_> = schedule.machine.upstreams(schedule.now()).collect();
    assert_eq!(upstreams.len(), 1);
    assert_eq!((upstreams[0].waiting, upstreams[0].blocked_for), (998, Some(Span::secs(1))));
}

#[test]
fn budgets_are_separate_for_each_upstream() {
    let mut schedule = TestSchedule::unconfigured(1);
    for (text, up) in [("a", "u"), ("b", "u"), ("c", "v"), ("d", "v"), ("e", "w")] {
        schedule.configuration.plans.insert(instance_name(text), plan_with(|plan| plan.upstream = upstream_name(up)));
    }
    schedule.configuration.default_budget = Budget { per_minute: 1, burst: 1 };
    schedule.configuration.budgets.insert(upstream_name("v"), Budget { per_minute: 1, burst: 2 });
    schedule.reload();
    let called: Vec<&str> =
        ["a", "b", "c", "d", "e"].into_iter().filter(|text| schedule.call_kind(text) != "nothing").collect();
    assert_eq!(called, ["a", "c", "d", "e"]);
}

#[test]
fn budgets_count_revocations_which_come_after_tokens() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.configuration.default_budget = Budget { per_minute: 1, burst: 2 };
    schedule.configuration.plans.insert(instance_name("r"), deputy_test_support::revoking_plan());
    schedule.reload();
    schedule.complete("r", Span::secs(36_000));
    schedule.remove("r");
    assert_eq!(schedule.call_kind("r"), "revoke");
    schedule.fail_call("r", FailureKind::Unavailable);
    schedule.advance(Span::secs(30)); // it waits for the next call
    schedule.configure("a", plain_plan());
    schedule.advance_until_called("a");
    assert_eq!(schedule.calls_of("r").len(), 2, "the revocation waited longer and comes second");
}

#[test]
fn budgets_bound_the_calls_to_a_flapping_service() {
    let budget = Budget { per_minute: 120, burst: 10 };
    let mut schedule = thousand(budget);
    for n in 0..1000 {
        let mut calls = 0;
        schedule.answer_calls(&format!("a{n}"), move |_, now| {
            calls += 1;
            let outcome = match calls % 2 {
                0 => tokens_for(now, Span::secs(60)),
                _ => deputy_test_support::failure(FailureKind::Unavailable),
            };
            Some((Span::millis(5), outcome))
        });
    }
    schedule.reload();
    schedule.advance(Span::secs(600));
    assert_within(&times(&schedule), budget);
    let served: Vec<usize> = (0..1000).map(|n| schedule.calls_of(&format!("a{n}")).len()).collect();
    assert!(
        served.iter().all(|calls| (1..=3).contains(calls)),
        "1,200 calls, and each instance has a share: {served:?}"
    );
}

#[test]
fn budgets_changed_by_a_reload_give_no_second_burst() {
    let mut schedule = thousand(Budget { per_minute: 1, burst: 10 });
    schedule.reload();
    assert_eq!(times(&schedule).len(), 10);
    schedule.configuration.default_budget = Budget { per_minute: 60, burst: 100 };
    schedule.reload();
    assert_eq!(times(&schedule).len(), 10);
    schedule.advance(Span::secs(5));
    assert_eq!(times(&schedule).len(), 15);
}

/// A service with a rate limit of its own: it answers at most `per_second` calls in any second and throttles the others.
fn limited(per_second: usize, stated: Span) -> impl FnMut(Now) -> CallOutcome + Clone {
    let answered = Rc::new(RefCell::new(VecDeque::<u64>::new()));
    move |now| {
        let mut answered = answered.borrow_mut();
        while answered.front().is_some_and(|at| at + 1000 <= now.mono.as_millis()) {
            answered.pop_front();
        }
        if answered.len() >= per_second {
            return deputy_test_support::throttled(stated);
        }
        answered.push_back(now.mono.as_millis());
        tokens_for(now, Span::secs(3600))
    }
}

/// How long a thousand instances take to start under this budget, and how many calls are throttled meanwhile.
fn start_limited(budget: Budget, per_second: usize, stated: Span) -> (u64, usize) {
    let mut schedule = thousand(budget);
    let service = limited(per_second, stated);
    for n in 0..1000 {
        let mut service = service.clone();
        schedule.answer_calls(&format!("a{n}"), move |_, now| Some((Span::millis(150 + n % 100), service(now))));
    }
    schedule.reload();
    while schedule.published.len() < 1000 {
        assert!(schedule.age() < 600_000, "{} of 1000 after ten minutes", schedule.published.len());
        schedule.advance(Span::millis(100));
    }
    (schedule.age(), times(&schedule).len() - 1000)
}

#[test]
fn budgets_equal_to_the_limit_of_the_service_cost_no_time() {
    // A thousand at fifty a second are twenty seconds.
    for (stated, most) in [(0, 24_000), (1, 27_000)] {
        let budget = Budget { per_minute: 3000, burst: 100 };
        let (took, throttled) = start_limited(budget, 50, Span::secs(stated));
        assert!(took <= most, "{took} ms when the stated delay is {stated} s, with {throttled} throttled calls");
        assert!((1..200).contains(&throttled), "{throttled} throttled calls");
    }
}

#[test]
fn budgets_above_the_limit_of_the_service_adapt_to_it() {
    for (stated, most) in [(0, 35_000), (1, 45_000)] {
        let budget = Budget { per_minute: 60_000, burst: 1000 };
        let (took, throttled) = start_limited(budget, 50, Span::secs(stated));
        assert!(took <= most, "{took} ms when the stated delay is {stated} s, with {throttled} throttled calls");
        assert!(throttled < 1000, "{throttled} throttled calls");
    }
}

#[test]
fn budgets_lend_nothing_where_the_service_has_a_limit() {
    // Forty leases of ten seconds are five or six calls a second, which is what the service bears.
    let mut schedule = thousand(Budget::DEFAULT);
    let service = limited(6, Span::secs(0));
    schedule.configuration.plans = (0..40).map(|n| (instance_name(&format!("a{n}")), plain_plan())).collect();
    for n in 0..40 {
        let mut service = service.clone();
        schedule.answer_calls(&format!("a{n}"), move |_, now| {
            let granted = matches!(service(now), CallOutcome::Obtained(_));
            let short = tokens_for(now, Span::secs(10));
            let outcome = if granted { short } else { deputy_test_support::throttled(Span::secs(0)) };
            Some((Span::millis(150), outcome))
        });
    }
    schedule.reload();
    schedule.advance(Span::secs(600));
    let throttled = schedule.operator_events().filter(|event| matches!(event, OperatorEvent::Failed(..))).count();
    let calls = times(&schedule).len();
    assert!(calls > 3000 && throttled < 60, "{throttled} of {calls} calls were throttled");
}

#[test]
fn budgets_make_the_same_history_from_the_same_seed() {
    let run = || {
        let mut schedule = thousand(Budget::DEFAULT);
        schedule.reload();
        schedule.advance(Span::secs(4000));
        schedule.log
    };
    assert!(run() == run());
}

#[test]
fn budgets_allow_no_call_before_the_first_configuration() {
    let mut schedule = Schedule::new(InitialBudget::Full, 1);
    let now = TestSchedule::unconfigured(1).now();
    schedule.handle(now, deputy_core::schedule::ScheduleEvent::TimerFired);
    schedule.handle(now, deputy_core::schedule::ScheduleEvent::LeaseRequested(instance_name("a")));
    assert!(schedule.next_action().is_none());
    assert_eq!(schedule.wake_at(now), None::<MonotonicTime>);
    assert_eq!(schedule.instances(now).count(), 0);
}
