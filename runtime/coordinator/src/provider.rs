//! Providers as the coordinator knows them: something that can be called.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::InstanceName;
use deputy_core::schedule::{CallOutcome, ConfigFingerprint, ProviderCall, Schedule};
use deputy_traces::OpenSpan;

use crate::login_snapshot::LoginSnapshot;

/// A provider with the settings and the grant of one instance.
#[async_trait]
pub trait ConfiguredProvider: Send + Sync {
    /// Makes one call. It ends by itself, within the limits of the instance. Requests of the component become parts of
    /// `span`.
    async fn call(&self, call: &ProviderCall, span: &OpenSpan) -> CallOutcome;

    /// How its Kerberos login is doing, if it has one. Waits for nothing.
    fn login(&self) -> Option<LoginSnapshot> {
        None
    }
}

/// The providers of all instances: the current one of each, and those that obtained a lease which is still held or waits
/// for revocation.
///
/// They are kept by fingerprint, which covers component, settings and grant, so that a payload never reaches a
/// component that did not obtain it.
#[derive(Default)]
pub(crate) struct Providers(BTreeMap<InstanceName, BTreeMap<ConfigFingerprint, Arc<dyn ConfiguredProvider>>>);

impl Providers {
    pub(crate) fn insert(
        &mut self,
        instance: InstanceName,
        fingerprint: ConfigFingerprint,
        provider: Arc<dyn ConfiguredProvider>,
    ) {
        self.0.entry(instance).or_default().insert(fingerprint, provider);
    }

    pub(crate) fn get(
        &self,
        instance: &InstanceName,
        fingerprint: ConfigFingerprint,
    ) -> Option<Arc<dyn ConfiguredProvider>> {
        self.0.get(instance)?.get(&fingerprint).cloned()
    }

    /// Drops the providers of an instance that the schedule no longer needs.
    pub(crate) fn prune(&mut self, instance: &InstanceName, schedule: &Schedule) {
        let Some(providers) = self.0.get_mut(instance) else { return };
        let needed: Vec<ConfigFingerprint> = schedule.fingerprints(instance).collect();
        providers.retain(|fingerprint, _| needed.contains(fingerprint));
        if providers.is_empty() {
            self.0.remove(instance);
        }
    }

    pub(crate) fn prune_all(&mut self, schedule: &Schedule) {
        let instances: Vec<InstanceName> = self.0.keys().cloned().collect();
        for instance in instances {
            self.prune(&instance, schedule);
        }
    }
}
