//! The delays that services ask for, beyond the end of the process.

use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, ConfigFingerprint, InstancePlan, ObtainMode, OperatorEvent, OptionalExports, ScheduleEvent,
    ServicePause, UpstreamAccount,
};
use deputy_core::{CallFailure, Span};
use deputy_test_support::{Performed, SaveMode, TestSchedule, instance_name, plain_plan, plan_with, renewing_plan};

const HOUR: Span = Span::secs(3600);

fn pause_of(schedule: &TestSchedule, text: &str) -> Option<ServicePause> {
    schedule.pauses.get(&instance_name(text)).copied()
}

fn unavailable(after: Span) -> CallOutcome {
    let retry_after = Some(after);
    CallOutcome::Failed(CallFailure { retry_after, ..CallFailure::new(FailureKind::Unavailable, "come back later") })
}

fn of_account(account: u8) -> InstancePlan {
    plan_with(|plan| plan.account = Some(UpstreamAccount([account; 16])))
}

#[test]
fn pause_of_an_instance_is_kept_over_a_restart() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan())]);
    schedule.end_call("a", unavailable(Span::secs(1800)));
    schedule.complete("b", HOUR);
    schedule.advance(Span::secs(600));
    schedule.crash();
    let waited = schedule.advance_until_called("a");
    // The rest, and up to a tenth of it.
    assert!((1_200_000..=1_320_000).contains(&waited), "{waited}");
    assert!(schedule.calls_of("b").len() == 1, "it was for the other one alone");
}

#[test]
fn pause_of_an_account_is_kept_over_a_restart_for_that_account() {
    let mut schedule = TestSchedule::new([("a", of_account(1)), ("b", of_account(1)), ("c", of_account(2))]);
    schedule.throttle_call("a", Span::secs(250));
    schedule.complete("b", Span::secs(6000));
    schedule.complete("c", Span::secs(6000));
    schedule.advance(Span::secs(50));
    schedule.crash();
    schedule.handle(ScheduleEvent::Renew(instance_name("b")));
    schedule.handle(ScheduleEvent::Renew(instance_name("c")));
    schedule.advance(Span::secs(10));
    assert_eq!((schedule.call_kind("b"), schedule.call_kind("c")), ("nothing", "obtain"));
    let waited = schedule.advance_until_called("b");
    assert!((189_000..=191_000).contains(&waited), "{waited}");
}

#[test]
fn pause_is_forgotten_when_the_service_has_answered() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", unavailable(Span::secs(1800)));
    assert!(pause_of(&schedule, "a").is_some());
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.complete("a", Span::secs(100));
    assert_eq!(pause_of(&schedule, "a"), None);
    schedule.crash();
    assert!(schedule.advance_until_called("a") <= 75_000, "it is renewed in time");
}

#[test]
fn pause_of_the_account_outlasts_an_answer_to_its_instance() {
    let mut schedule = TestSchedule::new([("a", of_account(1)), ("b", of_account(1))]);
    schedule.complete("b", HOUR);
    schedule.throttle_call("a", Span::secs(3000));
    let of_account = pause_of(&schedule, "a").unwrap().account_until;
    // One whose lease is at risk passes the pause.
    schedule.advance(Span::secs(280));
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.advance(Span::secs(21));
    schedule.complete("a", HOUR);
    assert_eq!(pause_of(&schedule, "a"), None, "it has ended meanwhile: {of_account:?}");
}

#[test]
fn pause_of_a_valid_lease_leaves_time_before_its_end() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.complete("a", Span::secs(1000));
    schedule.advance_until_called("a");
    schedule.end_call("a", unavailable(HOUR));
    schedule.crash();
    let left = schedule.snapshot("a").lease.unwrap().valid_until.since(schedule.now().wall).as_millis();
    assert_eq!(schedule.advance_until_called("a"), left / 3 * 2);
    assert_eq!(schedule.call_kind("a"), "renew", "and it is renewed");
}

#[test]
fn pause_record_that_is_wrong_holds_no_call_back_for_long() {
    let far = |schedule: &TestSchedule| schedule.now().wall.plus(Span::secs(40 * 86_400));
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.fail_call("a", FailureKind::Unavailable);
    for (asked_at, account_until) in [
        (schedule.now().wall, None),
        (schedule.now().wall, Some(far(&schedule))),
        (far(&schedule), Some(far(&schedule))),
    ] {
        let pause =
            ServicePause { asked_at, until: far(&schedule), account_until, fingerprint: ConfigFingerprint([1; 16]) };
        schedule.pauses.insert(instance_name("a"), pause);
        schedule.crash();
        assert!(schedule.advance_until_called("a") <= 3_960_000, "an hour and a tenth: {pause:?}");
        schedule.fail_call("a", FailureKind::Unavailable);
    }
}

#[test]
fn pause_by_a_clock_that_was_set_back_is_as_long_as_it_was() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", unavailable(Span::secs(60)));
    schedule.set_clock(-20 * 86_400_000);
    schedule.crash();
    assert!(schedule.advance_until_called("a") <= 66_000);
    schedule.end_call("a", unavailable(HOUR));
    schedule.set_clock(20 * 86_400_000);
    schedule.crash();
    assert!(schedule.advance_until_called("a") <= 1000, "by the clock it is over");
}

#[test]
fn pause_of_another_configuration_holds_nothing_back() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.throttle_call("a", HOUR);
    schedule
        .configuration
        .plans
        .insert(instance_name("a"), plan_with(|plan| plan.fingerprint = ConfigFingerprint([2; 16])));
    schedule.crash();
    assert!(schedule.advance_until_called("a") <= 1000);
}

#[test]
fn pause_waits_for_a_component_that_is_loaded_late() {
    let unloaded = plan_with(|plan| {
        plan.component = None;
        plan.fingerprint = ConfigFingerprint::default();
    });
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", unavailable(Span::secs(1800)));
    schedule.configuration.plans.insert(instance_name("a"), unloaded);
    schedule.crash();
    schedule.advance(Span::secs(10));
    schedule.configure("a", plain_plan());
    assert!(schedule.advance_until_called("a") >= 1_790_000);
}

#[test]
fn pause_holds_for_an_instance_on_demand_and_its_first_user() {
    let mut schedule =
        TestSchedule::new([("a", plan_with(|plan| plan.policy.mode = ObtainMode::OnDemand(Span::secs(900))))]);
    schedule.handle(ScheduleEvent::Used(instance_name("a"), 1));
    schedule.end_call("a", unavailable(Span::secs(1800)));
    schedule.crash();
    schedule.handle(ScheduleEvent::Used(instance_name("a"), 1));
    assert!(schedule.advance_until_called("a") >= 1_800_000);
}

#[test]
fn pause_is_written_only_when_it_changes_by_much() {
    let writes = |schedule: &TestSchedule| schedule.count(&Performed::SavePause("a".to_owned()));
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", unavailable(Span::secs(4)));
    assert_eq!(writes(&schedule), 0, "it is over before anybody could take over");
    schedule.advance_until_called("a");
    schedule.end_call("a", unavailable(Span::secs(600)));
    assert_eq!(writes(&schedule), 1);
    for _ in 0..4 {
        schedule.advance(Span::secs(1));
        schedule.handle(ScheduleEvent::Renew(instance_name("a")));
        schedule.end_call("a", unavailable(Span::secs(600)));
    }
    assert_eq!(writes(&schedule), 1, "four seconds more");
    schedule.advance(Span::secs(1));
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.end_call("a", unavailable(Span::secs(600)));
    assert_eq!(writes(&schedule), 2);
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    assert_eq!(writes(&schedule), 3, "its end, once");
}

#[test]
fn pause_that_cannot_be_saved_is_reported_and_delays_nothing() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.saves = SaveMode::Fail;
    schedule.end_call("a", unavailable(Span::secs(600)));
    let reported = |schedule: &TestSchedule| {
        schedule.operator_events().filter(|event| matches!(event, OperatorEvent::PauseSaveFailed(..))).count()
    };
    assert_eq!(reported(&schedule), 1);
    schedule.saves = SaveMode::Succeed;
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.end_call("a", unavailable(Span::secs(600)));
    assert!(pause_of(&schedule, "a").is_some(), "the next one is saved although it is the same");
    schedule.handle(ScheduleEvent::Stop);
    assert!(schedule.machine.is_stopped());
}

#[test]
fn pause_whose_end_cannot_be_saved_ends_with_the_next_save() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", unavailable(Span::secs(1800)));
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.saves = SaveMode::Fail;
    schedule.complete("a", HOUR);
    assert!(pause_of(&schedule, "a").is_some(), "its deletion failed");
    schedule.saves = SaveMode::Succeed;
    schedule.advance(Span::secs(30));
    assert_eq!(schedule.published_revision("a"), Some(1));
    assert_eq!(pause_of(&schedule, "a"), None);
}

#[test]
fn pause_of_an_account_by_a_clock_that_was_ahead_ends() {
    let mut schedule = TestSchedule::new([("a", of_account(1))]);
    schedule.throttle_call("a", Span::secs(200));
    schedule.set_clock(-20 * 86_400_000);
    schedule.advance(Span::secs(1000));
    schedule.complete("a", HOUR);
    assert_eq!(pause_of(&schedule, "a"), None);
}

#[test]
fn pause_of_a_throttled_revocation_is_kept_for_the_account() {
    let mut schedule = TestSchedule::new([(
        "a",
        plan_with(|plan| {
            plan.component = Some(OptionalExports { renews: false, revokes: true });
            plan.policy.revoke.replaced = Some(Span::millis(0));
        }),
    )]);
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(1));
    assert_eq!(schedule.call_kind("a"), "revoke");
    schedule.throttle_call("a", Span::secs(200));
    schedule.crash();
    let waited = schedule.advance_until_called("a");
    assert!(waited >= 199_000 && schedule.call_kind("a") == "revoke", "{waited}");
}

#[test]
fn pause_record_is_deleted_with_its_instance() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.end_call("a", unavailable(HOUR));
    schedule.configuration.plans.clear();
    schedule.crash();
    assert!(schedule.pauses.is_empty() && schedule.disk.is_empty(), "there is nothing else of it");
}
