//! The configuration in effect, with what of it is loaded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deputy_config::CoordinatorFile;
use deputy_coordinator::{Deliveries, LoadedInstances};

use super::component_loader::unloadable;
use super::configured_component::{ConfiguredComponent, ReadyComponent};
use super::loading_tasks::{LoadResult, LoadingTasks};

/// How often components that could not be loaded are retried.
pub(crate) const LOAD_RETRY: Duration = Duration::from_secs(30);

pub(crate) struct EffectiveConfig {
    pub(crate) config: Arc<CoordinatorFile>,
    /// The coordinator's number for it. What was loaded for another one is not used.
    pub(crate) generation: u64,
    pub(crate) deliveries: Deliveries,
    /// Why components could not be loaded.
    pub(crate) failed: BTreeMap<ConfiguredComponent, String>,
    pub(crate) loading: LoadingTasks,
}

impl EffectiveConfig {
    pub(crate) fn new(config: Arc<CoordinatorFile>, deliveries: Deliveries) -> Self {
        Self { config, generation: 0, deliveries, failed: BTreeMap::new(), loading: LoadingTasks::default() }
    }

    /// Records the result for a component, and adds to `loaded` what changes for the coordinator.
    pub(crate) fn record(&mut self, (component, result): LoadResult, loaded: &mut LoadedInstances) {
        match result {
            Ok(ready) => {
                if self.failed.remove(&component).is_some() {
                    tracing::info!(%component, "component loaded");
                }
                self.add(component, ready, loaded);
            }
            Err(error) if self.failed.get(&component) == Some(&error) => {}
            Err(error) => {
                tracing::error!(%component, %error, "loading failed; retried every {} s", LOAD_RETRY.as_secs());
                self.failed.insert(component.clone(), error.clone());
                if let ConfiguredComponent::Instance(name) = &component
                    && let Some(instance) = unloadable(&self.config, name, error)
                {
                    self.add(component, ReadyComponent::Instance(instance), loaded);
                }
            }
        }
    }

    fn add(&mut self, component: ConfiguredComponent, ready: ReadyComponent, loaded: &mut LoadedInstances) {
        match (component, ready) {
            (ConfiguredComponent::Instance(name), ReadyComponent::Instance(instance)) => {
                let fingerprint = instance.plan.fingerprint;
                let is_new = self.deliveries.loading.remove(&name);
                if self.deliveries.fingerprints.insert(name.clone(), fingerprint) != Some(fingerprint) || is_new {
                    loaded.deliveries = Some(self.deliveries.clone());
                }
                loaded.plans.insert(name.clone(), instance.plan);
                loaded.providers.insert(name, instance.provider);
            }
            (ConfiguredComponent::Receiver(group, name), ReadyComponent::Receiver(binding, bytes)) => {
                if let Some(deliveries) = self.deliveries.groups.get_mut(&group) {
                    deliveries.components.insert(binding.component, bytes);
                    deliveries.receivers.insert(name, Some(binding));
                }
                loaded.deliveries = Some(self.deliveries.clone());
            }
            (ConfiguredComponent::Instance(_), ReadyComponent::Receiver(..))
            | (ConfiguredComponent::Receiver(..), ReadyComponent::Instance(_)) => {}
        }
    }

    /// Failures in another configuration that this one does not have. A component that cannot be loaded now, or is still
    /// being loaded, does not count.
    pub(crate) fn new_failures<'a>(&self, results: &'a [LoadResult]) -> Vec<(&'a ConfiguredComponent, &'a str)> {
        results
            .iter()
            .filter_map(|(component, result)| Some((component, result.as_ref().err()?.as_str())))
            .filter(|(component, _)| !self.failed.contains_key(component) && !self.loading.contains(component))
            .collect()
    }
}
