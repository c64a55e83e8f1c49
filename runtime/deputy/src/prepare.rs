//! From a configuration to what the coordinator runs: every component loaded, every plan made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use deputy_config::{Config, Entry, ReceiverComponent};
use deputy_coordinator::{Deliveries, GroupDeliveries, Provider, Setup};
use deputy_core::schedule::{Abilities, Configuration, Fingerprint, Plan, UpstreamName};
use deputy_core::{Digest, Instance, InstanceName, Limits, ReceiverName, ReceiverPlan, ServiceName, in_one_line};
use deputy_link::Binding;
use deputy_sandbox::Sandbox;

use crate::provider::{Sandboxed, Unloaded};

/// Loads components. Names of services are asked for once per component.
pub(crate) struct Preparer {
    sandbox: Sandbox,
    services: Mutex<BTreeMap<Digest, ServiceName>>,
}

/// What came of a configuration.
pub(crate) struct Prepared {
    pub(crate) setup: Setup,
    /// What each group of workers gets.
    pub(crate) deliveries: Deliveries,
    /// Instances and receivers whose component can't be loaded, with why.
    pub(crate) failed: BTreeMap<String, String>,
}

struct Loaded {
    plan: Plan,
    provider: Arc<dyn Provider>,
}

impl Preparer {
    pub(crate) fn new(sandbox: Sandbox) -> Self {
        Self { sandbox, services: Mutex::default() }
    }

    /// Loads everything that is enabled. What can't be loaded fails at each call, and hinders nobody else.
    pub(crate) async fn prepare(&self, config: &Config) -> Prepared {
        let mut plans = BTreeMap::new();
        let mut providers: BTreeMap<InstanceName, Arc<dyn Provider>> = BTreeMap::new();
        let (mut files, mut failed) = (BTreeMap::new(), BTreeMap::new());
        for entry in config.instances.values().filter(|entry| entry.enabled) {
            if let Some(file) = &entry.file {
                files.insert(entry.name.clone(), file.clone());
            }
            let plan = match &entry.component {
                None => plan(entry, entry.service.clone(), None, None),
                Some(instance) => {
                    let loaded = match self.load(config, entry, instance).await {
                        Ok(loaded) => loaded,
                        Err(why) => {
                            failed.insert(entry.name.to_string(), why.clone());
                            // It may be able to revoke: what is to be revoked waits until it is there to say so.
                            let abilities = Abilities { renews: false, revokes: true };
                            let plan = plan(entry, None, Some(abilities), None);
                            Loaded { plan, provider: Arc::new(Unloaded { why }) }
                        }
                    };
                    providers.insert(entry.name.clone(), loaded.provider);
                    loaded.plan
                }
            };
            plans.insert(entry.name.clone(), plan);
        }
        let deliveries = self.deliveries(config, &plans, &mut failed).await;
        let configuration = Configuration {
            plans,
            default_budget: config.default_budget,
            budgets: config.budgets.clone(),
            calls: config.coordinator.calls,
        };
        Prepared { setup: Setup { configuration, providers, files }, deliveries, failed }
    }

    /// What each group gets. A receiver that can't be loaded is named and no more, so that workers keep what they have of
    /// it: one that is left out is taken for one that is no longer configured, and its files would be removed everywhere.
    async fn deliveries(
        &self,
        config: &Config,
        plans: &BTreeMap<InstanceName, Plan>,
        failed: &mut BTreeMap<String, String>,
    ) -> Deliveries {
        let mut deliveries = Deliveries::default();
        for (name, group) in &config.groups {
            let enabled = |name: &&InstanceName| plans.contains_key(*name);
            let mut given = GroupDeliveries {
                instances: group.instances.iter().filter(enabled).cloned().collect(),
                ..GroupDeliveries::default()
            };
            for (receiver, written) in &group.receivers {
                match self.receiver(receiver, written).await {
                    Ok((digest, bytes)) => {
                        let binding = Binding {
                            component: digest,
                            settings: written.settings.clone(),
                            instances: written.instances.clone(),
                            limits: written.limits.clone(),
                        };
                        given.receivers.insert(receiver.clone(), Some(binding));
                        given.components.insert(digest, bytes);
                    }
                    Err(why) => {
                        given.receivers.insert(receiver.clone(), None);
                        failed.insert(format!("receiver {receiver} of the group {name}"), why);
                    }
                }
            }
            deliveries.groups.insert(name.clone(), given);
        }
        deliveries
    }

    /// A receiver's component, which this process looks into and never calls.
    async fn receiver(&self, name: &ReceiverName, written: &ReceiverComponent) -> Result<(Digest, Bytes), String> {
        let plan = ReceiverPlan {
            name: name.clone(),
            component: written.component.clone(),
            sha256: written.sha256,
            settings: written.settings.clone(),
            limits: Limits::default().with(&written.limits),
        };
        let receiver = self.sandbox.load_receiver(&plan).await.map_err(|error| in_one_line(&error))?;
        let digest = receiver.inspection().digest;
        let path = written.component.display();
        let bytes =
            tokio::fs::read(&written.component).await.map_err(|error| format!("cannot read {path}: {error}"))?;
        if sha256(&bytes) == digest {
            Ok((digest, Bytes::from(bytes)))
        } else {
            Err(format!("{path} changed while it was loaded: try again once nobody writes to it"))
        }
    }

    async fn load(&self, config: &Config, entry: &Entry, instance: &Instance) -> Result<Loaded, String> {
        let provider = self.sandbox.load(instance).await.map_err(|error| in_one_line(&error))?;
        let inspection = provider.inspection();
        let abilities = Abilities { renews: inspection.renews, revokes: inspection.revokes };
        let digest = inspection.digest;
        let service = self.service(&provider, digest).await?;
        let plan = plan(entry, Some(service), Some(abilities), Some(digest));
        let config = config.path.display().to_string();
        Ok(Loaded { plan, provider: Arc::new(Sandboxed::new(instance.clone(), Arc::new(provider), config)) })
    }

    /// The service, by the component's own word. It gets nothing to find out anything else, so it says it to all.
    async fn service(&self, provider: &deputy_sandbox::Provider, digest: Digest) -> Result<ServiceName, String> {
        let known = self.services.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        if let Some(service) = known {
            return Ok(service);
        }
        let service = provider.service_name().await.result;
        let service = service.map_err(|error| format!("the component does not say its service: {error}"))?;
        self.services.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, service.clone());
        Ok(service)
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    Digest::new(hash)
}

fn plan(
    entry: &Entry,
    service: Option<ServiceName>,
    component: Option<Abilities>,
    component_digest: Option<Digest>,
) -> Plan {
    let upstream = entry.upstream.clone().unwrap_or_else(|| upstream(entry, service.as_ref(), component_digest));
    let hash = digest(&SHA256, entry.canonical(component_digest).as_bytes());
    let mut fingerprint = Fingerprint::default();
    if let Some(bytes) = hash.as_ref().first_chunk() {
        fingerprint = Fingerprint(*bytes);
    }
    Plan { policy: entry.policy.clone(), upstream, service, component, fingerprint }
}

/// A service at its endpoints. The component is part of the name: what one says about its service, and how long it
/// wants to be left alone, is no other one's business.
fn upstream(entry: &Entry, service: Option<&ServiceName>, digest: Option<Digest>) -> UpstreamName {
    let grant = entry.component.as_ref().map(|instance| &instance.grant);
    let mut endpoints: Vec<String> = Vec::new();
    if let Some(grant) = grant {
        endpoints.extend(grant.http.iter().map(|rule| rule.pattern.to_string()));
        endpoints.extend(grant.tcp.iter().map(ToString::to_string));
    }
    endpoints.sort();
    endpoints.dedup();
    let digest = digest.map(|digest| digest.to_string().chars().take(8).collect::<String>()).unwrap_or_default();
    let service = service.map_or_else(|| entry.name.to_string(), ToString::to_string);
    UpstreamName::derived(&format!("{service} {digest}"), &endpoints.join(" "))
}
