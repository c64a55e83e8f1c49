//! The components that can be called: of each instance the current one, and those that obtained what is still held or
//! waits to be revoked.
//!
//! They are kept by fingerprint, which stands for component, settings and grant, so that a payload never reaches a
//! component that did not obtain it.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_core::InstanceName;
use deputy_core::schedule::{ConfigFingerprint, Schedule};

use crate::provider::Provider;

/// All components that can be called.
#[derive(Default)]
pub(crate) struct Providers(BTreeMap<InstanceName, BTreeMap<ConfigFingerprint, Arc<dyn Provider>>>);

impl Providers {
    /// Adds the component of an instance's new configuration.
    pub(crate) fn add(&mut self, instance: InstanceName, fingerprint: ConfigFingerprint, provider: Arc<dyn Provider>) {
        self.0.entry(instance).or_default().insert(fingerprint, provider);
    }

    /// The component that has exactly this configuration.
    pub(crate) fn find(&self, instance: &InstanceName, fingerprint: ConfigFingerprint) -> Option<Arc<dyn Provider>> {
        self.0.get(instance)?.get(&fingerprint).cloned()
    }

    /// Lets go of those of an instance that are not needed any longer.
    pub(crate) fn prune(&mut self, instance: &InstanceName, schedule: &Schedule) {
        let Some(providers) = self.0.get_mut(instance) else { return };
        let needed: Vec<ConfigFingerprint> = schedule.fingerprints(instance).collect();
        providers.retain(|fingerprint, _| needed.contains(fingerprint));
        if providers.is_empty() {
            self.0.remove(instance);
        }
    }

    /// Lets go of all that are not needed any longer.
    pub(crate) fn prune_all(&mut self, schedule: &Schedule) {
        let instances: Vec<InstanceName> = self.0.keys().cloned().collect();
        for instance in instances {
            self.prune(&instance, schedule);
        }
    }
}
