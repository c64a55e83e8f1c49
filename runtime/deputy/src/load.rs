//! From a configuration to what the coordinator runs: each component loaded by itself, and its plan made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use deputy_config::{CoordinatorFile, InstanceEntry, ReceiverComponent};
use deputy_coordinator::{CoordinatorConfig, Deliveries, GroupDeliveries, Provider};
use deputy_core::schedule::{Account, ConfigFingerprint, InstancePlan, OptionalExports, ScheduleConfig, UpstreamName};
use deputy_core::time::{Clock, MonotonicTime};
use deputy_core::{
    Digest, GroupName, Instance, InstanceName, Limits, ReceiverName, ReceiverPlan, SecretSource, ServiceName, Span,
    Timestamp, in_one_line,
};
use deputy_link::ReceiverBinding;
use deputy_sandbox::{CallError, Sandbox};
use deputy_support::Backoff;
use tokio::io::AsyncReadExt as _;

use crate::provider::{SandboxedProvider, UnloadedProvider};

/// How long a component that does not say its service is not asked again, at first and at most.
const SILENCE: (Span, Span) = (Span::secs(60), Span::secs(3600));

/// How many components' services are remembered.
const REMEMBERED: usize = 10_000;

/// Loads components. Names of services are asked for once per component.
pub(crate) struct ComponentLoader {
    sandbox: Sandbox,
    clock: Arc<dyn Clock>,
    services: Mutex<BTreeMap<Digest, Service>>,
}

/// A component that a configuration names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Instance(InstanceName),
    Receiver(GroupName, ReceiverName),
}

/// A part that is loaded.
pub(crate) enum Ready {
    Instance(Loaded),
    Receiver(ReceiverBinding, Bytes),
}

/// An instance that can be called, or whose calls fail with the reason why not.
pub(crate) struct Loaded {
    pub(crate) plan: InstancePlan,
    pub(crate) provider: Arc<dyn Provider>,
}

/// What a component says of its service.
enum Service {
    Named(ServiceName),
    Silent { why: String, again: MonotonicTime, backoff: Backoff },
}

impl ComponentLoader {
    pub(crate) fn new(sandbox: Sandbox, clock: Arc<dyn Clock>) -> Self {
        Self { sandbox, clock, services: Mutex::default() }
    }

    /// All components that a configuration names and uses.
    pub(crate) fn parts(config: &CoordinatorFile) -> Vec<Part> {
        let instances = config.instances.values().filter(|entry| entry.enabled && entry.component.is_some());
        let receivers = config.groups.iter().flat_map(|(group, written)| {
            written.receivers.keys().map(|receiver| Part::Receiver(group.clone(), receiver.clone()))
        });
        instances.map(|entry| Part::Instance(entry.name.clone())).chain(receivers).collect()
    }

    /// What runs before anything is loaded: the instances without a component. A receiver that is not loaded is named and
    /// no more, so that workers keep what they have of it: one that is left out is taken for one that is no longer
    /// configured, and its files would be removed everywhere.
    pub(crate) fn unloaded(config: &CoordinatorFile) -> CoordinatorConfig {
        let enabled = || config.instances.values().filter(|entry| entry.enabled);
        let without = enabled().filter(|entry| entry.component.is_none());
        let configuration = ScheduleConfig {
            plans: without.map(|entry| (entry.name.clone(), plan(entry, entry.service.clone(), None, None))).collect(),
            default_budget: config.default_budget,
            budgets: config.budgets.clone(),
            calls: config.coordinator.calls,
        };
        // Nothing is known of a configuration whose component is not loaded.
        let known = |name: &InstanceName| configuration.plans.get(name).map(|plan: &InstancePlan| plan.fingerprint);
        let fingerprints = enabled()
            .map(|entry| (entry.name.clone(), known(&entry.name).unwrap_or(ConfigFingerprint::UNKNOWN)))
            .collect();
        let names: BTreeSet<&InstanceName> = enabled().map(|entry| &entry.name).collect();
        let groups = config.groups.iter().map(|(name, group)| {
            let given = GroupDeliveries {
                instances: group.instances.iter().filter(|name| names.contains(name)).cloned().collect(),
                receivers: group.receivers.keys().map(|receiver| (receiver.clone(), None)).collect(),
                components: BTreeMap::new(),
            };
            (name.clone(), given)
        });
        CoordinatorConfig {
            configuration,
            providers: BTreeMap::new(),
            files: enabled().filter_map(|entry| Some((entry.name.clone(), entry.file.clone()?))).collect(),
            loading: enabled().filter(|entry| entry.component.is_some()).map(|entry| entry.name.clone()).collect(),
            deliveries: Deliveries { groups: groups.collect(), fingerprints, before: BTreeMap::new() },
        }
    }

    /// Loads one part.
    pub(crate) async fn load(&self, config: &CoordinatorFile, part: &Part) -> Result<Ready, String> {
        let missing = || format!("{part} is not configured");
        match part {
            Part::Instance(name) => {
                let entry = config.instances.get(name).ok_or_else(missing)?;
                let instance = entry.component.as_ref().ok_or_else(missing)?;
                self.instance(config, entry, instance).await.map(Ready::Instance)
            }
            Part::Receiver(group, name) => {
                let receivers = config.groups.get(group).map(|group| &group.receivers);
                let written = receivers.and_then(|receivers| receivers.get(name)).ok_or_else(missing)?;
                let (component, bytes) = self.receiver(name, written).await?;
                let binding = ReceiverBinding {
                    component,
                    settings: written.settings.clone(),
                    instances: written.instances.clone(),
                    limits: written.limits.clone(),
                };
                Ok(Ready::Receiver(binding, bytes))
            }
        }
    }

    /// An instance whose component can't be loaded: its calls fail, and hinder no other one.
    pub(crate) fn failed(config: &CoordinatorFile, name: &InstanceName, why: String) -> Option<Loaded> {
        // It may be able to revoke: what is to be revoked waits until it is there to say so.
        let abilities = OptionalExports { renews: false, revokes: true };
        let mut plan = plan(config.instances.get(name)?, None, Some(abilities), None);
        plan.fingerprint = ConfigFingerprint::UNKNOWN;
        Some(Loaded { plan, provider: Arc::new(UnloadedProvider { why }) })
    }

    /// Lets go of compiled code that is not used any more.
    pub(crate) async fn prune(&self) {
        let removed = self.sandbox.prune().await;
        if removed > 0 {
            tracing::info!(files = removed, "removed compiled components that are not used");
        }
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
        let (digest, size) = (receiver.info().digest, receiver.info().size);
        let path = written.component.display();
        let failed = |error| format!("cannot read {path}: {error}");
        let file = tokio::fs::File::open(&written.component).await.map_err(failed)?;
        let mut bytes = Vec::new();
        #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
        file.take(size.saturating_add(1)).read_to_end(&mut bytes).await.map_err(failed)?;
        if sha256(&bytes) == digest {
            Ok((digest, Bytes::from(bytes)))
        } else {
            Err(format!("{path} changed while it was loaded: try again once nobody writes to it"))
        }
    }

    async fn instance(
        &self,
        config: &CoordinatorFile,
        entry: &InstanceEntry,
        instance: &Instance,
    ) -> Result<Loaded, String> {
        let provider = self.sandbox.load(instance).await.map_err(|error| in_one_line(&error))?;
        let inspection = provider.info();
        let abilities = OptionalExports { renews: inspection.renews, revokes: inspection.revokes };
        let digest = inspection.digest;
        let service = self.service(&provider, digest).await?;
        let plan = plan(entry, Some(service), Some(abilities), Some(digest));
        let config = config.path.display().to_string();
        let provider = Arc::new(SandboxedProvider::new(instance.clone(), Arc::new(provider), config));
        Ok(Loaded { plan, provider })
    }

    /// The service, by the component's own word. It gets nothing to find out anything else, so it says it to all. One that
    /// does not say it is not asked again at once: it may take all the time that a call may take.
    async fn service(&self, provider: &deputy_sandbox::LoadedProvider, digest: Digest) -> Result<ServiceName, String> {
        match self.services().get(&digest) {
            Some(Service::Named(service)) => return Ok(service.clone()),
            Some(Service::Silent { why, again, .. }) if self.clock.now().mono < *again => return Err(why.clone()),
            Some(Service::Silent { .. }) | None => {}
        }
        match provider.service_name().await.result {
            Ok(service) => {
                self.services().insert(digest, Service::Named(service.clone()));
                Ok(service)
            }
            Err(error) => {
                let why = format!("the component does not say its service: {error}");
                // What ended from outside says nothing of the component.
                if !matches!(error, CallError::Interrupted(_) | CallError::Internal(_)) {
                    self.silent(digest, why.clone());
                }
                Err(why)
            }
        }
    }

    fn silent(&self, digest: Digest, why: String) {
        let mut services = self.services();
        if services.len() >= REMEMBERED {
            services.clear();
        }
        let mut backoff = match services.remove(&digest) {
            Some(Service::Silent { backoff, .. }) => backoff,
            Some(Service::Named(_)) | None => Backoff::new(SILENCE.0, SILENCE.1),
        };
        let again = self.clock.now().mono.plus(backoff.fail(0));
        services.insert(digest, Service::Silent { why, again, backoff });
    }

    /// The wall clock's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    fn services(&self) -> MutexGuard<'_, BTreeMap<Digest, Service>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(name) => name.fmt(f),
            Self::Receiver(group, name) => write!(f, "receiver {name} of the group {group}"),
        }
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    Digest::new(hash)
}

fn plan(
    entry: &InstanceEntry,
    service: Option<ServiceName>,
    component: Option<OptionalExports>,
    component_digest: Option<Digest>,
) -> InstancePlan {
    let upstream = entry.upstream.clone().unwrap_or_else(|| upstream(entry, service.as_ref(), component_digest));
    let hash = digest(&SHA256, entry.canonical(component_digest).as_bytes());
    let mut fingerprint = ConfigFingerprint::default();
    if let Some(bytes) = hash.as_ref().first_chunk() {
        fingerprint = ConfigFingerprint(*bytes);
    }
    InstancePlan { policy: entry.policy.clone(), upstream, account: account(entry), service, component, fingerprint }
}

/// Whoever uses the same secrets is taken for the same account. The places of secrets count, not their values, which are
/// read when they are used.
fn account(entry: &InstanceEntry) -> Option<Account> {
    let sources = &entry.component.as_ref()?.sources;
    let places: BTreeSet<String> = sources
        .values()
        .map(|source| {
            let place = match source {
                SecretSource::Command(command) => format!("{command:?}"),
                SecretSource::Credential(name) | SecretSource::Environment(name) => name.clone(),
                SecretSource::File(path) => path.display().to_string(),
            };
            format!("{} {place}", source.kind())
        })
        .collect();
    let places: Vec<String> = places.into_iter().collect();
    let hash = digest(&SHA256, places.join("\n").as_bytes());
    hash.as_ref().first_chunk().filter(|_| !places.is_empty()).map(|bytes| Account(*bytes))
}

/// A service at its endpoints. The component is part of the name: what one says about its service, and how long it
/// wants to be left alone, is no other one's business.
fn upstream(entry: &InstanceEntry, service: Option<&ServiceName>, digest: Option<Digest>) -> UpstreamName {
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
