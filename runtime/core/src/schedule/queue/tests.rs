use std::collections::BTreeMap;

use super::{Admission, CallPurpose, CallQueue, QueueEntry, Shares};
use crate::schedule::{Budget, InitialBudget, UpstreamAccount, UpstreamName};
use crate::time::MonotonicTime;
use crate::{InstanceName, Span};

fn name(text: &str) -> InstanceName {
    text.parse().unwrap()
}

fn upstream(text: &str) -> UpstreamName {
    text.parse().unwrap()
}

fn at(millis: u64) -> MonotonicTime {
    MonotonicTime::from_millis(millis)
}

fn entry(due: u64, text: &str) -> QueueEntry {
    QueueEntry { purpose: CallPurpose::Tokens, due: at(due), name: name(text), account: None, at_risk: None }
}

/// The next instance that is called while there are places for all.
fn next(queue: &mut CallQueue, now: MonotonicTime) -> Option<InstanceName> {
    let mut shares = Shares::new();
    shares.configure(1000, false);
    queue.next(&shares, now).map(|call| call.entry.name)
}

fn queue(per_minute: u32, burst: u32) -> CallQueue {
    let mut queue = CallQueue::new(InitialBudget::Full);
    queue.configure(Budget { per_minute, burst }, BTreeMap::new(), at(0));
    queue
}

#[test]
fn queue_calls_the_earliest_due_instance_of_all_upstreams() {
    let mut queue = queue(60, 5);
    queue.add(&upstream("u"), entry(3, "c"), at(3));
    queue.add(&upstream("v"), entry(2, "b"), at(3));
    queue.add(&upstream("u"), entry(1, "a"), at(3));
    let order: Vec<_> = std::iter::from_fn(|| next(&mut queue, at(3))).map(|name| name.to_string()).collect();
    assert_eq!(order, ["a", "b", "c"]);
}

#[test]
fn queue_exhausted_upstream_does_not_delay_others() {
    let mut queue = queue(60, 1);
    for waiter in ["a", "b"] {
        queue.add(&upstream("u"), entry(0, waiter), at(0));
    }
    queue.add(&upstream("v"), entry(5, "z"), at(5));
    assert_eq!(next(&mut queue, at(5)), Some(name("a")));
    assert_eq!(next(&mut queue, at(5)), Some(name("z")));
    assert_eq!(next(&mut queue, at(5)), None);
    assert_eq!(queue.wake_at(at(5)), Some(at(1005)));
    assert_eq!(next(&mut queue, at(1004)), None);
    assert_eq!(next(&mut queue, at(1005)), Some(name("b")));
}

#[test]
fn queue_calls_for_tokens_come_before_revocations() {
    let mut queue = queue(60, 5);
    queue.add(&upstream("u"), QueueEntry { purpose: CallPurpose::Revocation, ..entry(1, "a") }, at(2));
    queue.add(&upstream("u"), entry(2, "b"), at(2));
    assert_eq!(next(&mut queue, at(2)), Some(name("b")));
    assert_eq!(next(&mut queue, at(2)), Some(name("a")));
}

#[test]
fn queue_new_upstream_accrues_calls_from_the_start() {
    let mut queue = CallQueue::new(InitialBudget::Empty);
    queue.configure(Budget { per_minute: 1, burst: 1 }, BTreeMap::new(), at(0));
    queue.add(&upstream("u"), entry(70_000, "a"), at(70_000));
    assert_eq!(next(&mut queue, at(70_000)), Some(name("a")));
}

#[test]
fn queue_new_upstream_accrues_calls_from_the_last_reload() {
    let mut queue = CallQueue::new(InitialBudget::Empty);
    queue.configure(Budget { per_minute: 1, burst: 5 }, BTreeMap::new(), at(0));
    queue.configure(Budget { per_minute: 60_000, burst: 5 }, BTreeMap::new(), at(1000));
    queue.add(&upstream("u"), entry(1000, "a"), at(1000));
    assert_eq!((next(&mut queue, at(1000)), queue.wake_at(at(1000))), (None, Some(at(1001))));
}

#[test]
fn queue_greater_budget_applies_at_once_and_keeps_pauses() {
    let mut queue = queue(1, 1);
    for upstream in ["u", "v"].map(upstream) {
        queue.add(&upstream, entry(0, "a"), at(0));
        queue.add(&upstream, entry(0, "b"), at(0));
    }
    while next(&mut queue, at(0)).is_some() {}
    queue.throttled(&upstream("v"), None, at(0), Some(Span::secs(30)), at(0));
    queue.configure(Budget { per_minute: 60_000, burst: 1 }, BTreeMap::new(), at(1));
    assert_eq!((next(&mut queue, at(1)), queue.wake_at(at(1))), (None, Some(at(2))));
    assert_eq!(next(&mut queue, at(2)), Some(name("b")));
    assert_eq!((next(&mut queue, at(2)), queue.wake_at(at(2))), (None, Some(at(30_000))));
}

#[test]
fn queue_resumes_at_a_slower_pace_after_a_pause() {
    let mut queue = queue(60, 10);
    for waiter in ["a", "b"] {
        queue.add(&upstream("u"), entry(0, waiter), at(0));
    }
    queue.throttled(&upstream("u"), None, at(0), Some(Span::secs(30)), at(0));
    assert_eq!(queue.blocked_until(&upstream("u"), None), Some(at(30_000)));
    queue.throttled(&upstream("u"), None, at(0), Some(Span::secs(5)), at(1)); // a shorter one does not shorten it
    assert_eq!(next(&mut queue, at(29_999)), None);
    assert_eq!(queue.wake_at(at(29_999)), Some(at(30_000)));
    assert_eq!(next(&mut queue, at(30_000)), Some(name("a")));
    assert_eq!(next(&mut queue, at(31_999)), None);
    assert_eq!(next(&mut queue, at(32_000)), Some(name("b")), "half of sixty a minute");
}

#[test]
fn queue_throttled_without_a_delay_slows_one_account_only() {
    let mut queue = queue(60, 10);
    for waiter in ["a", "b"] {
        queue.add(&upstream("u"), entry(0, waiter), at(0));
    }
    let other = QueueEntry { account: Some(UpstreamAccount([1; 16])), ..entry(5, "other") };
    queue.add(&upstream("u"), other, at(5));
    queue.throttled(&upstream("u"), None, at(0), None, at(10));
    assert_eq!(next(&mut queue, at(10)), Some(name("other")), "another account is not throttled");
    assert_eq!((next(&mut queue, at(10)), queue.wake_at(at(10))), (None, Some(at(2010))));
    assert_eq!(next(&mut queue, at(2010)), Some(name("a")));
    assert_eq!((next(&mut queue, at(2010)), queue.wake_at(at(2010))), (None, Some(at(4010))));
    queue.answered(&upstream("u"), None, at(3010), at(3100));
    assert_eq!((next(&mut queue, at(3100)), queue.wake_at(at(3100))), (None, Some(at(3928))), "and then faster");
}

#[test]
fn queue_lease_at_risk_ignores_a_pause() {
    let mut queue = queue(60, 10);
    queue.add(&upstream("u"), entry(0, "a"), at(0));
    queue.add(&upstream("u"), QueueEntry { at_risk: Some(at(7000)), ..entry(1, "b") }, at(1));
    queue.throttled(&upstream("u"), None, at(0), Some(Span::secs(300)), at(1));
    assert_eq!((next(&mut queue, at(6999)), queue.wake_at(at(6999))), (None, Some(at(7000))));
    assert_eq!(next(&mut queue, at(7000)), Some(name("b")));
    assert_eq!((next(&mut queue, at(7000)), queue.wake_at(at(7000))), (None, Some(at(300_001))));
}

#[test]
fn queue_reserved_places_are_for_leases_at_risk() {
    let mut queue = queue(60_000, 1000);
    let mut shares = Shares::new();
    shares.configure(16, true);
    shares.reserve_for_leases();
    for n in 0..20 {
        queue.add(&upstream("u"), entry(0, &format!("a{n}")), at(0));
        queue.add(&upstream("v"), entry(0, &format!("b{n}")), at(0));
    }
    queue.add(&upstream("v"), QueueEntry { at_risk: Some(at(500)), ..entry(1, "risk") }, at(1));
    let mut taken = Vec::new();
    while let Some(call) = queue.next(&shares, at(1)) {
        shares.take(&call.upstream, call.admission);
        taken.push(call.entry.name);
    }
    assert_eq!(taken.len(), 11, "seven of u, then four of v: none has more than it leaves");
    assert_eq!(queue.wake_at(at(1)), Some(at(500)));
    let call = queue.next(&shares, at(500)).unwrap();
    assert_eq!((call.entry.name, call.admission), (name("risk"), Admission::Reserved));
    assert_eq!(queue.next(&shares, at(500)), None);
}

#[test]
fn queue_instance_that_left_is_not_called() {
    let mut queue = queue(60, 10);
    queue.add(&upstream("u"), entry(0, "a"), at(0));
    queue.add(&upstream("u"), entry(1, "b"), at(1));
    queue.remove(&upstream("u"), &entry(0, "a"), at(1));
    assert_eq!(next(&mut queue, at(1)), Some(name("b")));
    queue.add(&upstream("u"), entry(2, "c"), at(2));
    queue.remove(&upstream("u"), &entry(2, "c"), at(2));
    assert_eq!((next(&mut queue, at(2)), queue.wake_at(at(2))), (None, None));
}

#[test]
fn queue_counts_each_call_that_waits_for_a_budget_once() {
    let mut queue = queue(60, 2);
    for (due, text) in [(0, "a"), (1, "b"), (2, "c"), (3, "d")] {
        queue.add(&upstream("u"), entry(due, text), at(due));
    }
    let mut called = Vec::new();
    for millis in [10, 500, 1000, 1500, 2000, 3000, 4000] {
        called.extend(std::iter::from_fn(|| next(&mut queue, at(millis))).map(|name| name.to_string()));
    }
    assert_eq!(called, ["a", "b", "c", "d"]);
    assert_eq!(queue.waiting().map(|(_, _, waits, _)| waits).collect::<Vec<_>>(), [2], "c and d");
}
