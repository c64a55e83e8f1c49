use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{InstanceActivity, OperatorEvent, ProviderCall};
use deputy_test_support::{
    Performed, TestSchedule, count_distinct, failure, instance_name, plain_plan, plan_with, tokens_for, upstream_name,
};

fn fifty() -> (TestSchedule, Vec<String>) {
    let names: Vec<String> = (0..50).map(|n| format!("a{n}")).collect();
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.configuration.plans = names.iter().map(|text| (instance_name(text), plain_plan())).collect();
    schedule.configuration.calls = 8;
    (schedule, names)
}

#[test]
fn parallel_calls_are_bounded_by_the_configuration() {
    let (mut schedule, _) = fifty();
    schedule.reload();
    assert_eq!(schedule.running().len(), 8);
    schedule.complete("a0", Span::secs(3600));
    assert_eq!(schedule.running().len(), 8, "the next takes its place");
    let waiting = schedule
        .machine
        .instances(schedule.now())
        .filter(|view| matches!(view.activity, InstanceActivity::Waiting(None)))
        .count();
    assert_eq!(waiting, 41, "the snapshot shows the waiting instances");
}

#[test]
fn parallel_limit_change_aborts_no_running_call() {
    let (mut schedule, _) = fifty();
    schedule.reload();
    schedule.configuration.calls = 20;
    schedule.reload();
    assert_eq!(schedule.running().len(), 20);
    schedule.configuration.calls = 5;
    schedule.reload();
    for left in [19, 18, 17] {
        schedule.complete(&schedule.running()[0].clone(), Span::secs(3600));
        assert_eq!(schedule.running().len(), left, "no running call is aborted");
    }
}

#[test]
fn parallel_limit_of_zero_is_a_limit_of_one() {
    let (mut schedule, _) = fifty();
    schedule.configuration.calls = 0;
    schedule.reload();
    assert_eq!(schedule.running().len(), 1);
}

#[test]
fn parallel_hanging_instance_delays_no_other() {
    let (mut schedule, names) = fifty();
    for text in names.iter().skip(1) {
        schedule.answer_calls(text, |_, now| Some((Span::millis(50), tokens_for(now, Span::secs(60)))));
    }
    schedule.reload();
    schedule.advance(Span::secs(3600));
    assert_eq!(schedule.calls_of("a0").len(), 1, "it hangs since the beginning");
    assert_eq!(schedule.published.len(), 49);
    for text in names.iter().skip(1) {
        let times: Vec<u64> = schedule.calls_of(text).iter().map(|(at, _)| *at).collect();
        assert!(times.len() >= 79, "{text} was called {} times", times.len());
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 46_000), "{text} was late");
    }
    assert_eq!(schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count(), 0);
}

/// `instances` instances of each service that hangs until the limits end the calls, and ten of one that answers. The
/// hanging ones are due first.
fn hanging(services: usize, instances: usize, life: u64) -> TestSchedule {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.configuration.calls = 32;
    for n in 0..services * instances {
        let text = format!("a{n:03}");
        let service = format!("hangs{}", n % services);
        schedule
            .configuration
            .plans
            .insert(instance_name(&text), plan_with(|plan| plan.upstream = upstream_name(&service)));
        schedule.answer_calls(&text, |_, _| Some((Span::secs(60), failure(FailureKind::OverLimit))));
    }
    for n in 0..10 {
        let text = format!("good{n}");
        schedule
            .configuration
            .plans
            .insert(instance_name(&text), plan_with(|plan| plan.upstream = upstream_name("answers")));
        schedule.answer_calls(&text, move |_, now| Some((Span::millis(200), tokens_for(now, Span::secs(life)))));
    }
    schedule
}

#[test]
fn parallel_hanging_service_leaves_places_to_another() {
    for life in [6, 60, 3600] {
        let mut schedule = hanging(1, 120, life);
        schedule.reload();
        schedule.advance(Span::secs(1));
        assert_eq!(schedule.published.len(), 10, "all of them have a lease within a second");
        schedule.advance(Span::secs(3600));
        assert_eq!(
            schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count(),
            0,
            "{life} s"
        );
        let hung =
            schedule.log.iter().filter(|(_, did)| matches!(did, Performed::Call(text, _) if text.starts_with('a')));
        assert!(hung.count() > 500, "and the one that hangs is tried, too");
    }
}

#[test]
fn parallel_hanging_services_leave_a_lease_at_risk_a_place() {
    for life in [60, 3600] {
        let mut schedule = hanging(8, 15, life);
        let all = schedule.configuration.plans.clone();
        schedule.configuration.plans.retain(|name, _| name.as_str().starts_with("good"));
        schedule.reload();
        schedule.advance(Span::secs(1));
        schedule.configuration.plans = all;
        schedule.reload();
        schedule.advance(Span::secs(2 * life));
        assert_eq!(schedule.published.len(), 10);
        assert_eq!(
            schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count(),
            0,
            "{life} s"
        );
    }
}

#[test]
fn parallel_failing_instance_delays_no_other() {
    let (mut schedule, names) = fifty();
    schedule.answer_calls("a0", |_, _| Some((Span::millis(5), failure(FailureKind::Broken))));
    for text in names.iter().skip(1) {
        schedule.answer_calls(text, |_, now| Some((Span::millis(50), tokens_for(now, Span::secs(60)))));
    }
    schedule.reload();
    schedule.advance(Span::secs(600));
    assert_eq!(schedule.published.len(), 49);
    assert_eq!(count_distinct(schedule.published.keys().map(|name| name.as_str())), 49);
    assert_eq!(schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count(), 0);
}

#[test]
fn parallel_calls_are_made_in_order_of_due_time() {
    let mut schedule = TestSchedule::unconfigured(1);
    for (text, life) in [("a", 80), ("b", 40), ("c", 20)] {
        schedule.configure(text, plain_plan());
        schedule.complete(text, Span::secs(life));
    }
    schedule.configuration.calls = 1;
    schedule.configure("hangs", plain_plan());
    schedule.advance(Span::secs(100));
    let mut order = Vec::new();
    for _ in 0..3 {
        schedule.complete(&schedule.running()[0].clone(), Span::secs(3600));
        order.extend(schedule.running());
    }
    assert_eq!(order, ["c", "b", "a"]);
}

#[test]
fn parallel_hanging_revocation_delays_no_obtain() {
    let mut schedule = TestSchedule::new([("a", deputy_test_support::revoking_plan())]);
    schedule.answer_calls("a", |work, now| match work {
        ProviderCall::Revoke(_) => None,
        _ => Some((Span::millis(10), tokens_for(now, Span::secs(1000)))),
    });
    schedule.complete("a", Span::secs(1000));
    schedule.advance(Span::secs(7500));
    let obtained = schedule.calls_of("a").iter().filter(|(_, word)| *word == "obtain").count();
    assert_eq!(obtained, 11);
}
