use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::retry::RetryPolicy;
use deputy_core::schedule::{
    Budget, CallOutcome, InstanceActivity, OperatorEvent, Readiness, ScheduleEvent, UpstreamAccount,
};
use deputy_test_support::{
    Performed, TestSchedule, failure, instance_name, plain_plan, plan_with, throttled, upstream_name,
};

/// The reported retry delays, in milliseconds.
fn waits(schedule: &TestSchedule) -> Vec<u64> {
    let reported = schedule.operator_events().filter_map(|notice| match notice {
        OperatorEvent::Failed(_, _, wait) => wait.map(Span::as_millis),
        _ => None,
    });
    reported.collect()
}

#[test]
fn retry_delays_double_from_floor_to_maximum_with_jitter() {
    for seed in 0..50 {
        let mut schedule = TestSchedule::unconfigured(seed);
        schedule.configure("a", plain_plan());
        for _ in 0..12 {
            schedule.fail_call("a", FailureKind::Unavailable);
            let reported = *waits(&schedule).last().unwrap();
            assert_eq!(schedule.advance_until_called("a"), reported, "the retry follows the reported delay");
        }
        for (failures, wait) in waits(&schedule).into_iter().enumerate() {
            let most = (2000 << failures).min(300_000);
            assert!((most / 2..=most).contains(&wait), "failure {failures}: {wait} of {most}");
        }
    }
}

#[test]
fn retry_jitter_spreads_instances_that_failed_together() {
    let mut schedule = TestSchedule::unconfigured(1);
    let names: Vec<String> = (0..50).map(|n| format!("a{n}")).collect();
    schedule.configuration.plans = names.iter().map(|text| (instance_name(text), plain_plan())).collect();
    schedule.reload();
    for text in &names {
        schedule.fail_call(text, FailureKind::Unavailable);
    }
    let mut waits = waits(&schedule);
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 40, "{waits:?}");
}

#[test]
fn retry_delays_restart_after_a_success() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    for _ in 0..5 {
        schedule.fail_call("a", FailureKind::Unavailable);
        schedule.advance_until_called("a");
    }
    assert!(*waits(&schedule).last().unwrap() >= 16_000);
    schedule.complete("a", Span::secs(3600));
    assert_eq!((schedule.snapshot("a").failures, schedule.snapshot("a").failure), (0, None));
    schedule.advance_until_called("a");
    schedule.fail_call("a", FailureKind::Unavailable);
    assert!(*waits(&schedule).last().unwrap() <= 2000);
}

#[test]
fn retry_delay_is_at_most_a_third_of_the_remaining_lifetime() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", Span::secs(120));
    schedule.advance_until_called("a");
    let ends = schedule.snapshot("a").lease.unwrap().valid_until;
    loop {
        let left = ends.since(schedule.now().wall).as_millis();
        if left < 3000 {
            break;
        }
        schedule.fail_call("a", FailureKind::Unavailable);
        let wait = *waits(&schedule).last().unwrap();
        assert!(wait <= (left / 3).max(1000), "{wait} of {left}");
        assert!(wait >= 1000, "{wait}");
        schedule.advance_until_called("a");
    }
    assert!(waits(&schedule).len() > 5, "it was tried often before the end: {:?}", waits(&schedule));
}

#[test]
fn retry_delays_restart_when_the_lease_expires() {
    for seed in 0..50 {
        let mut schedule = TestSchedule::unconfigured(seed);
        schedule.configure("a", plain_plan());
        schedule.complete("a", Span::secs(60));
        schedule.advance_until_called("a");
        let ends = schedule.snapshot("a").lease.unwrap().valid_until;
        while schedule.now().wall < ends {
            schedule.fail_call("a", FailureKind::Unavailable);
            schedule.advance_until_called("a");
        }
        assert!(waits(&schedule).len() > 4, "hurried tries come before the end: {:?}", waits(&schedule));
        for most in [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
            schedule.fail_call("a", FailureKind::Unavailable);
            let wait = schedule.advance_until_called("a");
            assert!((most / 2..=most).contains(&wait), "{wait} of {most} after the end");
        }
    }
}

#[test]
fn retry_after_a_restart_is_bounded_by_the_usual_lifetime() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", Span::secs(30));
    schedule.advance_until_called("a");
    schedule.advance(Span::secs(40));
    schedule.crash();
    schedule.advance(Span::secs(1));
    for _ in 0..8 {
        schedule.fail_call("a", FailureKind::Unavailable);
        assert!(schedule.advance_until_called("a") <= 30_000);
    }
}

#[test]
fn retry_recovers_promptly_from_an_outage_longer_than_leases() {
    // A server that is away for longer than its leases live, with what a caller then waits for the first lease.
    for (life, outage, slowest) in [(6, 10, 7), (60, 30, 35), (60, 20, 25), (900, 240, 130)] {
        for seed in 0..20 {
            let mut schedule = TestSchedule::unconfigured(seed);
            let away =
                (schedule.now().mono.plus(Span::secs(life)), schedule.now().mono.plus(Span::secs(life + outage)));
            for n in 0..20 {
                let text = format!("a{n}");
                schedule.configuration.plans.insert(instance_name(&text), plain_plan());
                schedule.answer_calls(&text, move |_, now| {
                    let outcome = if (away.0..away.1).contains(&now.mono) {
                        failure(FailureKind::Unavailable)
                    } else {
                        deputy_test_support::tokens_for(now, Span::secs(life))
                    };
                    Some((Span::millis(20), outcome))
                });
            }
            schedule.reload();
            schedule.advance(Span::secs(life + outage + slowest));
            let now = schedule.now().wall;
            let without = schedule.published.values().filter(|lease| !lease.is_valid(now)).count();
            assert_eq!(without, 0, "{life} s leases, {slowest} s after {outage} s, with seed {seed}");
        }
    }
}

#[test]
fn retry_floor_holds_however_short_the_remaining_lifetime() {
    let retry = RetryPolicy { floor: Span::secs(10), ..RetryPolicy::default() };
    let mut schedule = TestSchedule::new([("a", plan_with(|plan| plan.policy.retry = retry))]);
    schedule.complete("a", Span::secs(12));
    schedule.advance_until_called("a");
    schedule.fail_call("a", FailureKind::Unavailable);
    assert!(schedule.advance_until_called("a") >= 10_000);
}

#[test]
fn retry_floor_of_zero_causes_no_hot_loop() {
    let retry = RetryPolicy { floor: Span::millis(0), most: Span::millis(0), slow: Span::millis(0) };
    let mut schedule = TestSchedule::new([("a", plan_with(|plan| plan.policy.retry = retry))]);
    for outcome in [failure(FailureKind::Unavailable), failure(FailureKind::Denied), throttled(Span::millis(0))] {
        let text = format!("{outcome:?}");
        schedule.end_call("a", outcome);
        assert!(schedule.advance_until_called("a") >= 10, "{text}");
    }
}

#[test]
fn retry_of_failures_that_need_an_operator_is_slow() {
    for kind in [FailureKind::Misconfigured, FailureKind::Denied, FailureKind::Refused] {
        let mut schedule = TestSchedule::new([("a", plain_plan())]);
        schedule.complete("a", Span::secs(60));
        schedule.advance_until_called("a");
        for _ in 0..6 {
            schedule.fail_call("a", kind);
            let wait = schedule.advance_until_called("a");
            assert!((60_000..=300_000).contains(&wait), "{kind}: {wait}");
        }
        assert_eq!(waits(&schedule).len(), 6, "each failure is reported");
    }
}

#[test]
fn retry_respects_the_delay_of_a_throttled_response() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", Span::secs(3600));
    schedule.advance_until_called("a");
    schedule.throttle_call("a", Span::secs(90));
    let wait = schedule.advance_until_called("a");
    assert!((90_000..=99_000).contains(&wait), "{wait}");
}

#[test]
fn retry_throttled_without_a_delay_backs_off() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    for after in [0, 0, 0, 5, 5, 5, 5, 5, 5] {
        schedule.throttle_call("a", Span::secs(after));
        schedule.advance_until_called("a");
    }
    for (failures, wait) in waits(&schedule).into_iter().enumerate() {
        let most = (2000 << failures).min(300_000);
        assert!((most / 2..=most.max(5500)).contains(&wait), "failure {failures}: {wait} of {most}");
    }
}

#[test]
fn retry_absurd_delay_is_capped() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.throttle_call("a", Span::secs(400 * 86_400));
    let wait = schedule.advance_until_called("a");
    assert!((3_600_000..=3_960_000).contains(&wait), "{wait}");
}

#[test]
fn retry_throttled_pauses_all_instances_of_the_upstream() {
    let mut schedule = TestSchedule::new([
        ("a", plain_plan()),
        ("b", plain_plan()),
        ("other", plan_with(|plan| plan.upstream = upstream_name("other"))),
    ]);
    schedule.fail_call("b", FailureKind::Unavailable);
    schedule.complete("other", Span::secs(60));
    schedule.throttle_call("a", Span::secs(120));
    schedule.advance(Span::secs(60));
    assert_eq!(schedule.call_kind("other"), "obtain", "another upstream goes on");
    assert_eq!(schedule.call_kind("b"), "nothing", "it was due after two seconds");
    assert!(matches!(schedule.snapshot("b").activity, InstanceActivity::Waiting(Some(_))));
    assert_eq!(schedule.machine.upstreams(schedule.now()).filter(|upstream| upstream.waiting == 1).count(), 1);
    schedule.advance(Span::secs(59));
    assert_eq!(schedule.call_kind("b"), "nothing");
    schedule.advance(Span::secs(2));
    assert_eq!(schedule.call_kind("b"), "obtain");
}

#[test]
fn retry_throttled_pauses_others_for_the_maximum_delay_at_most() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan())]);
    schedule.fail_call("b", FailureKind::Unavailable);
    schedule.throttle_call("a", Span::secs(86_400));
    let wait = schedule.advance_until_called("b");
    assert!((300_000..301_000).contains(&wait), "{wait}");
}

#[test]
fn retry_with_a_long_stated_delay_precedes_the_expiry() {
    for life in [60, 900, 3600] {
        let mut schedule = TestSchedule::new([("a", plain_plan())]);
        schedule.complete("a", Span::secs(life));
        schedule.advance_until_called("a");
        let ends = schedule.snapshot("a").lease.unwrap().valid_until;
        schedule.throttle_call("a", Span::secs(3600));
        let wait = schedule.advance_until_called("a");
        let left = life * 1000 / 4;
        assert!((left / 2..=left / 5 * 4).contains(&wait), "{wait} of {left}");
        assert!(schedule.now().wall < ends, "{life} s");
        schedule.complete("a", Span::secs(life));
        assert_eq!(schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count(), 0);
    }
}

#[test]
fn retry_with_a_long_stated_delay_costs_no_other_its_lease() {
    for life in [6, 60, 300, 3600] {
        let mut schedule = TestSchedule::unconfigured(1);
        for n in 0..50 {
            let text = format!("a{n}");
            schedule.configuration.plans.insert(instance_name(&text), plain_plan());
            let mut calls = 0;
            schedule.answer_calls(&text, move |_, now| {
                calls += 1;
                let outcome = match (n, calls) {
                    (0, 2) => throttled(Span::secs(3600)),
                    _ => deputy_test_support::tokens_for(now, Span::secs(life)),
                };
                Some((Span::millis(50), outcome))
            });
        }
        schedule.reload();
        schedule.advance(Span::secs(life * 10));
        let ended: Vec<&OperatorEvent> =
            schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).collect();
        assert!(ended.is_empty(), "{life} s: {ended:?}");
        assert_eq!(schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Failed(..))).count(), 1);
    }
}

#[test]
fn retry_of_one_throttled_call_costs_no_short_lease_its_turn() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.configuration.default_budget = Budget::DEFAULT;
    for n in 0..30 {
        let text = format!("a{n}");
        schedule.configuration.plans.insert(instance_name(&text), plain_plan());
        let mut calls = 0;
        schedule.answer_calls(&text, move |_, now| {
            calls += 1;
            let is_throttled = n == 0 && calls == 2;
            let outcome = if is_throttled {
                throttled(Span::secs(3600))
            } else {
                deputy_test_support::tokens_for(now, Span::secs(10))
            };
            Some((Span::millis(50), outcome))
        });
    }
    schedule.reload();
    schedule.advance(Span::secs(120));
    // All thirty are due in one second of each round, and half the rate is five a second.
    let ended = schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count();
    assert_eq!(ended, 0, "{}", schedule.dump_log());
    let calls = schedule.log.iter().filter(|(_, did)| matches!(did, Performed::Call(..))).count();
    assert!(calls < 30 * 120 / 6, "{calls} calls");
}

#[test]
fn retry_throttled_pauses_no_other_account_of_the_upstream() {
    let of = |account| plan_with(|plan| plan.account = account);
    let (one, two) = (Some(UpstreamAccount([1; 16])), Some(UpstreamAccount([2; 16])));
    let mut schedule = TestSchedule::new([("a", of(one)), ("b", of(one)), ("c", of(two)), ("d", of(None))]);
    for text in ["b", "c", "d"] {
        schedule.fail_call(text, FailureKind::Unavailable);
    }
    schedule.throttle_call("a", Span::secs(120));
    schedule.advance(Span::secs(60));
    assert_eq!(["b", "c", "d"].map(|text| schedule.call_kind(text)), ["nothing", "obtain", "obtain"]);
    assert!(matches!(schedule.snapshot("b").activity, InstanceActivity::Waiting(Some(left)) if left == Span::secs(60)));
    schedule.advance(Span::secs(60));
    assert_eq!(schedule.call_kind("b"), "obtain");
}

#[test]
fn retry_keeps_the_old_lease_published() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", Span::secs(3600));
    schedule.advance_until_called("a");
    schedule.fail_call("a", FailureKind::Unavailable);
    assert_eq!((schedule.published_revision("a"), schedule.snapshot("a").readiness), (Some(1), Readiness::Ready));
    assert_eq!(schedule.snapshot("a").activity, InstanceActivity::Retrying);
    schedule.answer_calls("a", |_, _| Some((Span::millis(0), failure(FailureKind::Unavailable))));
    schedule.advance(Span::secs(900));
    assert_eq!(schedule.snapshot("a").readiness, Readiness::Expired);
}

#[test]
fn retry_asks_again_where_no_tokens_are_required() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", CallOutcome::NotRequired);
    assert_eq!(
        (schedule.snapshot("a").activity, schedule.snapshot("a").readiness),
        (InstanceActivity::NotRequired, Readiness::NotNeeded)
    );
    assert_eq!(schedule.advance_until_called("a"), 600_000);
    schedule.complete("a", Span::secs(60));
    assert_eq!(schedule.snapshot("a").readiness, Readiness::Ready);
}

#[test]
fn retry_lease_no_longer_required_expires_without_alarm() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", Span::secs(60));
    schedule.advance_until_called("a");
    schedule.end_call("a", CallOutcome::NotRequired);
    schedule.advance(Span::secs(60));
    assert_eq!(schedule.snapshot("a").readiness, Readiness::NotNeeded);
    assert_eq!(schedule.operator_events().count(), 0);
}

#[test]
fn retry_ignores_the_end_of_an_unknown_call() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    let call = schedule.call_id("a").unwrap();
    schedule.complete("a", Span::secs(3600));
    let before = schedule.log.len();
    schedule.handle(ScheduleEvent::Finished(call, failure(FailureKind::Broken)));
    assert_eq!((schedule.log.len(), schedule.snapshot("a").failures), (before, 0));
}
