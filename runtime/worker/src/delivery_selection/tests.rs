use deputy_core::failure::FailureNext;

use super::*;
use crate::testing::delivery;

fn kinds() -> Kinds {
    Kinds::parse_receiver(["test/1"]).unwrap()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Deliveries that were applied before.
fn applied(deliveries: &[Delivery]) -> AppliedDeliveries {
    AppliedDeliveries::new(deliveries.iter().map(|it| (it.instance.clone(), it.clone())).collect())
}

/// What a component says of the deliveries of these instances.
fn failures(instances: &[&str]) -> BTreeMap<InstanceName, ComponentFailure> {
    let failure = |name: &&str| ComponentFailure {
        next: FailureNext::Misconfigured,
        message: format!("{name} is bad"),
        code: None,
        setting: None,
        retry_after: None,
        facts: Vec::new(),
    };
    instances.iter().map(|name| (name.parse().unwrap(), failure(name))).collect()
}

fn short(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|it| format!("{}:{}", it.instance, it.stamp.revision)).collect()
}

#[test]
fn selection_replaces_one_of_three_by_what_was_applied_last() {
    let (kinds, before) = (kinds(), applied(&[delivery("a", 1, 100), delivery("b", 1, 100)]));
    let newest = ["a", "b", "c"].map(|name| delivery(name, 2, 200)).to_vec();
    let mut selection = DeliverySelection::new(newest, &kinds, &before, at(50));
    assert_eq!(short(selection.selected()), ["a:2", "b:2", "c:2"]);
    assert!(selection.reject(&failures(&["b"]), at(50)));
    assert_eq!(short(selection.selected()), ["a:2", "b:1", "c:2"]);
    let SelectedDeliveries { delivered, applied, rejected } = selection.finish();
    assert_eq!((delivered.len(), short(&applied)), (3, vec!["a:2".to_owned(), "b:1".to_owned(), "c:2".to_owned()]));
    let rejection = &rejected[&"b".parse().unwrap()];
    assert_eq!(rejection.failure.message, "b is bad");
    let fallback = rejection.fallback.unwrap();
    assert_eq!((fallback.is_applied, fallback.lease.valid_until), (true, at(100)));
}

#[test]
fn selection_leaves_out_what_has_no_valid_predecessor() {
    let (kinds, before) = (kinds(), applied(&[delivery("expired", 1, 100), delivery("same", 2, 500)]));
    let newest = ["expired", "fine", "new", "same"].map(|name| delivery(name, 2, 500)).to_vec();
    let mut selection = DeliverySelection::new(newest, &kinds, &before, at(100));
    assert!(selection.reject(&failures(&["expired", "new", "same"]), at(100)));
    assert_eq!(short(selection.selected()), ["fine:2"]);
    let rejected = selection.finish().rejected;
    let fallback = |name: &str| rejected[&name.parse().unwrap()].fallback;
    assert!(!fallback("expired").unwrap().is_applied, "its clock may be set back");
    assert_eq!((fallback("new"), fallback("same")), (None, None));
}

#[test]
fn selection_leaves_out_a_predecessor_that_is_rejected_too() {
    let (kinds, before) = (kinds(), applied(&[delivery("a", 1, 100)]));
    let newest = ["a", "b"].map(|name| delivery(name, 2, 200)).to_vec();
    let mut selection = DeliverySelection::new(newest, &kinds, &before, at(50));
    assert!(selection.reject(&failures(&["a"]), at(50)));
    assert!(selection.reject(&failures(&["a"]), at(50)));
    assert_eq!(short(selection.selected()), ["b:2"]);
    assert_eq!(selection.finish().rejected[&"a".parse().unwrap()].fallback, None);
}

#[test]
fn selection_ends_when_everything_is_always_rejected() {
    let kinds = kinds();
    let names: Vec<String> = (0..50).map(|number| format!("i{number:02}")).collect();
    let of = |revision| names.iter().map(|name| delivery(name, revision, 500)).collect::<Vec<_>>();
    let before = applied(&of(1));
    // Whether it rejects all at once, or one after the other.
    for (at_once, most) in [(50, 2), (1, 100)] {
        let mut selection = DeliverySelection::new(of(2), &kinds, &before, at(50));
        let mut calls = 0;
        while !selection.selected().is_empty() {
            let rejected: Vec<_> =
                selection.selected().iter().take(at_once).map(|it| it.instance.to_string()).collect();
            let rejected: Vec<&str> = rejected.iter().map(String::as_str).collect();
            assert!(selection.reject(&failures(&rejected), at(50)));
            calls += 1;
        }
        assert_eq!(calls, most);
        assert!(selection.finish().rejected.values().all(|rejection| rejection.fallback.is_none()));
    }
}

#[test]
fn selection_notices_a_rejection_of_what_was_not_selected() {
    let (kinds, before) = (kinds(), applied(&[]));
    let mut selection = DeliverySelection::new(vec![delivery("a", 2, 200)], &kinds, &before, at(50));
    assert!(!selection.reject(&failures(&["b"]), at(50)), "the caller would call again with the same");
    assert!(!selection.reject(&failures(&[]), at(50)));
}

#[test]
fn selection_rejects_another_kind_without_a_call() {
    let kinds = kinds();
    let foreign = |revision| Delivery { kind: "pem/1".parse().unwrap(), ..delivery("a", revision, 200) };
    // The one that was applied may be of another kind, too: the receiver was replaced.
    for (last, selected) in [(delivery("a", 1, 100), vec!["a:1", "b:2"]), (foreign(1), vec!["b:2"])] {
        let before = applied(&[last]);
        let selection = DeliverySelection::new(vec![foreign(2), delivery("b", 2, 200)], &kinds, &before, at(50));
        assert_eq!(short(selection.selected()), selected);
        let failure = selection.finish().rejected.remove(&"a".parse().unwrap()).unwrap().failure;
        let text = "the receiver takes only test/1, not pem/1: unbind it from this instance";
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Misconfigured, text));
    }
}
