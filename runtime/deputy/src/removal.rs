//! Whether a configuration lacks so much that its file was probably cut short.

use std::collections::BTreeMap;

use deputy_config::CoordinatorFile;
use deputy_coordinator::{GroupShape, Had, Shape};
use deputy_core::{GroupName, Timestamp};
use deputy_store::Store;

use crate::error::CommandError;
use crate::exit::Exit;

/// Reports a configuration without an instance: it is valid, and hardly what was meant.
pub(crate) fn no_instance(config: &CoordinatorFile) -> Option<&'static str> {
    config.instances.is_empty().then_some("there is no instance in the configuration: was its file cut short?")
}

/// The names in a configuration.
pub(crate) fn shape(config: &CoordinatorFile) -> Shape {
    let groups = config.groups.iter().map(|(name, group)| {
        let instances = group.instances.iter().map(ToString::to_string).collect();
        let receivers = group.receivers.keys().map(ToString::to_string).collect();
        (name.to_string(), GroupShape { instances, receivers, since: BTreeMap::new() })
    });
    Shape { instances: config.instances.keys().map(ToString::to_string).collect(), groups: groups.collect() }
}

/// Compares the configuration of a start with the one that was in use before it.
/// Gives the names of that one.
pub(crate) async fn at_start(config: &CoordinatorFile, store: &dyn Store, remove: bool) -> Result<Shape, CommandError> {
    let next = shape(config);
    let before = Shape::load(store).await;
    let before = before.map_err(|error| CommandError::new(Exit::Failed, error).context("cannot use the state"))?;
    let before = before.unwrap_or_default();
    if let Some(lost) = before.lost(&next).filter(|_| !remove) {
        let message = format!("{} looks cut short: {lost}", config.path.display());
        let hint = "if that is meant, start once with `deputy run --remove`: what they hold is withdrawn";
        return Err(CommandError::new(Exit::Misconfigured, message).hint(hint));
    }
    Ok(before)
}

/// What each group had.
pub(crate) fn had(shape: &Shape) -> BTreeMap<GroupName, Had> {
    let groups = shape.groups.iter().filter_map(|(name, group)| {
        let since = |instance: &String| Timestamp::from_millis(group.since.get(instance).copied().unwrap_or_default());
        let instances = group.instances.iter();
        let instances = instances.filter_map(|instance| Some((instance.parse().ok()?, since(instance)))).collect();
        let receivers = group.receivers.iter().filter_map(|receiver| receiver.parse().ok()).collect();
        Some((name.parse().ok()?, Had { instances, receivers }))
    });
    groups.collect()
}

/// Keeps the names for the next start, which does without them if that fails. Only who has the coordinator's lock may.
pub(crate) async fn keep(config: &CoordinatorFile, store: &dyn Store, now: Timestamp) {
    let before = Shape::load(store).await.ok().flatten().unwrap_or_default();
    if let Err(error) = shape(config).aged(&before, now).save(store).await {
        tracing::warn!(%error, "the names of the configuration could not be saved for the next start");
    }
}
