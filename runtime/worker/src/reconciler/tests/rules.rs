use deputy_core::Limit;

use super::*;

fn one_receiver() -> TestReconciler {
    TestReconciler::bound(policies(Expired::Keep), &[("aws", &["s3"])])
}

#[test]
fn lease_is_applied_and_reported_and_the_hook_run() {
    let mut test = one_receiver();
    assert_eq!(summary(&test.deliver("s3", 1)), ["run 1 aws s3:1"]);
    assert_eq!(summary(&test.finish_run(1, done())), ["hook aws s3", "report s3:1 ok"]);
    assert!(test.send_state().is_empty(), "nothing changed");
    assert!(test.advance(50).is_empty());
    assert_eq!(summary(&test.deliver("s3", 2)), ["run 2 aws s3:2"]);
}

#[test]
fn unit_that_is_published_already_is_reported_without_a_hook() {
    let mut test = one_receiver();
    test.deliver("s3", 1);
    let same = outcome_with(published(7, PublishOutcome::NotNeeded));
    assert_eq!(summary(&test.finish_run(1, same)), ["report s3:1 ok"]);
    // Unless the process was killed before it could run the hook.
    test.deliver("s3", 2);
    let unnotified = PublishedUnit { notified: HookNotified::NotYet, ..published(7, PublishOutcome::NotNeeded) };
    assert_eq!(summary(&test.finish_run(2, outcome_with(unnotified))), ["hook aws s3", "report s3:2 ok"]);
}

#[test]
fn run_is_followed_by_one_more_with_the_newest_leases() {
    let mut test = one_receiver();
    test.deliver("s3", 1);
    for revision in 2..9 {
        assert!(test.deliver("s3", revision).is_empty(), "one run at a time");
    }
    assert_eq!(summary(&test.finish_run(1, done())), ["hook aws s3", "run 2 aws s3:8"]);
    assert_eq!(summary(&test.finish_run(2, done())), ["report s3:8 ok"], "the hook still runs");
    assert_eq!(summary(&test.handle(ReconcilerEvent::HookFinished("aws".parse().unwrap(), Ok(())))), ["hook aws s3"]);
    assert!(test.handle(ReconcilerEvent::HookFinished("aws".parse().unwrap(), Err("it failed".to_owned()))).is_empty());
    // Neither a failed hook nor the end of an old run changes that.
    assert!(test.finish_run(1, done()).is_empty());
}

#[test]
fn receiver_runs_with_what_is_held_and_for_each_that_follows() {
    let mut test = TestReconciler::bound(policies(Expired::Keep), &[("aws", &["a", "b", "c"]), ("files", &["b"])]);
    assert_eq!(summary(&test.deliver("a", 1)), ["run 1 aws a:1", "run 2 files"]);
    assert_eq!(summary(&test.finish_run(1, done())), ["hook aws a", "report a:1 ok"]);
    assert!(test.finish_run(2, outcome_with(nothing_published())).is_empty());
    assert_eq!(summary(&test.deliver("b", 1)), ["run 3 aws a:1 b:1", "run 4 files b:1"]);
    assert!(
        !summary(&test.finish_run(3, done())).contains(&"report b:1 ok".to_owned()),
        "`files` has not applied it yet"
    );
    assert_eq!(summary(&test.finish_run(4, done())), ["hook files b", "report b:1 ok"]);
}

#[test]
fn snapshot_not_complete_delays_receivers_without_a_lease() {
    let mut test = TestReconciler::bound(policies(Expired::Keep), &[("both", &["a", "b"]), ("one", &["a"])]);
    test.held.complete = false;
    assert_eq!(summary(&test.deliver("a", 1)), ["run 1 one a:1"], "`one` lacks nothing");
    assert_eq!(test.reconciler.receivers(at(0)).next().unwrap().activity, ReceiverActivity::Waiting);
    assert_eq!(summary(&test.deliver("b", 1)), ["run 2 both a:1 b:1"]);
    test.finish_run(1, done());
    test.finish_run(2, done());
    // Nothing is withdrawn before the snapshot is complete either.
    test.held.receivers.clear();
    assert!(test.withdraw("b").is_empty());
    test.held.complete = true;
    assert_eq!(summary(&test.send_state()), ["run 3 both", "run 4 one"]);
    let mut test = TestReconciler::bound(policies(Expired::Keep), &[("both", &["a", "b"])]);
    test.held.complete = false;
    assert!(test.deliver("a", 1).is_empty());
    test.held.complete = true;
    assert_eq!(summary(&test.send_state()), ["run 1 both a:1"], "b has no lease at all");
}

#[test]
fn run_that_failed_is_retried_with_backoff_and_reported_once() {
    let mut test = one_receiver();
    test.deliver("s3", 1);
    assert_eq!(
        summary(&test.finish_run(1, failure(FailureKind::Unavailable))),
        ["report s3:1 receiver aws: unavailable: no"]
    );
    let mut last = 0;
    for run in 2..20 {
        let wait = test.wake_at().unwrap() - test.now;
        assert!((1000..=60_000).contains(&wait), "{wait}");
        assert!(run > 6 || wait * 4 > last * 3, "{wait} after {last}");
        last = wait;
        assert!(test.advance(wait - 1).is_empty());
        // The expiry of a delivery is another reason to wake up.
        if test.wake_at() != Some(test.now + 1) {
            continue;
        }
        assert_eq!(summary(&test.advance(1)), [format!("run {run} aws s3:1")]);
        assert!(test.finish_run(run, failure(FailureKind::Unavailable)).is_empty(), "it was reported");
        if test.now > LIFE / 2 {
            break;
        }
    }
    assert!(test.reconciler.receivers(at(test.now)).next().unwrap().unit.is_none());
    let run = test.reconciler.last_run.0 + 1;
    assert_eq!(summary(&test.deliver("s3", 2)), [format!("run {run} aws s3:2")], "at once for new inputs");
    assert_eq!(summary(&test.finish_run(run, done())), ["hook aws s3", "report s3:2 ok"]);
    assert!(test.reconciler.receivers(at(test.now)).next().unwrap().failure.is_none());
}

#[test]
fn retry_delay_follows_from_the_kind_of_failure() {
    let mut test = one_receiver();
    test.deliver("s3", 1);
    test.finish_run(1, failure(FailureKind::Misconfigured));
    assert!(test.wake_at().unwrap() >= 30_000, "a person has to fix it");
    test.held.receivers.insert("aws".parse().unwrap(), binding(2, &["s3"]));
    assert_eq!(summary(&test.send_state()), ["run 2 aws s3:1"], "and has fixed it");
    test.finish_run(2, own_failure(FailureKind::Throttled, Some(Span::secs(20))));
    assert!((20_000..=22_000).contains(&test.wake_at().unwrap()));
}

#[test]
fn receiver_that_hangs_delays_no_other() {
    let mut test = TestReconciler::bound(policies(Expired::Keep), &[("hangs", &["a"]), ("runs", &["b"])]);
    test.deliver("a", 1);
    test.deliver("b", 1);
    let runs = summary(&test.finish_run(2, outcome_with(published(0, PublishOutcome::NotNeeded))));
    assert_eq!(runs, ["run 3 runs b:1"]);
    assert_eq!(summary(&test.finish_run(3, done())), ["hook runs b", "report b:1 ok"]);
    for revision in 2..5 {
        let run = revision + 2;
        assert_eq!(summary(&test.deliver("b", revision)), [format!("run {run} runs b:{revision}")]);
        test.finish_run(run, done());
    }
}

#[test]
fn delivery_without_a_receiver_is_applied_when_held() {
    let mut test = TestReconciler::new(policies(Expired::Keep));
    assert_eq!(summary(&test.deliver("s3", 1)), ["report s3:1 ok"]);
    assert!(test.send_state().is_empty());
    assert_eq!(summary(&test.deliver("s3", 2)), ["report s3:2 ok"]);
}

#[test]
fn report_fails_when_one_of_the_receivers_failed() {
    let mut test = TestReconciler::bound(policies(Expired::Keep), &[("bad", &["s3"]), ("good", &["s3"])]);
    test.deliver("s3", 1);
    assert_eq!(summary(&test.finish_run(2, done())), ["hook good s3"]);
    assert_eq!(summary(&test.finish_run(1, failure(FailureKind::Broken))), ["report s3:1 receiver bad: broken: no"]);
    test.advance(60_000);
    assert_eq!(summary(&test.finish_run(3, done())), ["hook bad s3", "report s3:1 ok"]);
}

#[test]
fn rejection_of_a_service_affects_that_instance_alone() {
    let mut test = TestReconciler::bound(policies(Expired::Keep), &[("aws", &["kafka", "s3"])]);
    test.deliver("s3", 1);
    test.finish_run(1, done());
    test.deliver("kafka", 1);
    let outcome = rejecting(published(1, PublishOutcome::NotNeeded), [("kafka", rejection("it takes s3"))]);
    let report = "report kafka:1 receiver aws: rejected, and nothing of it is published: misconfigured: it takes s3";
    assert_eq!(summary(&test.finish_run(2, outcome)), [report]);
}

#[test]
fn withdrawal_of_all_leases_withdraws_the_unit() {
    let mut test = TestReconciler::bound(policies(Expired::Keep), &[("aws", &["a", "b"])]);
    test.deliver("a", 1);
    test.finish_run(1, done());
    test.deliver("b", 1);
    test.finish_run(2, done());
    assert_eq!(summary(&test.withdraw("a")), ["run 3 aws b:1"]);
    test.finish_run(3, done());
    assert_eq!(summary(&test.withdraw("b")), ["run 4 aws"]);
    test.handle(ReconcilerEvent::HookFinished("aws".parse().unwrap(), Ok(())));
    test.handle(ReconcilerEvent::HookFinished("aws".parse().unwrap(), Ok(())));
    assert_eq!(summary(&test.finish_run(4, outcome_with(withdrawn()))), ["hook aws"]);
}

#[test]
fn unbound_receiver_is_dropped_with_its_unit() {
    let mut test = one_receiver();
    test.deliver("s3", 1);
    test.held.receivers.clear();
    assert_eq!(summary(&test.send_state()), ["report s3:1 ok"], "no receiver is bound to it now; the run goes on");
    assert_eq!(summary(&test.finish_run(1, done())), ["hook aws s3", "run 2 aws"]);
    assert!(test.finish_run(2, failure(FailureKind::Internal)).is_empty());
    test.advance(10_000);
    assert!(test.finish_run(3, outcome_with(withdrawn())).is_empty());
    let hook_finished = || ReconcilerEvent::HookFinished("aws".parse().unwrap(), Ok(()));
    assert_eq!(summary(&test.handle(hook_finished())), ["hook aws"]);
    assert_eq!(summary(&test.handle(hook_finished())), ["drop aws"]);
    assert_eq!(test.reconciler.receivers(at(test.now)).count(), 0);
}

#[test]
fn expired_lease_is_kept_or_removed_by_policy() {
    let mut keeps = one_receiver();
    keeps.deliver("s3", 1);
    keeps.finish_run(1, done());
    assert_eq!(keeps.wake_at(), Some(LIFE));
    assert!(keeps.advance(LIFE).is_empty());
    assert_eq!(keeps.wake_at(), None);

    let mut removes = TestReconciler::bound(policies(Expired::Remove), &[("aws", &["a", "b"])]);
    removes.deliver("a", 1);
    removes.finish_run(1, done());
    removes.now = LIFE / 2;
    removes.deliver("b", 1);
    removes.finish_run(2, done());
    assert_eq!(removes.wake_at(), Some(LIFE));
    assert_eq!(summary(&removes.advance(LIFE / 2)), ["run 3 aws b:1"]);
    assert!(removes.finish_run(3, done()).is_empty(), "its report stays true");
    assert_eq!(summary(&removes.advance(LIFE / 2)), ["run 4 aws"]);
    assert!(removes.send_state().is_empty());
    // A lease that has expired on arrival is not applied.
    let old = delivery("a", 2, 0);
    removes.held.deliveries.insert("a".parse().unwrap(), old);
    assert_eq!(summary(&removes.send_state()), ["report a:2 it expired before it was applied"]);
}

#[test]
fn clock_that_is_set_back_restores_expired_leases() {
    let mut test = TestReconciler::bound(policies(Expired::Remove), &[("aws", &["s3"])]);
    test.deliver("s3", 1);
    test.finish_run(1, done());
    test.advance(LIFE);
    test.finish_run(2, done());
    test.now = 10;
    assert_eq!(summary(&test.handle(ReconcilerEvent::TimerFired)), ["run 3 aws s3:1"]);
}

#[test]
fn state_of_the_coordinator_wins_over_a_higher_revision() {
    let mut test = one_receiver();
    test.deliver("s3", 9);
    test.finish_run(1, done());
    test.now = 5;
    assert_eq!(summary(&test.deliver("s3", 1)), ["run 2 aws s3:1"]);
    assert_eq!(summary(&test.finish_run(2, done())), ["report s3:1 ok"]);
}

#[test]
fn binding_of_the_worker_replaces_the_coordinator_s() {
    let mut policies = policies(Expired::Keep);
    policies.bindings.insert("aws".parse().unwrap(), binding(9, &["mine"]));
    let mut test = TestReconciler::bound(policies, &[("aws", &["theirs"])]);
    test.deliver("theirs", 1);
    assert_eq!(summary(&test.finish_run(1, done())), ["hook aws"]);
    let actions = test.deliver("mine", 1);
    assert_eq!(summary(&actions), ["run 2 aws mine:1"]);
    let Some(ReconcilerAction::RunReceiver(ReceiverRun { work: RunWork::Accept(binding, _), .. })) = actions.first()
    else {
        panic!()
    };
    assert_eq!(binding.component, Digest::new([9; 32]));
    test.finish_run(2, done());
    // It stays when the coordinator removes its own.
    test.held.receivers.clear();
    assert!(test.send_state().is_empty());
}

/// The limits of the first run among these actions.
fn limits_of_run(actions: &[ReconcilerAction]) -> LimitOverrides {
    let Some(ReconcilerAction::RunReceiver(ReceiverRun { work: RunWork::Accept(binding, _), .. })) = actions.first()
    else {
        panic!("{actions:?}")
    };
    binding.limits.clone()
}

fn limits<const N: usize>(limits: [(Limit, u64); N]) -> LimitOverrides {
    LimitOverrides::new(limits).unwrap()
}

#[test]
fn limits_that_change_cause_a_run() {
    let mut test = one_receiver();
    assert_eq!(limits_of_run(&test.deliver("s3", 1)), LimitOverrides::default());
    test.finish_run(1, failure(FailureKind::OverLimit));
    let more = limits([(Limit::Wall, 5000)]);
    test.held.receivers.insert("aws".parse().unwrap(), ReceiverBinding { limits: more.clone(), ..binding(1, &["s3"]) });
    let again = test.send_state();
    assert_eq!((summary(&again), limits_of_run(&again)), (vec!["run 2 aws s3:1".to_owned()], more), "at once");
    test.finish_run(2, done());
    assert!(test.send_state().is_empty(), "nothing changed");
    test.held.receivers.insert("aws".parse().unwrap(), binding(1, &["s3"]));
    assert_eq!(limits_of_run(&test.send_state()), LimitOverrides::default(), "no limit is set any more");
}

#[test]
fn limits_of_the_worker_win_over_the_coordinator_s() {
    let mut policies = policies(Expired::Keep);
    let own = ReceiverPolicy { limits: limits([(Limit::Wall, 1000), (Limit::Handles, 9)]), ..policies.default.clone() };
    policies.receivers.insert("aws".parse().unwrap(), own);
    let mut test = TestReconciler::bound(policies, &[("aws", &["s3"])]);
    let said =
        |wall| ReceiverBinding { limits: limits([(Limit::Wall, wall), (Limit::Cpu, 700)]), ..binding(1, &["s3"]) };
    test.held.receivers.insert("aws".parse().unwrap(), said(5000));
    let expected = limits([(Limit::Wall, 1000), (Limit::Handles, 9), (Limit::Cpu, 700)]);
    assert_eq!(limits_of_run(&test.deliver("s3", 1)), expected);
    test.finish_run(1, done());
    // The worker's limit wins, so nothing changes.
    test.held.receivers.insert("aws".parse().unwrap(), said(9000));
    assert!(test.send_state().is_empty());
}

#[test]
fn report_reason_is_truncated_and_printable() {
    let mut test = one_receiver();
    test.deliver("s3", 1);
    let message = "a\nb\u{1b}".to_owned() + &"x".repeat(5000);
    let actions = test.finish_run(1, RunOutcome::Failed(AcceptError::host(FailureKind::Broken, message)));
    let [ReconcilerAction::Report(DeliveryReport { result: Err(why), .. })] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert!(why.starts_with("receiver aws: broken: a b xx") && why.len() == 300, "{why}");
}

#[test]
fn binding_that_breaks_a_receiver_is_reported() {
    let mut test = one_receiver();
    test.deliver("s3", 1);
    test.finish_run(1, done());
    test.held.receivers.insert("aws".parse().unwrap(), binding(2, &["s3"]));
    assert_eq!(summary(&test.send_state()), ["run 2 aws s3:1"]);
    assert_eq!(
        summary(&test.finish_run(2, failure(FailureKind::Misconfigured))),
        ["report s3:1 receiver aws: misconfigured: no"]
    );
    test.held.receivers.insert("aws".parse().unwrap(), binding(1, &["s3"]));
    assert_eq!(summary(&test.send_state()), ["report s3:1 ok"], "the published unit is that of the former binding");
}

fn finish_hook(test: &mut TestReconciler, result: Result<(), &str>) -> Vec<String> {
    summary(&test.handle(ReconcilerEvent::HookFinished("aws".parse().unwrap(), result.map_err(str::to_owned))))
}

/// Of the one receiver: whether it is ready, how often its hook failed in a row, and the reason that it gives.
fn receiver(test: &TestReconciler) -> (bool, u32, Option<String>) {
    let snapshot = test.reconciler.receivers(at(test.now)).next().unwrap();
    (snapshot.is_ready(), snapshot.hook.retry.map_or(0, |(failures, _)| failures), snapshot.reason())
}

#[test]
fn hook_that_failed_is_retried_while_a_lease_is_valid() {
    let mut test = one_receiver();
    test.deliver("s3", 1);
    test.finish_run(1, done());
    assert!(finish_hook(&mut test, Err("no pid file")).is_empty());
    let reason = Some("the hook failed: no pid file".to_owned());
    assert_eq!(receiver(&test), (true, 1, reason.clone()), "the workload may not have been started yet");
    let mut waits = Vec::new();
    for _ in 0..6 {
        let wait = test.wake_at().unwrap() - test.now;
        assert!(test.advance(wait - 1).is_empty());
        assert_eq!(summary(&test.advance(1)), ["hook aws s3"]);
        assert!(finish_hook(&mut test, Err("no pid file")).is_empty());
        waits.push(wait);
    }
    assert!(waits[0] <= 1000 && waits[5] >= 16_000 && waits[5] <= 32_000, "{waits:?}");
    test.now += 60_000;
    assert_eq!(summary(&test.handle(ReconcilerEvent::TimerFired)), ["hook aws s3"]);
    assert!(finish_hook(&mut test, Ok(())).is_empty());
    assert_eq!(receiver(&test), (true, 0, None));
    assert!(test.advance(60_000).is_empty(), "it succeeded");
}

#[test]
fn hook_that_failed_is_abandoned_without_a_valid_lease() {
    let mut test = one_receiver();
    test.deliver("s3", 1);
    test.finish_run(1, done());
    test.now = LIFE;
    finish_hook(&mut test, Err("it failed"));
    for _ in 1..10 {
        assert_eq!(summary(&test.advance(60_000)), ["hook aws s3"]);
        finish_hook(&mut test, Err("it failed"));
    }
    test.reconciler.handle(at(test.now + 60_000), ReconcilerEvent::TimerFired);
    let given_up = ReconcilerAction::Log(WorkerEvent::HookAbandoned("aws".parse().unwrap(), 10));
    assert_eq!(format!("{:?}", test.reconciler.next_action()), format!("{:?}", Some(given_up)));
    assert!(test.advance(600_000).is_empty());
    test.deliver("s3", 2);
    assert_eq!(summary(&test.finish_run(2, done())), ["hook aws s3", "report s3:2 ok"], "a new unit runs the hook");
}

#[test]
fn hook_that_fails_after_a_success_makes_the_receiver_unready() {
    let mut test = one_receiver();
    test.deliver("s3", 1);
    test.finish_run(1, done());
    finish_hook(&mut test, Ok(()));
    test.deliver("s3", 2);
    test.finish_run(2, done());
    assert_eq!(receiver(&test), (true, 0, None), "the hook is running");
    finish_hook(&mut test, Err("it failed"));
    assert_eq!(receiver(&test), (false, 1, Some("the hook failed: it failed".to_owned())));
    test.advance(1000);
    finish_hook(&mut test, Ok(()));
    assert_eq!(receiver(&test), (true, 0, None));
}

#[test]
fn unit_that_vanished_is_published_again() {
    let mut test = one_receiver();
    test.deliver("s3", 1);
    test.finish_run(1, done());
    finish_hook(&mut test, Ok(()));
    let vanished = |number: u64| {
        let unit = published(number, PublishOutcome::Done).unit.unwrap();
        ReconcilerEvent::UnitVanished("aws".parse().unwrap(), unit, "it is gone".to_owned())
    };
    assert!(test.handle(vanished(7)).is_empty(), "it is not the current unit");
    assert_eq!(summary(&test.handle(vanished(1))), ["run 2 aws s3:1"]);
    assert!(!receiver(&test).0, "nothing is published");
    assert!(test.handle(vanished(1)).is_empty(), "it is being published");
    assert_eq!(summary(&test.finish_run(2, done())), ["hook aws s3"]);
    assert!(receiver(&test).0);
}

#[test]
fn readiness_ends_with_the_published_lease_during_a_run() {
    let mut test = one_receiver();
    test.deliver("s3", 1);
    test.finish_run(1, done());
    test.now = LIFE - 1;
    test.deliver("s3", 2);
    assert!(receiver(&test).0, "the published lease is valid");
    test.now += 1;
    assert!(!receiver(&test).0);
    test.finish_run(2, done());
    assert!(receiver(&test).0);
}

#[test]
fn rejection_makes_the_receiver_unready() {
    let mut test = one_receiver();
    test.deliver("s3", 1);
    test.finish_run(1, rejecting(nothing_published(), [("s3", rejection("it takes kafka"))]));
    let reason = "s3: rejected, and nothing of it is published: misconfigured: it takes kafka";
    assert_eq!(receiver(&test), (false, 0, Some(reason.to_owned())));
}
