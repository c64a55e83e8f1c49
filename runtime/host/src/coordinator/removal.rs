//! Whether a configuration lacks so much of the previous one that its file is probably truncated.

use std::collections::BTreeMap;

use deputy_config::CoordinatorFile;
use deputy_coordinator::{ConfigurationNames, EarlierDeliveries, GroupNames, Removals};
use deputy_core::{GroupName, Timestamp};
use deputy_store::Store;

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
        (name.to_string(), GroupNames { instances, receivers, since: BTreeMap::new() })
    });
    ConfigurationNames {
        instances: config.instances.keys().map(ToString::to_string).collect(),
        groups: groups.collect(),
    }
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
    EarlierDeliveries {
        instances: instances.collect(),
        receivers: group.receivers.iter().filter_map(|receiver| receiver.parse().ok()).collect(),
    }
}

/// Saves the names for the next start, which skips the comparison if that fails. Only the holder of the coordinator's lock
/// may call this.
pub(crate) async fn save_names(config: &CoordinatorFile, store: &dyn Store, now: Timestamp) {
    let previous = ConfigurationNames::load(store).await.ok().flatten().unwrap_or_default();
    if let Err(error) = names(config).with_delivery_times(&previous, now).save(store).await {
        tracing::warn!(%error, "saving the names of the configuration for the next start failed");
    }
}
