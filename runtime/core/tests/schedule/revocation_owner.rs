//! A lease is revoked by the configuration that obtained it, or not at all.

use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, ConfigFingerprint, InstanceActivity, InstancePlan, MOST_RETIRED, NotRevoked, OperatorEvent,
    ProviderCall, ScheduleEvent,
};
use deputy_core::{Revision, Span};
use deputy_test_support::{
    TestSchedule, failure, instance_name, plain_plan, plan_with, renewing_plan, revoking_plan, upstream_name,
};

const HOUR: Span = Span::secs(3600);
const OLD: ConfigFingerprint = ConfigFingerprint([1; 16]);
const NEW: ConfigFingerprint = ConfigFingerprint([2; 16]);

/// Another service, whose component can revoke or not.
fn reconfigured(like: InstancePlan) -> InstancePlan {
    InstancePlan { fingerprint: NEW, upstream: upstream_name("other"), ..like }
}

/// The lease that is being revoked, and under which configuration it was obtained.
fn revoked(schedule: &TestSchedule) -> Option<(u64, ConfigFingerprint)> {
    match schedule.running_call("a") {
        Some(ProviderCall::Revoke(lease)) => Some((lease.revision.0, lease.fingerprint)),
        _ => None,
    }
}

fn at_hand(schedule: &TestSchedule) -> Vec<ConfigFingerprint> {
    let mut all: Vec<_> = schedule.machine.fingerprints(&instance_name("a")).collect();
    all.sort();
    all.dedup();
    all
}

fn given_up(schedule: &TestSchedule, why: NotRevoked) -> bool {
    schedule
        .operator_events()
        .any(|notice| *notice == OperatorEvent::RevokeGivenUp(instance_name("a"), Revision(1), why))
}

#[test]
fn revocation_after_a_reload_uses_the_old_configuration() {
    for new in [
        reconfigured(revoking_plan()),
        reconfigured(plain_plan()),
        reconfigured(plan_with(|plan| plan.component = None)),
    ] {
        let mut schedule = TestSchedule::new([("a", revoking_plan())]);
        schedule.complete("a", HOUR);
        schedule.configure("a", new.clone());
        if new.component.is_some() {
            schedule.complete("a", HOUR);
        } else {
            schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
        }
        assert_eq!(at_hand(&schedule), [OLD, NEW], "the old component can still be called");
        if revoked(&schedule).is_none() {
            schedule.advance_until_called("a");
        }
        assert_eq!(revoked(&schedule), Some((1, OLD)));
        schedule.end_call("a", CallOutcome::Revoked);
        assert_eq!((at_hand(&schedule), schedule.snapshot("a").retired), (vec![NEW], 0));
        assert_eq!(schedule.snapshot("a").abandoned, None);
    }
}

#[test]
fn revocation_survives_several_reloads() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    for number in 2..5 {
        schedule.configure("a", InstancePlan { fingerprint: ConfigFingerprint([number; 16]), ..revoking_plan() });
        schedule.complete("a", HOUR);
    }
    for number in 1..4_u8 {
        if revoked(&schedule).is_none() {
            schedule.advance_until_called("a");
        }
        assert_eq!(revoked(&schedule), Some((number.into(), ConfigFingerprint([number; 16]))));
        schedule.end_call("a", CallOutcome::Revoked);
    }
    assert_eq!(at_hand(&schedule), [ConfigFingerprint([4; 16])]);
}

#[test]
fn revocation_after_a_restart_uses_no_other_configuration() {
    for held in [true, false] {
        let mut schedule = TestSchedule::new([("a", revoking_plan())]);
        schedule.complete("a", HOUR);
        if !held {
            schedule.handle(ScheduleEvent::Renew(instance_name("a")));
            schedule.complete("a", HOUR);
        }
        schedule.configuration.plans.insert(instance_name("a"), reconfigured(revoking_plan()));
        schedule.crash();
        if schedule.running_call("a").is_none() {
            schedule.advance_until_called("a");
        }
        schedule.complete("a", HOUR);
        assert!(given_up(&schedule, NotRevoked::Reconfigured), "{}", schedule.dump_log());
        assert_eq!(schedule.snapshot("a").abandoned.map(|abandoned| abandoned.why), Some(NotRevoked::Reconfigured));
        schedule.advance(Span::secs(600));
        assert!(!schedule.calls_of("a").iter().any(|(_, word)| *word == "revoke"));
    }
}

#[test]
fn revocation_by_an_operator_reports_when_no_component_can() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.configuration.plans.insert(instance_name("a"), reconfigured(revoking_plan()));
    schedule.crash();
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    assert_eq!(schedule.published_revision("a"), None, "it is withdrawn nevertheless");
    assert!(given_up(&schedule, NotRevoked::Reconfigured));
}

#[test]
fn revocation_waits_for_a_component_that_is_not_loaded() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.complete("a", HOUR);
    let unloaded = InstancePlan { fingerprint: ConfigFingerprint::UNKNOWN, ..revoking_plan() };
    schedule.configuration.plans.insert(instance_name("a"), unloaded);
    schedule.answer_calls("a", |_, _| Some((Span::millis(10), failure(FailureKind::Misconfigured))));
    schedule.crash();
    schedule.advance(Span::secs(600));
    assert_eq!((schedule.snapshot("a").retired, schedule.snapshot("a").abandoned), (1, None));
    schedule.answer_with_lifetime("a", HOUR);
    schedule.configure("a", revoking_plan());
    schedule.advance(Span::secs(600));
    assert_eq!(schedule.snapshot("a").retired, 0);
    assert_eq!(schedule.snapshot("a").activity, InstanceActivity::Holding);
    assert_eq!(schedule.published_revision("a"), Some(2), "what it holds was obtained under this configuration");
}

#[test]
fn revocation_that_is_throttled_pauses_the_old_upstream() {
    let mut schedule = TestSchedule::new([("a", revoking_plan()), ("old", plain_plan())]);
    schedule.complete("old", Span::secs(400));
    schedule.complete("a", HOUR);
    schedule.configure("a", reconfigured(revoking_plan()));
    schedule.complete("a", Span::secs(600));
    schedule.handle(ScheduleEvent::Used(instance_name("a"), 1));
    assert_eq!(schedule.advance_until_called("a"), 300_000);
    schedule.throttle_call("a", Span::secs(200));
    assert_eq!(schedule.advance_until_called("a"), 150_000, "the new upstream is not throttled");
}

#[test]
fn renewal_never_uses_another_configuration() {
    let mut schedule = TestSchedule::new([("a", renewing_plan())]);
    schedule.complete("a", HOUR);
    schedule.configure("a", reconfigured(renewing_plan()));
    assert_eq!(schedule.call_kind("a"), "obtain");
    assert_eq!(schedule.running_call("a").and_then(ProviderCall::payload_of), None);
}

#[test]
fn revocations_that_wait_are_bounded_and_the_rest_is_reported() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    for _ in 0..MOST_RETIRED + 3 {
        schedule.complete("a", HOUR);
        schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    }
    assert_eq!(schedule.snapshot("a").retired, MOST_RETIRED);
    assert_eq!(
        schedule.snapshot("a").abandoned.map(|abandoned| (abandoned.count, abandoned.why)),
        Some((2, NotRevoked::TooMany))
    );
    assert!(given_up(&schedule, NotRevoked::TooMany), "the one that ends first");
}

#[test]
fn revocations_that_wait_leave_out_the_lease_that_ends_first() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    let short = 5; // not the oldest
    for number in 0..MOST_RETIRED + 2 {
        schedule.complete("a", if number == short { Span::secs(1800) } else { HOUR });
        schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    }
    let left_out: Vec<&OperatorEvent> =
        schedule.operator_events().filter(|event| matches!(event, OperatorEvent::RevokeGivenUp(..))).collect();
    let expected = Revision(short as u64 + 1);
    assert_eq!(left_out, [&OperatorEvent::RevokeGivenUp(instance_name("a"), expected, NotRevoked::TooMany)]);
}
