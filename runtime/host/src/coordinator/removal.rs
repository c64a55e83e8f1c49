//! Whether a configuration lacks so much of the previous one that its file is probably truncated.

use std::collections::BTreeMap;

use deputy_config::CoordinatorFile;
use deputy_coordinator::{
    ConfigurationNames, Deliveries, EarlierDeliveries, EarlierReceiver, GroupNames, ReceiverComponentName, Removals,
};
use deputy_core::{GroupName, Timestamp};
use deputy_store::{Store, StoreLock};

use crate::error::ProcessError;

/// A warning about a configuration without an instance: it is valid, and hardly intended.
pub fn no_instance_warning(config: &CoordinatorFile) -> Option<&'static str> {
    config.instances.is_empty().then_some("the configuration has no instance: is its file truncated?")
}

/// The names in a configuration.
pub(crate) fn names(config: &CoordinatorFile) -> ConfigurationNames {
    let groups = config.groups.iter().map(|(name, group)| {
        let instances = group.instances.iter().map(ToString::to_string).collect();
        let receivers = group.receivers.keys().map(ToString::to_string).collect();
        (name.to_string(), GroupNames { instances, receivers, ..GroupNames::default() })
    });
    let instances = config.instances.keys().map(ToString::to_string).collect();
    ConfigurationNames { instances, groups: groups.collect() }
}

/// The names in a configuration, with the components of the receivers that are loaded.
fn names_with_components(config: &CoordinatorFile, deliveries: &Deliveries) -> ConfigurationNames {
    let mut names = names(config);
    for (group, delivered) in &deliveries.groups {
        let Some(group) = names.groups.get_mut(group.as_str()) else { continue };
        for (receiver, binding) in &delivered.receivers {
            if let Some(binding) = binding {
                let component = ReceiverComponentName { sha256: binding.component.to_string(), since: 0 };
                group.components.insert(receiver.to_string(), component);
            }
        }
    }
    names
}

/// Compares the configuration with the one that was last in effect, whose names it returns.
pub(crate) async fn check_at_start(
    config: &CoordinatorFile,
    store: &dyn Store,
    removals: Removals,
) -> Result<ConfigurationNames, ProcessError> {
    let previous =
        ConfigurationNames::load(store).await.map_err(ProcessError::PreviousConfiguration)?.unwrap_or_default();
    match previous.missing_in(&names(config)) {
        Some(lost) if removals == Removals::Few => {
            Err(ProcessError::Truncated { config: config.path.clone(), lost: lost.to_string() })
        }
        _ => Ok(previous),
    }
}

/// What each group had under the previous configuration.
pub(crate) fn previous_deliveries(previous: &ConfigurationNames) -> BTreeMap<GroupName, EarlierDeliveries> {
    previous.groups.iter().filter_map(|(name, group)| Some((name.parse().ok()?, previous_group(group)))).collect()
}

fn previous_group(group: &GroupNames) -> EarlierDeliveries {
    let instances = group.instances.iter().filter_map(|instance| {
        let since = group.since.get(instance).copied().unwrap_or_default();
        Some((instance.parse().ok()?, Timestamp::from_millis(since)))
    });
    let receivers = group.components.iter().filter_map(|(receiver, component)| {
        let since = Timestamp::from_millis(component.since);
        Some((receiver.parse().ok()?, EarlierReceiver { component: component.sha256.parse().ok()?, since }))
    });
    EarlierDeliveries { instances: instances.collect(), receivers: receivers.collect() }
}

/// Saves the names for the next start, which skips the comparison if that fails.
pub(crate) async fn save_names(
    config: &CoordinatorFile,
    deliveries: &Deliveries,
    store: &dyn Store,
    lock: &StoreLock,
    now: Timestamp,
) {
    let previous = ConfigurationNames::load(store).await.ok().flatten().unwrap_or_default();
    if let Err(error) =
        names_with_components(config, deliveries).with_delivery_times(&previous, now).save(store, lock).await
    {
        tracing::warn!(%error, "saving the names of the configuration for the next start failed");
    }
}
