//! Absent instances, and warnings about the configuration.

use super::*;

fn names(names: &[&str]) -> BTreeSet<InstanceName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// The absent instances in short: `a no-lease`.
fn absent(test: &TestReconciler) -> Vec<String> {
    let absent = test.reconciler.absent();
    absent.iter().map(|(instance, absence)| format!("{instance} {}", absence.code())).collect()
}

/// The warnings that the present state causes.
fn warnings(test: &mut TestReconciler) -> Vec<String> {
    let held = Arc::new(test.held.clone());
    test.reconciler.handle(at(test.now), ReconcilerEvent::StateChanged(held));
    let actions = std::iter::from_fn(|| test.reconciler.next_action());
    let warnings = actions.filter_map(|action| match action {
        ReconcilerAction::Log(WorkerEvent::NotDelivered(instance, named_by)) => Some(format!("{instance}: {named_by}")),
        ReconcilerAction::Log(WorkerEvent::UnknownReceiver(receiver)) => Some(format!("{receiver} is unknown")),
        _ => None,
    });
    warnings.collect()
}

#[test]
fn absence_of_each_instance_of_the_group_without_a_lease() {
    let mut test = TestReconciler::new(policies(Expired::Keep));
    test.send_state();
    assert!(absent(&test).is_empty(), "a coordinator of an earlier version does not name the instances");
    test.held.group_instances = Some(names(&["a", "b"]));
    test.deliver("a", 1);
    assert_eq!(absent(&test), ["b no-lease"]);
    test.deliver("b", 1);
    assert!(absent(&test).is_empty() && !test.reconciler.is_group_empty());
    test.withdraw("a");
    assert_eq!(absent(&test), ["a no-lease"]);
    test.held.complete = false;
    test.send_state();
    assert!(absent(&test).is_empty(), "it may still come");
    test.held = DeliveredState { complete: true, group_instances: Some(names(&[])), ..DeliveredState::default() };
    test.send_state();
    assert!(absent(&test).is_empty() && test.reconciler.is_group_empty());
}

#[test]
fn absence_of_each_configured_instance_that_is_not_delivered() {
    let mut policies = policies(Expired::Keep);
    policies.wanted = Some(names(&["a", "typo"]));
    policies.endpoints = names(&["endpoint", "a"]);
    policies.bindings.insert("own".parse().unwrap(), binding(1, &["receiver", "a"]));
    policies.receivers.insert("own".parse().unwrap(), policy(Expired::Keep));
    policies.receivers.insert("awz".parse().unwrap(), policy(Expired::Keep));
    let mut test = TestReconciler::bound(policies, &[("aws", &["a"])]);
    test.held.group_instances = Some(names(&["a", "b"]));
    let warned = warnings(&mut test);
    let expected = [
        "endpoint: `instance` in [[endpoints.aws]]",
        "receiver: `instances` in [receivers.own]",
        "typo: `instances` in [worker]",
        "awz is unknown",
    ];
    assert_eq!(warned, expected);
    let all = ["a no-lease", "endpoint not-delivered", "receiver not-delivered", "typo not-delivered"];
    assert_eq!(absent(&test), all, "the worker does not want b");
    assert!(warnings(&mut test).is_empty(), "once");
    test.held.group_instances = Some(names(&["a", "endpoint", "receiver", "typo"]));
    test.held.receivers.insert("awz".parse().unwrap(), binding(1, &["a"]));
    assert!(warnings(&mut test).is_empty());
    assert_eq!(absent(&test), ["a no-lease", "endpoint no-lease", "receiver no-lease", "typo no-lease"]);
}
