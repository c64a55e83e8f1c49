//! A configuration before any of its components is loaded.

use std::collections::{BTreeMap, BTreeSet};

use deputy_config::{CoordinatorFile, InstanceEntry, WorkerGroup};
use deputy_coordinator::{CoordinatorConfig, Deliveries, GroupDeliveries};
use deputy_core::InstanceName;
use deputy_core::schedule::{ConfigFingerprint, ScheduleConfig};

use super::instance_plan::{ComponentFacts, instance_plan};
use crate::s3_places;

/// Instances without a component run at once; all others are marked as loading.
pub(crate) fn unloaded_config(config: &CoordinatorFile) -> CoordinatorConfig {
    let enabled: Vec<&InstanceEntry> = config.instances.values().filter(|entry| entry.enabled).collect();
    let (with_component, file_only): (Vec<_>, Vec<_>) =
        enabled.iter().copied().partition(|entry| entry.component.is_some());
    let schedule = ScheduleConfig {
        plans: file_only
            .iter()
            .map(|entry| {
                let facts = ComponentFacts { service: entry.service.clone(), ..ComponentFacts::default() };
                (entry.name.clone(), instance_plan(entry, facts))
            })
            .collect(),
        default_budget: config.default_budget,
        budgets: config.budgets.clone(),
        calls: config.coordinator.calls,
    };
    let enabled_names = enabled.iter().map(|entry| &entry.name).collect();
    let deliveries = Deliveries {
        groups: config
            .groups
            .iter()
            .map(|(name, group)| (name.clone(), group_deliveries(group, &enabled_names)))
            .collect(),
        // The fingerprint of an instance depends on its component.
        fingerprints: enabled
            .iter()
            .map(|entry| {
                let plan = schedule.plans.get(&entry.name);
                (entry.name.clone(), plan.map_or(ConfigFingerprint::UNKNOWN, |plan| plan.fingerprint))
            })
            .collect(),
        loading: with_component.iter().map(|entry| entry.name.clone()).collect(),
        places: s3_places::of_coordinator(config),
        before: BTreeMap::new(),
    };
    CoordinatorConfig {
        configuration: schedule,
        providers: BTreeMap::new(),
        files: enabled.iter().filter_map(|entry| Some((entry.name.clone(), entry.file.clone()?))).collect(),
        loading: with_component.iter().map(|entry| entry.name.clone()).collect(),
        deliveries,
    }
}

/// Receivers are named without their binding, so that workers keep what they have of them: a receiver that is left out
/// counts as no longer configured, and workers would remove its files.
fn group_deliveries(group: &WorkerGroup, enabled: &BTreeSet<&InstanceName>) -> GroupDeliveries {
    GroupDeliveries {
        instances: group.instances.iter().filter(|name| enabled.contains(name)).cloned().collect(),
        receivers: group.receivers.keys().map(|receiver| (receiver.clone(), None)).collect(),
        components: BTreeMap::new(),
    }
}
