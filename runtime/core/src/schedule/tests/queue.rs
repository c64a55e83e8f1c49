use std::collections::BTreeMap;

use crate::schedule::queue::{Place, Queue, Task};
use crate::schedule::{Begin, Budget, Mono, UpstreamName};
use crate::{InstanceName, Span};

fn name(text: &str) -> InstanceName {
    text.parse().unwrap()
}

fn upstream(text: &str) -> UpstreamName {
    text.parse().unwrap()
}

fn at(millis: u64) -> Mono {
    Mono::from_millis(millis)
}

fn place(due: u64, who: &str) -> Place {
    Place { task: Task::Tokens, due: at(due), name: name(who) }
}

fn queue(per_minute: u32, burst: u32) -> Queue {
    let mut queue = Queue::new(Begin::Full);
    queue.configure(Budget { per_minute, burst }, BTreeMap::new(), at(0));
    queue
}

#[test]
fn who_is_due_first_is_called_first_whatever_the_upstream() {
    let mut queue = queue(60, 5);
    queue.add(&upstream("u"), place(3, "c"), at(3));
    queue.add(&upstream("v"), place(2, "b"), at(3));
    queue.add(&upstream("u"), place(1, "a"), at(3));
    let order: Vec<_> = std::iter::from_fn(|| queue.next(at(3))).map(|name| name.to_string()).collect();
    assert_eq!(order, ["a", "b", "c"]);
}

#[test]
fn an_upstream_without_budget_keeps_nobody_else_waiting() {
    let mut queue = queue(60, 1);
    for waiter in ["a", "b"] {
        queue.add(&upstream("u"), place(0, waiter), at(0));
    }
    queue.add(&upstream("v"), place(5, "z"), at(5));
    assert_eq!(queue.next(at(5)), Some(name("a")));
    assert_eq!(queue.next(at(5)), Some(name("z")));
    assert_eq!(queue.next(at(5)), None);
    assert_eq!(queue.wake_at(), Some(at(1005)));
    assert_eq!(queue.next(at(1004)), None);
    assert_eq!(queue.next(at(1005)), Some(name("b")));
}

#[test]
fn tokens_come_before_revocations() {
    let mut queue = queue(60, 5);
    queue.add(&upstream("u"), Place { task: Task::Revocation, due: at(1), name: name("a") }, at(2));
    queue.add(&upstream("u"), place(2, "b"), at(2));
    assert_eq!(queue.next(at(2)), Some(name("b")));
    assert_eq!(queue.next(at(2)), Some(name("a")));
}

#[test]
fn an_upstream_that_is_new_has_saved_up_its_calls_since_the_beginning() {
    let mut queue = Queue::new(Begin::Empty);
    queue.configure(Budget { per_minute: 1, burst: 1 }, BTreeMap::new(), at(0));
    queue.add(&upstream("u"), place(70_000, "a"), at(70_000));
    assert_eq!(queue.next(at(70_000)), Some(name("a")));
}

#[test]
fn what_a_new_upstream_saved_up_counts_from_the_last_change_of_the_budgets() {
    let mut queue = Queue::new(Begin::Empty);
    queue.configure(Budget { per_minute: 1, burst: 5 }, BTreeMap::new(), at(0));
    queue.configure(Budget { per_minute: 60_000, burst: 5 }, BTreeMap::new(), at(1000));
    queue.add(&upstream("u"), place(1000, "a"), at(1000));
    assert_eq!((queue.next(at(1000)), queue.wake_at()), (None, Some(at(1001))));
}

#[test]
fn a_greater_budget_lets_those_go_who_waited_for_a_small_one_and_keeps_pauses() {
    let mut queue = queue(1, 1);
    for upstream in ["u", "v"].map(upstream) {
        queue.add(&upstream, place(0, "a"), at(0));
        queue.add(&upstream, place(0, "b"), at(0));
    }
    while queue.next(at(0)).is_some() {}
    queue.pause(&upstream("v"), Span::secs(30), at(0));
    queue.configure(Budget { per_minute: 60_000, burst: 1 }, BTreeMap::new(), at(1));
    assert_eq!((queue.next(at(1)), queue.wake_at()), (None, Some(at(2))));
    assert_eq!(queue.next(at(2)), Some(name("b")));
    assert_eq!((queue.next(at(2)), queue.wake_at()), (None, Some(at(30_001))));
}

#[test]
fn a_pause_is_kept_and_followed_by_the_steady_pace() {
    let mut queue = queue(60, 10);
    for waiter in ["a", "b"] {
        queue.add(&upstream("u"), place(0, waiter), at(0));
    }
    queue.pause(&upstream("u"), Span::secs(30), at(0));
    assert_eq!(queue.blocked_until(&upstream("u")), Some(at(30_000)));
    queue.pause(&upstream("u"), Span::secs(5), at(0)); // a shorter one does not shorten it
    assert_eq!(queue.next(at(29_999)), None);
    assert_eq!(queue.next(at(30_000)), None);
    assert_eq!(queue.wake_at(), Some(at(31_000)));
    assert_eq!(queue.next(at(31_000)), Some(name("a")));
    assert_eq!(queue.next(at(31_500)), None);
    assert_eq!(queue.next(at(32_000)), Some(name("b")));
}

#[test]
fn who_no_longer_waits_is_not_called() {
    let mut queue = queue(60, 10);
    queue.add(&upstream("u"), place(0, "a"), at(0));
    queue.add(&upstream("u"), place(1, "b"), at(1));
    queue.remove(&upstream("u"), &place(0, "a"));
    assert_eq!(queue.next(at(1)), Some(name("b")));
    queue.add(&upstream("u"), place(2, "c"), at(2));
    queue.remove(&upstream("u"), &place(2, "c"));
    assert_eq!((queue.next(at(2)), queue.wake_at()), (None, None));
}

#[test]
fn each_call_that_waits_for_a_budget_is_counted_once() {
    let mut queue = queue(60, 2);
    for (due, who) in [(0, "a"), (1, "b"), (2, "c"), (3, "d")] {
        queue.add(&upstream("u"), place(due, who), at(due));
    }
    let mut called = Vec::new();
    for millis in [10, 500, 1000, 1500, 2000, 3000, 4000] {
        called.extend(std::iter::from_fn(|| queue.next(at(millis))).map(|name| name.to_string()));
    }
    assert_eq!(called, ["a", "b", "c", "d"]);
    assert_eq!(queue.waiting().map(|(_, _, waits)| waits).collect::<Vec<_>>(), [2], "c and d");
}
