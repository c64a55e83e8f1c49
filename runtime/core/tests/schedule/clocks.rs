use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    Budget, CallOutcome, InstanceActivity, OperatorEvent, PreferredSource, Ratio, Readiness, ScheduleEvent, Switch,
};
use deputy_test_support::{
    Performed, TestSchedule, file_payload, instance_name, plain_plan, plan_with, revoking_plan, tokens_for,
};

const HOUR: Span = Span::secs(3600);
const HOUR_MS: i64 = 3_600_000;

#[test]
fn clock_set_back_makes_every_lease_due() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("day", plain_plan())]);
    schedule.jump_clock(HOUR_MS);
    schedule.complete("a", HOUR);
    schedule.complete("day", Span::secs(86_400));
    schedule.advance(Span::secs(60));
    schedule.jump_clock(-HOUR_MS);
    assert_eq!(
        (schedule.call_kind("a"), schedule.call_kind("day")),
        ("obtain", "obtain"),
        "they may have ended an hour ago"
    );
    assert_eq!(schedule.snapshot("a").readiness, Readiness::Ready, "and are served until they are replaced");
    schedule.complete("a", HOUR);
    assert_eq!((schedule.published_revision("a"), schedule.advance_until_called("a")), (Some(2), 2_700_000));
}

#[test]
fn clock_set_back_is_not_forgotten_by_a_reload() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(60));
    schedule.configuration.default_budget = Budget { per_minute: 1, burst: 1 };
    schedule.reload();
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.complete("a", HOUR);
    schedule.jump_clock(-HOUR_MS);
    assert_eq!(schedule.call_kind("a"), "nothing", "it waits for the budget");
    schedule.configure("a", plan_with(|plan| plan.policy.ratio = Ratio::thousandths(900)));
    assert_eq!(schedule.advance_until_called("a"), 60_000);
}

#[test]
fn clock_jump_at_the_end_of_a_revocation_lets_it_complete() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    assert_eq!(schedule.call_kind("a"), "revoke");
    schedule.set_clock(-HOUR_MS);
    schedule.end_call("a", CallOutcome::Revoked);
    assert_eq!((schedule.snapshot("a").retired, schedule.call_kind("a")), (0, "obtain"));
}

#[test]
fn clock_set_back_by_less_than_the_tolerance_is_drift() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(600));
    schedule.jump_clock(-1900);
    schedule.configure("a", plan_with(|plan| plan.policy.ratio = Ratio::thousandths(500)));
    assert_eq!(schedule.advance_until_called("a"), 1_200_000, "no lease is young again, either");
}

#[test]
fn clock_set_forward_by_less_than_the_tolerance_ages_a_lease() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(600));
    schedule.jump_clock(1900);
    schedule.configure("a", plan_with(|plan| plan.policy.ratio = Ratio::thousandths(500)));
    assert_eq!(schedule.advance_until_called("a"), 1_198_100, "it ends by the clock on the wall");
}

#[test]
fn clock_set_back_while_a_lease_is_saved_makes_it_due() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.saves = deputy_test_support::SaveMode::Hold;
    schedule.complete("a", HOUR);
    schedule.jump_clock(-HOUR_MS);
    schedule.release_saves();
    assert_eq!((schedule.published_revision("a"), schedule.call_kind("a")), (Some(1), "obtain"));
}

#[test]
fn clock_set_back_publishes_nothing_that_is_taken_back() {
    let mut revoking = revoking_plan();
    revoking.policy.revoke.shutdown = Switch::Revoke;
    for event in [ScheduleEvent::Revoke(instance_name("a")), ScheduleEvent::Stop] {
        let mut schedule = TestSchedule::new([("a", revoking.clone())]);
        schedule.complete("a", HOUR);
        // The next process starts while the clock is ahead, so it does not publish what has expired.
        schedule.set_clock(2 * HOUR_MS);
        schedule.crash();
        schedule.advance(Span::secs(1));
        schedule.fail_call("a", FailureKind::Unavailable);
        let before = publications(&schedule);
        schedule.set_clock(-2 * HOUR_MS);
        schedule.handle(event);
        assert_eq!(publications(&schedule), before);
    }
}

fn publications(schedule: &TestSchedule) -> usize {
    schedule.log.iter().filter(|(_, did)| matches!(did, Performed::Publish(..))).count()
}

#[test]
fn clock_set_back_does_not_hasten_a_retry_or_a_file() {
    let mut schedule =
        TestSchedule::new([("a", plain_plan()), ("f", plan_with(|plan| plan.policy.prefer = PreferredSource::File))]);
    schedule.complete("f", HOUR);
    let found = file_payload("x", schedule.now().wall, Span::secs(86_400));
    schedule.handle(ScheduleEvent::FileObserved(instance_name("f"), found));
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.fail_call("a", FailureKind::Denied);
    schedule.jump_clock(-HOUR_MS);
    assert_eq!((schedule.call_kind("a"), schedule.call_kind("f")), ("nothing", "nothing"));
    assert_eq!(schedule.snapshot("a").activity, InstanceActivity::Retrying);
}

#[test]
fn clock_restored_lease_from_the_future_is_due() {
    for (ahead, word) in [(3_600_000, "obtain"), (1000, "nothing")] {
        let mut schedule = TestSchedule::new([("a", plain_plan())]);
        schedule.jump_clock(HOUR_MS);
        schedule.complete("a", HOUR);
        // The clock is right again before the next process starts, so that none sees the jump.
        schedule.set_clock(-ahead);
        schedule.crash();
        schedule.advance(Span::secs(1));
        assert_eq!((schedule.published_revision("a"), schedule.call_kind("a")), (Some(1), word), "{ahead} ms");
    }
}

#[test]
fn clock_set_forward_makes_due_work_run_at_once() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.complete("b", Span::secs(86_400));
    schedule.jump_clock(2 * HOUR_MS);
    assert_eq!((schedule.call_kind("a"), schedule.call_kind("b")), ("obtain", "nothing"));
    assert!(schedule.operator_events().any(|notice| matches!(notice, OperatorEvent::Expired(..))));
}

#[test]
fn clock_set_forward_has_a_paused_lease_at_risk_sooner() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.complete("b", HOUR);
    schedule.advance_until_called("b");
    schedule.throttle_call("a", Span::secs(300));
    schedule.complete("b", HOUR);
    schedule.handle(ScheduleEvent::Renew(instance_name("b")));
    assert_eq!(schedule.call_kind("b"), "nothing", "its account is paused for five minutes");
    // A minute is left of the lease: it is at risk after a third of that.
    schedule.jump_clock(HOUR_MS - 60_000);
    assert_eq!(schedule.advance_until_called("b"), 20_000);
}

#[test]
fn clock_jump_is_reported_with_its_size_and_drift_is_not() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    for drift in [1, -500, 1999, -1999] {
        schedule.jump_clock(drift);
    }
    assert_eq!(schedule.operator_events().count(), 0);
    schedule.jump_clock(-HOUR_MS);
    schedule.jump_clock(2 * HOUR_MS);
    let reported: Vec<i64> = schedule
        .operator_events()
        .filter_map(|notice| match notice {
            OperatorEvent::ClockJumped(by) => Some(*by),
            _ => None,
        })
        .collect();
    assert_eq!(reported, [-HOUR_MS, 2 * HOUR_MS]);
}

#[test]
fn clock_jump_after_sleep_runs_what_became_due() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(60));
    schedule.jump_clock(8 * HOUR_MS); // the clock on the wall went on, the other did not
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.complete("a", HOUR);
    assert_eq!((schedule.published_revision("a"), schedule.advance_until_called("a")), (Some(2), 2_700_000));
}

#[test]
fn clock_jump_makes_no_storm() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.configuration.default_budget = Budget { per_minute: 600, burst: 20 };
    for n in 0..300 {
        let text = format!("a{n}");
        schedule.configuration.plans.insert(instance_name(&text), plain_plan());
        schedule.answer_calls(&text, |_, now| Some((Span::millis(100), tokens_for(now, HOUR))));
    }
    schedule.reload();
    schedule.advance(Span::secs(60));
    assert_eq!(schedule.published.len(), 300);
    schedule.log.clear();
    schedule.jump_clock(2 * HOUR_MS);
    let calls = |schedule: &TestSchedule| (0..300).map(|n| schedule.calls_of(&format!("a{n}")).len()).sum::<usize>();
    assert!(calls(&schedule) <= 20);
    schedule.advance(Span::secs(60));
    assert_eq!(calls(&schedule), 300, "one for each");
}

#[test]
fn clock_jump_during_a_call_does_not_change_its_leases_age() {
    for jump in [-HOUR_MS, 2 * HOUR_MS] {
        let mut schedule = TestSchedule::new([("a", plain_plan())]);
        schedule.advance(Span::secs(10));
        schedule.jump_clock(jump);
        schedule.complete("a", HOUR);
        let lease = schedule.snapshot("a").lease.unwrap();
        assert_eq!(schedule.now().wall.since(lease.obtained_at), Span::secs(10));
        assert_eq!(schedule.advance_until_called("a"), 2_707_500 - 10_000, "three quarters of its 3,610 seconds");
    }
}

#[test]
fn clock_ahead_of_the_service_causes_no_hot_loop() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    // The service lives two hours behind.
    schedule.answer_calls("a", |_, now| {
        let until = now.wall.minus(HOUR);
        Some((Span::millis(50), deputy_test_support::tokens_until(Some(until))))
    });
    schedule.end_call("a", deputy_test_support::tokens_until(Some(schedule.now().wall.minus(HOUR))));
    schedule.advance(Span::secs(10 * 3600));
    let calls = schedule.calls_of("a").len();
    assert!((120..=250).contains(&calls), "{calls} in ten hours, five minutes apart at most");
    assert_eq!(schedule.snapshot("a").readiness, Readiness::Missing, "what has ended is not given out");
    assert!(
        schedule
            .snapshot("a")
            .failure
            .is_some_and(|record| record.failure.message.contains("compare this machine's clock"))
    );
}

#[test]
fn clock_that_swings_makes_no_storm() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.answer_with_lifetime("a", HOUR);
    schedule.complete("a", HOUR);
    for _ in 0..100 {
        schedule.jump_clock(2 * HOUR_MS);
        schedule.advance(Span::secs(2));
        schedule.jump_clock(-2 * HOUR_MS);
        schedule.advance(Span::secs(2));
    }
    let calls = schedule.calls_of("a").len();
    assert!(calls <= 201, "{calls}: no more than one for each jump");
}
