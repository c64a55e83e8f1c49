use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, ConfigFingerprint, InstancePlan, MOST_RETIRED, NotRevoked, OperatorEvent, ProviderCall,
    RevocationPolicy, ScheduleEvent,
};
use deputy_core::{Revision, Span};
use deputy_test_support::{
    Performed, TestSchedule, failure, instance_name, plain_plan, plan_with, revoking_plan, tokens_for, tokens_until,
};

const HOUR: Span = Span::secs(3600);

fn with_settings(number: u8, like: InstancePlan) -> InstancePlan {
    InstancePlan { fingerprint: ConfigFingerprint([number; 16]), ..like }
}

/// The revision that is being revoked.
fn revoked(schedule: &TestSchedule) -> Option<u64> {
    match schedule.running_call("a") {
        Some(ProviderCall::Revoke(lease)) => Some(lease.revision.0),
        _ => None,
    }
}

fn published(schedule: &TestSchedule) -> (Revision, ConfigFingerprint) {
    let lease = &schedule.published[&instance_name("a")];
    (lease.revision, lease.fingerprint)
}

fn detached(schedule: &TestSchedule) -> usize {
    schedule.count(&Performed::Detach("a".to_owned()))
}

#[test]
fn reload_that_alternates_settings_lets_calls_complete() {
    for like in [plain_plan, revoking_plan] {
        for takes in [50, 1000, 7000] {
            let mut schedule = TestSchedule::new([("a", with_settings(1, like()))]);
            schedule.answer_calls("a", move |work, now| match work {
                ProviderCall::Revoke(_) => Some((Span::millis(10), CallOutcome::Revoked)),
                _ => Some((Span::millis(takes), tokens_for(now, Span::secs(60)))),
            });
            schedule.complete("a", Span::secs(60));
            for round in 0..1000 {
                let number = if round % 2 == 0 { 1 } else { 2 };
                schedule.configure("a", with_settings(number, like()));
                schedule.advance(Span::millis(90));
            }
            let calls = schedule.calls_of("a").iter().filter(|(_, word)| *word == "obtain").count();
            assert!(calls <= 120, "{calls} calls in 90 s, which take {takes} ms");
            let expired =
                schedule.operator_events().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count();
            assert_eq!(expired, 0, "the lease is lost, with calls that take {takes} ms");
            schedule.advance(Span::secs(20));
            let lease = schedule.snapshot("a").lease.unwrap();
            assert_eq!(lease.fingerprint, ConfigFingerprint([2; 16]), "in the end, it is of the last configuration");
        }
    }
}

#[test]
fn detached_call_with_a_past_expiry_is_revoked_for_its_lifetime() {
    for (lifetime, expected) in [(Some(HOUR), "revoke"), (None, "nothing")] {
        let mut plan = revoking_plan();
        plan.policy.lifetime = lifetime;
        let mut schedule = TestSchedule::new([("a", plan)]);
        schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
        assert!(schedule.has_detached("a"));
        schedule.fail_call("a", FailureKind::Denied);
        let past = schedule.now().wall.minus(Span::secs(60));
        schedule.end_detached_call("a", tokens_until(Some(past)));
        assert_eq!(schedule.call_kind("a"), expected, "with the lifetime {lifetime:?}");
    }
}

#[test]
fn reload_undone_keeps_the_tokens_of_the_detached_call() {
    let mut schedule = TestSchedule::new([("a", with_settings(1, plain_plan()))]);
    schedule.complete("a", HOUR);
    schedule.configure("a", with_settings(2, plain_plan()));
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.configure("a", with_settings(1, plain_plan()));
    assert_eq!(schedule.call_kind("a"), "nothing");
    assert_eq!((schedule.published_revision("a"), schedule.advance_until_called("a")), (Some(1), 2_700_000));
}

#[test]
fn reload_does_not_drop_the_answer_of_a_call_that_continues() {
    let mut schedule = TestSchedule::new([("a", with_settings(1, plain_plan()))]);
    schedule.complete("a", HOUR);
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    for number in [2, 1] {
        schedule.configure("a", with_settings(number, plain_plan())); // gives up the call
    }
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    let continued = schedule.call_id("a");
    schedule.configure("a", with_settings(2, plain_plan()));
    assert!(continued.is_some());
    assert_eq!(schedule.call_id("a"), continued, "calls are not given up again and again");
    schedule.complete("a", HOUR);
    let held = published(&schedule);
    assert_eq!(held, (Revision(2), ConfigFingerprint([1; 16])), "it is newer than what is held, and like it");
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    assert_eq!(published(&schedule), (Revision(3), ConfigFingerprint([2; 16])));
}

#[test]
fn reload_during_an_obtain_revokes_its_tokens() {
    let mut schedule = TestSchedule::new([("a", with_settings(1, revoking_plan()))]);
    schedule.configure("a", with_settings(2, revoking_plan()));
    assert_eq!((schedule.call_kind("a"), detached(&schedule)), ("obtain", 1));
    schedule.complete("a", HOUR);
    assert_eq!((schedule.published_revision("a"), schedule.call_kind("a")), (Some(1), "nothing"));
    let now = schedule.now();
    schedule.end_detached_call("a", tokens_for(now, HOUR));
    assert_eq!(schedule.snapshot("a").retired, schedule.disk[&instance_name("a")].retired.len(), "it is saved");
    assert_eq!(schedule.published_revision("a"), Some(1), "and not given out");
}

#[test]
fn revoke_during_an_obtain_revokes_its_tokens() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    assert_eq!((schedule.call_kind("a"), detached(&schedule)), ("obtain", 1));
    let now = schedule.now();
    schedule.end_detached_call("a", tokens_for(now, HOUR));
    assert_eq!(schedule.call_kind("a"), "obtain", "one thing at a time");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published.len(), 1);
    assert!(revoked(&schedule).is_some_and(|revision| Some(revision) != schedule.published_revision("a")));
    schedule.end_call("a", CallOutcome::Revoked);
    assert_eq!((schedule.snapshot("a").retired, schedule.call_kind("a")), (0, "nothing"));
}

#[test]
fn revoke_after_a_reload_revokes_tokens_of_the_detached_call() {
    let expiring = |number| {
        let mut plan = with_settings(number, revoking_plan());
        plan.policy.revoke = RevocationPolicy { replaced: None, ..plan.policy.revoke };
        plan
    };
    for is_revoked in [false, true] {
        let mut schedule = TestSchedule::new([("a", expiring(1))]);
        schedule.configure("a", expiring(2));
        assert_eq!((schedule.call_kind("a"), detached(&schedule)), ("obtain", 1));
        if is_revoked {
            schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
        }
        let now = schedule.now();
        schedule.end_detached_call("a", tokens_for(now, HOUR));
        while schedule.call_kind("a") == "obtain" {
            schedule.complete("a", HOUR);
        }
        let retired = schedule.disk[&instance_name("a")].retired.iter().map(|retired| retired.lease.fingerprint.0[0]);
        let expected: &[u8] = if is_revoked { &[1, 2] } else { &[] };
        assert_eq!(retired.collect::<Vec<_>>(), expected, "replaced leases are left to expire, revoked ones are not");
    }
}

#[test]
fn revoke_repeated_revokes_all_tokens() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    let (mut brought, mut gone) = (0, 0);
    for round in 0..200 {
        schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
        if round % 3 == 0 && schedule.has_detached("a") {
            let now = schedule.now();
            schedule.end_detached_call("a", tokens_for(now, HOUR));
            brought += 1;
        }
        match schedule.call_kind("a") {
            "obtain" if round % 2 == 0 => {
                schedule.complete("a", HOUR);
                brought += 1;
            }
            "revoke" => {
                schedule.end_call("a", CallOutcome::Revoked);
                gone += 1;
            }
            _ => {}
        }
        schedule.advance(Span::millis(500));
    }
    while schedule.has_detached("a") {
        schedule.end_detached_call("a", failure(FailureKind::Unavailable));
    }
    while schedule.call_kind("a") != "nothing" {
        match schedule.call_kind("a") {
            "revoke" => {
                schedule.end_call("a", CallOutcome::Revoked);
                gone += 1;
            }
            _ => {
                schedule.complete("a", HOUR);
                brought += 1;
            }
        }
    }
    assert!(brought > 50, "{brought}");
    let too_many = |notice: &&OperatorEvent| matches!(notice, OperatorEvent::RevokeGivenUp(_, _, NotRevoked::TooMany));
    let given_up = schedule.operator_events().filter(too_many).count();
    assert_eq!(gone + given_up + 1, brought, "all but the one that is held, and those that are reported");
    assert!(gone >= MOST_RETIRED, "{gone} were revoked");
}

#[test]
fn remove_during_an_obtain_waits_and_revokes_its_tokens() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.remove("a");
    assert_eq!((schedule.call_kind("a"), detached(&schedule)), ("nothing", 1));
    schedule.advance(Span::secs(30));
    let now = schedule.now();
    schedule.end_detached_call("a", tokens_for(now, HOUR));
    assert_eq!(revoked(&schedule), Some(1));
    schedule.end_call("a", CallOutcome::Revoked);
    assert!(schedule.disk.is_empty() && schedule.published.is_empty());
    assert_eq!(schedule.machine.instances(schedule.now()).count(), 0);
}

#[test]
fn remove_during_an_obtain_that_fails_forgets_the_instance() {
    let leaves = RevocationPolicy { removed: None, ..RevocationPolicy::default() };
    let expiring = plan_with(|plan| {
        plan.component = revoking_plan().component;
        plan.policy.revoke = leaves;
    });
    for (plan, outcome) in [(revoking_plan(), failure(FailureKind::Unavailable)), (expiring, CallOutcome::NotRequired)]
    {
        let mut schedule = TestSchedule::new([("a", plan)]);
        schedule.remove("a");
        schedule.end_detached_call("a", outcome);
        assert_eq!((schedule.call_kind("a"), schedule.machine.instances(schedule.now()).count()), ("nothing", 0));
    }
}

#[test]
fn stop_waits_for_a_detached_call_and_keeps_its_tokens() {
    let mut schedule = TestSchedule::new([("a", revoking_plan())]);
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    schedule.handle(ScheduleEvent::Stop);
    schedule.fail_call("a", FailureKind::Unavailable);
    assert!(!schedule.machine.is_stopped());
    let now = schedule.now();
    schedule.end_detached_call("a", tokens_for(now, HOUR));
    assert!(schedule.machine.is_stopped());
    assert_eq!(schedule.disk[&instance_name("a")].retired.len(), 1, "it is revoked after the next start");
}

#[test]
fn detached_tokens_are_left_to_expire_where_configured() {
    let mut schedule = TestSchedule::new([(
        "a",
        plan_with(|plan| {
            plan.component = revoking_plan().component;
            plan.policy.revoke.replaced = None;
        }),
    )]);
    let changed = InstancePlan {
        fingerprint: ConfigFingerprint([2; 16]),
        ..schedule.configuration.plans[&instance_name("a")].clone()
    };
    schedule.configure("a", changed);
    let now = schedule.now();
    schedule.end_detached_call("a", tokens_for(now, HOUR));
    schedule.complete("a", HOUR);
    assert_eq!((schedule.snapshot("a").retired, schedule.call_kind("a")), (0, "nothing"));
}
