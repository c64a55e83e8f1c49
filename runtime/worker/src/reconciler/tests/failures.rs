//! What a component says when it fails or rejects a lease, and when it runs again.

use super::*;

fn bound(instances: &[&str]) -> TestReconciler {
    TestReconciler::bound(policies(Expired::Keep), &[("aws", instances)])
}

fn activity(test: &TestReconciler) -> ReceiverActivity {
    test.reconciler.receivers(at(test.now)).next().unwrap().activity
}

/// Delivers a lease that does not expire.
fn deliver_for_ever(test: &mut TestReconciler) -> Vec<ReconcilerAction> {
    let delivery = Delivery { valid_until: Timestamp::FOREVER, ..delivery("s3", 1, 0) };
    test.held.deliveries.insert(delivery.instance.clone(), delivery);
    test.send_state()
}

/// What is published of an instance whose newest lease was rejected.
fn kept(delivery: &Delivery, is_applied: bool) -> Rejection {
    let fallback = FallbackLease { lease: applied_lease(delivery), is_applied };
    Rejection { fallback: Some(fallback), ..rejection("bad") }
}

#[test]
fn failure_of_a_component_waits_for_another_lease_or_binding() {
    let kinds = [
        FailureKind::Attention,
        FailureKind::Denied,
        FailureKind::Ended,
        FailureKind::Misconfigured,
        FailureKind::Throttled,
        FailureKind::Unavailable,
    ];
    for kind in kinds {
        let mut test = bound(&["s3"]);
        test.deliver("s3", 1);
        let report = format!("report s3:1 receiver aws: {kind}: no");
        assert_eq!(summary(&test.finish_run(1, own_failure(kind, None))), [report]);
        assert_eq!((test.wake_at(), activity(&test)), (Some(LIFE), ReceiverActivity::Failed), "the expiry alone");
        assert!(test.advance(LIFE * 100).is_empty() && test.send_state().is_empty());
        assert_eq!(summary(&test.deliver("s3", 2)), ["run 2 aws s3:2"]);
        test.finish_run(2, own_failure(kind, None));
        test.held.receivers.insert("aws".parse().unwrap(), binding(2, &["s3"]));
        assert_eq!(summary(&test.send_state()), ["run 3 aws s3:2"]);
        assert_eq!(summary(&test.finish_run(3, done())), ["hook aws s3", "report s3:2 ok"]);
        assert_eq!(activity(&test), ReceiverActivity::Applied);
    }
}

#[test]
fn failure_of_a_component_is_retried_after_its_own_delay() {
    let mut test = bound(&["s3"]);
    deliver_for_ever(&mut test);
    test.finish_run(1, own_failure(FailureKind::Unavailable, Some(Span::secs(20))));
    assert!(test.advance(19_999).is_empty());
    assert_eq!(summary(&test.advance(2_001)), ["run 2 aws s3:1"]);
    // No delay is shorter than the floor, and they grow: a component cannot keep the worker busy.
    let mut runs = 0;
    let end = test.now + 60_000;
    while test.now < end {
        test.finish_run(2 + runs, own_failure(FailureKind::Unavailable, Some(Span::millis(0))));
        runs += 1;
        let wait = test.wake_at().unwrap() - test.now;
        test.advance(wait);
    }
    assert!((3..12).contains(&runs), "{runs} runs in a minute");
    // Nor is one longer than an hour.
    let run = test.reconciler.last_run.0;
    test.finish_run(run, own_failure(FailureKind::Throttled, Some(Span::secs(86_400))));
    assert!(summary(&test.advance(3_599_000)).is_empty());
    assert_eq!(summary(&test.advance(400_000)), [format!("run {} aws s3:1", run + 1)]);
}

#[test]
fn failure_of_the_host_is_retried_whatever_its_kind() {
    for kind in FailureKind::ALL {
        let mut test = bound(&["s3"]);
        test.deliver("s3", 1);
        test.finish_run(1, failure(kind));
        assert_eq!(summary(&test.advance(60_000)), ["run 2 aws s3:1"], "{kind}");
    }
}

#[test]
fn rejected_lease_keeps_the_one_before_until_that_expires() {
    let mut test = bound(&["a", "b"]);
    test.deliver("a", 1);
    test.finish_run(1, done());
    let first = test.held.deliveries[&"a".parse().unwrap()].clone();
    test.now = 10;
    test.deliver("a", 2);
    let report = "report a:2 receiver aws: rejected, and revision 1 stays: misconfigured: bad";
    let same = || published(1, PublishOutcome::NotNeeded);
    assert_eq!(summary(&test.finish_run(2, rejecting(same(), [("a", kept(&first, true))]))), [report]);
    assert_eq!((test.wake_at(), activity(&test)), (Some(LIFE), ReceiverActivity::Applied));
    assert!(test.send_state().is_empty() && test.advance(LIFE / 2).is_empty(), "it is not asked again");
    assert_eq!(summary(&test.deliver("b", 1)), ["run 3 aws a:2 b:1"]);
    let actions =
        summary(&test.finish_run(3, rejecting(published(2, PublishOutcome::Done), [("a", kept(&first, true))])));
    assert_eq!(actions, ["report b:1 ok"], "the first hook runs");
    assert_eq!(test.reconciler.receivers(at(test.now)).next().unwrap().rejected.unwrap().len(), 1);

    // At the expiry it is published without the first lease, once.
    assert_eq!(test.wake_at(), Some(LIFE));
    assert_eq!(summary(&test.advance(LIFE - test.now)), ["run 4 aws a:2 b:1"]);
    let gone = "report a:2 receiver aws: rejected, and nothing of it is published: misconfigured: bad";
    let without = || rejecting(published(3, PublishOutcome::Done), [("a", kept(&first, false))]);
    assert_eq!(summary(&test.finish_run(4, without())), [gone]);
    assert!(test.advance(1).is_empty() && test.send_state().is_empty());
    // A clock that was ahead took it away too early.
    test.now = LIFE - 10;
    assert_eq!(summary(&test.handle(ReconcilerEvent::TimerFired)), ["run 5 aws a:2 b:1"]);
    test.finish_run(5, rejecting(published(4, PublishOutcome::Done), [("a", kept(&first, true))]));
    // The next lease is good.
    assert_eq!(summary(&test.deliver("a", 3)), ["run 6 aws a:3 b:1"]);
    assert_eq!(summary(&test.finish_run(6, done())), ["report a:3 ok"]);
}

#[test]
fn rejected_lease_is_in_no_hook_environment_without_a_fallback() {
    let mut test = bound(&["a", "b"]);
    test.held.deliveries.insert("a".parse().unwrap(), delivery("a", 1, at(0).wall.as_millis()));
    test.deliver("b", 1);
    let actions = test.finish_run(1, rejecting(published(1, PublishOutcome::Done), [("a", rejection("bad"))]));
    assert_eq!(summary(&actions)[0], "hook aws b");
}

#[test]
fn rejection_is_repeated_after_its_own_delay_alone() {
    let mut test = bound(&["s3"]);
    deliver_for_ever(&mut test);
    let mut later = rejection("its certificate is not valid yet");
    later.failure.kind = FailureKind::Unavailable;
    later.failure.retry_after = Some(Span::secs(20));
    test.finish_run(1, rejecting(nothing_published(), [("s3", later.clone())]));
    assert!(test.advance(19_999).is_empty());
    assert_eq!(summary(&test.advance(2_001)), ["run 2 aws s3:1"]);
    let mut runs = 0;
    let end = test.now + 60_000;
    later.failure.retry_after = Some(Span::millis(0));
    while test.now < end {
        test.finish_run(2 + runs, rejecting(nothing_published(), [("s3", later.clone())]));
        runs += 1;
        let wait = test.wake_at().unwrap() - test.now;
        test.advance(wait);
    }
    assert!((3..12).contains(&runs), "{runs} runs in a minute");
    test.finish_run(2 + runs, rejecting(nothing_published(), [("s3", rejection("bad"))]));
    assert!(test.advance(LIFE * 100).is_empty());
}

#[test]
fn rejections_are_all_in_the_reason_by_their_number() {
    let mut test = bound(&["a", "b", "c"]);
    test.deliver("a", 1);
    let all = ["a", "b", "c"].map(|name| (name, rejection("bad")));
    test.finish_run(1, rejecting(nothing_published(), all));
    let reason = test.reconciler.receivers(at(0)).next().unwrap().reason().unwrap();
    assert_eq!(reason, "a: rejected, and nothing of it is published: misconfigured: bad; and 2 more");
}

#[test]
fn lease_that_does_not_expire_wakes_nobody() {
    let mut test = bound(&["s3"]);
    deliver_for_ever(&mut test);
    assert_eq!(summary(&test.finish_run(1, done())), ["hook aws s3", "report s3:1 ok"]);
    let never = MonotonicTime::NEVER.as_millis();
    assert!(test.wake_at().is_none_or(|at| at > never / 2), "{:?}", test.wake_at());
    assert!(test.advance(LIFE * 1000).is_empty());
    assert!(test.reconciler.receivers(at(test.now)).next().unwrap().is_ready());
}
