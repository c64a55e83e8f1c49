//! Which instances a worker lacks, and what of its configuration has no effect.

use super::*;

fn names(names: &[&str]) -> BTreeSet<InstanceName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// What is absent, in short: `a no-lease`.
fn absent(world: &World) -> Vec<String> {
    let absent = world.machine.absent();
    absent.iter().map(|(instance, absence)| format!("{instance} {}", absence.code())).collect()
}

/// The warnings that follow from what is held.
fn warnings(world: &mut World) -> Vec<String> {
    let held = Arc::new(world.held.clone());
    world.machine.handle(at(world.now), ReconcilerEvent::Held(held));
    let actions = std::iter::from_fn(|| world.machine.next_action());
    let warnings = actions.filter_map(|action| match action {
        ReconcilerAction::Notice(WorkerEvent::NotDelivered(instance, named)) => Some(format!("{instance}: {named}")),
        ReconcilerAction::Notice(WorkerEvent::UnknownReceiver(receiver)) => Some(format!("{receiver} is unknown")),
        _ => None,
    });
    warnings.collect()
}

#[test]
fn absent_is_each_instance_of_the_group_without_a_lease() {
    let mut world = World::new(plans(Expired::Keep));
    world.hold();
    assert!(absent(&world).is_empty(), "a coordinator of an earlier version does not name them");
    world.held.group_instances = Some(names(&["a", "b"]));
    world.gets("a", 1);
    assert_eq!(absent(&world), ["b no-lease"]);
    world.gets("b", 1);
    assert!(absent(&world).is_empty() && !world.machine.is_for_nothing());
    world.loses("a");
    assert_eq!(absent(&world), ["a no-lease"]);
    world.held.complete = false;
    world.hold();
    assert!(absent(&world).is_empty(), "it may still come");
    world.held = DeliveredState { complete: true, group_instances: Some(names(&[])), ..DeliveredState::default() };
    world.hold();
    assert!(absent(&world).is_empty() && world.machine.is_for_nothing());
}

#[test]
fn absent_is_each_name_of_the_configuration_that_the_group_does_not_get() {
    let mut plans = plans(Expired::Keep);
    plans.wanted = Some(names(&["a", "typo"]));
    plans.endpoints = names(&["endpoint", "a"]);
    plans.bindings.insert("own".parse().unwrap(), binding(1, &["receiver", "a"]));
    plans.receivers.insert("own".parse().unwrap(), plan(Expired::Keep));
    plans.receivers.insert("awz".parse().unwrap(), plan(Expired::Keep));
    let mut world = World::bound(plans, &[("aws", &["a"])]);
    world.held.group_instances = Some(names(&["a", "b"]));
    let said = warnings(&mut world);
    let expected = [
        "endpoint: `instance` in [[endpoints.aws]]",
        "receiver: `instances` in [receivers.own]",
        "typo: `instances` in [worker]",
        "awz is unknown",
    ];
    assert_eq!(said, expected);
    let all = ["a no-lease", "endpoint not-delivered", "receiver not-delivered", "typo not-delivered"];
    assert_eq!(absent(&world), all, "b is not wanted");
    assert!(warnings(&mut world).is_empty(), "once");
    world.held.group_instances = Some(names(&["a", "endpoint", "receiver", "typo"]));
    world.held.receivers.insert("awz".parse().unwrap(), binding(1, &["a"]));
    assert!(warnings(&mut world).is_empty());
    assert_eq!(absent(&world), ["a no-lease", "endpoint no-lease", "receiver no-lease", "typo no-lease"]);
}
