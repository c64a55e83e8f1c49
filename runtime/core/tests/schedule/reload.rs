use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::retry::RetryPolicy;
use deputy_core::schedule::{
    CallOutcome, ConfigFingerprint, InstanceActivity, InstancePlan, OperatorEvent, ProviderCall, Ratio, ScheduleEvent,
};
use deputy_test_support::{
    Performed, SaveMode, TestSchedule, instance_name, plain_plan, plan_with, renewing_plan, revoking_plan,
    upstream_name,
};

const HOUR: Span = Span::secs(3600);

fn changed() -> InstancePlan {
    plan_with(|plan| plan.fingerprint = ConfigFingerprint([2; 16]))
}

#[test]
fn reload_unchanged_instance_keeps_its_revision_and_its_call() {
    let mut schedule = TestSchedule::new([("held", plain_plan()), ("called", plain_plan()), ("failed", plain_plan())]);
    schedule.complete("held", HOUR);
    schedule.fail_call("failed", FailureKind::Denied);
    let call = schedule.call_id("called");
    let before = schedule.log.len();
    schedule.configure("new", plain_plan());
    let after: Vec<&Performed> = schedule.log[before..].iter().map(|(_, did)| did).collect();
    assert_eq!(after, [&Performed::Call("new".to_owned(), "obtain")]);
    assert_eq!((schedule.call_id("called"), schedule.published_revision("held")), (call, Some(1)));
    assert_eq!((schedule.call_kind("failed"), schedule.snapshot("failed").failures), ("nothing", 1));
    assert_eq!(schedule.advance_until_called("held"), 2_700_000);
}

#[test]
fn reload_of_a_changed_instance_serves_the_old_lease_meanwhile() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.complete("a", HOUR);
    schedule.configure("a", changed());
    assert_eq!((schedule.call_kind("a"), schedule.published_revision("a")), ("obtain", Some(1)));
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_revision("a"), Some(2));
}

#[test]
fn reload_of_a_changed_instance_drops_its_call_and_failure() {
    let mut schedule = TestSchedule::new([("called", plain_plan()), ("failed", plain_plan())]);
    schedule.fail_call("failed", FailureKind::Misconfigured);
    let call = schedule.call_id("called").unwrap();
    schedule.configure("called", changed());
    schedule.configure("failed", changed());
    assert_eq!(schedule.count(&Performed::Cancel("called".to_owned())), 1);
    assert!(schedule.call_id("called").is_some_and(|new| new != call));
    assert_eq!((schedule.call_kind("failed"), schedule.snapshot("failed").failures), ("obtain", 0));
}

#[test]
fn reload_while_an_instance_waits_or_saves_makes_one_call() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.configuration.calls = 1;
    schedule.configure("a", plain_plan());
    schedule.configure("b", plain_plan());
    schedule.configure("b", changed());
    schedule.saves = SaveMode::Hold;
    schedule.complete("a", HOUR);
    schedule.configure("a", changed());
    schedule.complete("b", HOUR);
    schedule.release_saves();
    schedule.complete("a", HOUR);
    assert_eq!((schedule.calls_of("a").len(), schedule.calls_of("b").len()), (2, 1));
}

#[test]
fn reload_of_the_policy_only_moves_the_next_renewal() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(600));
    schedule.configure("a", plan_with(|plan| plan.policy.ratio = Ratio::thousandths(500)));
    assert_eq!(schedule.call_kind("a"), "nothing");
    assert_eq!(schedule.advance_until_called("a"), 1_200_000);
    assert_eq!(schedule.published_revision("a"), Some(1));
}

#[test]
fn reload_applies_a_shorter_lifetime_to_the_held_lease() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(300));
    schedule.configure("a", plan_with(|plan| plan.policy.lifetime = Some(Span::secs(800))));
    assert_eq!(schedule.advance_until_called("a"), 300_000);
    assert_eq!(schedule.published_revision("a"), Some(1), "it is good until it is replaced");
}

#[test]
fn reload_of_the_policy_does_not_abort_a_call() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    let call = schedule.call_id("a");
    schedule.configure(
        "a",
        plan_with(|plan| plan.policy.retry = RetryPolicy { floor: Span::secs(7), ..RetryPolicy::default() }),
    );
    assert_eq!(schedule.call_id("a"), call);
    schedule.fail_call("a", FailureKind::Unavailable);
    assert!(schedule.advance_until_called("a") >= 7000);
}

#[test]
fn reload_of_the_policy_does_not_shorten_a_retry_delay() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.advance_until_called("a");
    schedule.throttle_call("a", Span::secs(100));
    schedule.configure("a", plan_with(|plan| plan.policy.ratio = Ratio::thousandths(100)));
    assert!(schedule.advance_until_called("a") >= 100_000);
}

#[test]
fn reload_uses_another_upstream_from_the_next_call() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", plain_plan())]);
    schedule.complete("b", Span::secs(40));
    schedule.throttle_call("a", Span::secs(200));
    schedule.advance(Span::secs(32));
    assert!(matches!(schedule.snapshot("b").activity, InstanceActivity::Waiting(_)));
    schedule.configure("b", plan_with(|plan| plan.upstream = upstream_name("other")));
    assert_eq!(schedule.call_kind("b"), "obtain", "the other upstream has no pause");
}

#[test]
fn reload_that_adds_a_leaving_instance_again_resumes_it() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.remove("a");
    assert_eq!(
        (schedule.call_kind("a"), schedule.snapshot("a").activity),
        ("revoke", InstanceActivity::Calling("revoke", Span::secs(0)))
    );
    schedule.configure("a", revoking_plan());
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_revision("a"), Some(2), "numbers go on");
    assert!(matches!(schedule.running_call("a"), Some(ProviderCall::Revoke(lease)) if lease.revision.0 == 1));
    schedule.end_call("a", CallOutcome::Revoked);
    assert_eq!((schedule.disk.len(), schedule.snapshot("a").activity), (1, InstanceActivity::Holding));
}

#[test]
fn reload_that_adds_an_instance_during_its_delete_resumes_it() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    schedule.complete("a", HOUR);
    schedule.saves = SaveMode::Hold;
    schedule.remove("a");
    schedule.configure("a", plain_plan());
    assert_eq!(schedule.call_kind("a"), "nothing");
    schedule.release_saves();
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.complete("a", HOUR);
    assert_eq!((schedule.published_revision("a"), schedule.disk.len()), (Some(2), 1));
}

#[test]
fn reload_that_removes_an_instance_aborts_its_call() {
    let mut schedule = TestSchedule::new([("a", plain_plan())]);
    let call = schedule.call_id("a").unwrap();
    schedule.remove("a");
    assert_eq!(schedule.count(&Performed::Cancel("a".to_owned())), 1);
    schedule.handle(ScheduleEvent::Finished(call, deputy_test_support::tokens_for(schedule.now(), HOUR)));
    assert!(schedule.published.is_empty());
    assert_eq!(schedule.machine.instances(schedule.now()).count(), 0);
}

#[test]
fn reload_keeps_a_revoke_request() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.saves = SaveMode::Hold;
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    schedule.configure(
        "a",
        plan_with(|plan| {
            plan.component = revoking_plan().component;
            plan.fingerprint = ConfigFingerprint([2; 16]);
        }),
    );
    schedule.release_saves();
    assert_eq!((schedule.call_kind("a"), schedule.snapshot("a").retired), ("obtain", 1));
}

#[test]
fn reload_of_the_same_configuration_does_nothing() {
    let mut schedule = TestSchedule::new([("a", plain_plan()), ("b", revoking_plan())]);
    schedule.complete("b", HOUR);
    let before = schedule.log.len();
    for _ in 0..10 {
        schedule.reload();
    }
    assert_eq!(schedule.log.len(), before);
    assert_eq!(schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Orphaned(..))).count(), 0);
}
