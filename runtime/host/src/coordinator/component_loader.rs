//! Loads one component of a configuration at a time.

use std::sync::Arc;

use bytes::Bytes;
use deputy_config::{CoordinatorFile, InstanceEntry, ReceiverComponent};
use deputy_coordinator::StateKeeper;
use deputy_core::schedule::{ConfigFingerprint, OptionalExports};
use deputy_core::time::Clock;
use deputy_core::{Digest, Instance, InstanceName, Principal, ReceiverName, Timestamp, in_one_line};
use deputy_link::ReceiverBinding;
use deputy_sandbox::{LoadedProvider, Sandbox};
use deputy_support::sha256;
use tokio::io::AsyncReadExt as _;

use super::configured_component::{ConfiguredComponent, LoadedInstance, ReadyComponent};
use super::instance_plan::{ComponentFacts, instance_plan};
use super::instance_state::{InstanceStateStore, StateOwner};
use super::provider_answers::ProviderAnswers;
use super::sandboxed_provider::{SandboxedProvider, UnloadedProvider};
use crate::state_identity::state_identity;

pub(crate) struct ComponentLoader {
    sandbox: Sandbox,
    clock: Arc<dyn Clock>,
    answers: ProviderAnswers,
    state_keeper: Arc<StateKeeper>,
}

impl ComponentLoader {
    pub(crate) fn new(sandbox: Sandbox, clock: Arc<dyn Clock>, state_keeper: Arc<StateKeeper>) -> Self {
        Self { sandbox, answers: ProviderAnswers::new(Arc::clone(&clock)), clock, state_keeper }
    }

    pub(crate) async fn load(
        &self,
        config: &CoordinatorFile,
        component: &ConfiguredComponent,
    ) -> Result<ReadyComponent, String> {
        match component {
            ConfiguredComponent::Instance(name) => {
                let entry = config.instances.get(name).ok_or_else(|| not_configured(component))?;
                let instance = entry.component.as_ref().ok_or_else(|| not_configured(component))?;
                self.load_instance(config, entry, instance).await.map(ReadyComponent::Instance)
            }
            ConfiguredComponent::Receiver(group, name) => {
                let section = config.groups.get(group).and_then(|group| group.receivers.get(name));
                let receiver = section.ok_or_else(|| not_configured(component))?;
                let (digest, bytes) = self.load_receiver(name, receiver).await?;
                let binding = ReceiverBinding {
                    component: digest,
                    settings: receiver.settings.clone(),
                    instances: receiver.instances.clone(),
                    limits: receiver.limits.clone(),
                };
                Ok(ReadyComponent::Receiver(binding, bytes))
            }
        }
    }

    async fn load_instance(
        &self,
        config: &CoordinatorFile,
        entry: &InstanceEntry,
        instance: &Instance,
    ) -> Result<LoadedInstance, String> {
        let provider = self.sandbox.load(instance).await.map_err(|error| in_one_line(&error))?;
        let answer = self.answers.get(&provider, instance).await?;
        let provider = self.with_state(entry, instance, provider);
        let info = provider.info();
        let facts = ComponentFacts {
            service: Some(answer.service),
            kinds: answer.kinds.clone(),
            exports: Some(OptionalExports { renews: info.renews, revokes: info.revokes }),
            digest: Some(info.digest),
        };
        provider.announce(answer.kinds);
        let plan = instance_plan(entry, facts);
        let config = config.path.display().to_string();
        let provider = Arc::new(SandboxedProvider::new(instance.clone(), provider, config));
        Ok(LoadedInstance { plan, provider })
    }

    /// Gives a provider the state that its instance keeps, and warns if what is kept was saved by something else.
    fn with_state(&self, entry: &InstanceEntry, instance: &Instance, provider: LoadedProvider) -> LoadedProvider {
        let identity = state_identity(entry, provider.info().digest);
        let Some((grant, identity)) = instance.grant.state.clone().zip(identity) else { return provider };
        if let Some(kept_for) = self.state_keeper.owner(&instance.name)
            && let Err(denial) = grant.permit(kept_for, identity)
        {
            let fix = denial.fix(Principal::Instance(instance)).unwrap_or_default();
            tracing::warn!(instance = %instance.name, fix, "{denial}; it stays sealed until the configuration says `inherit`");
        }
        let owner = StateOwner { grant, identity };
        let keeper = Arc::clone(&self.state_keeper);
        let instance = instance.name.clone();
        provider.with_state(Arc::new(InstanceStateStore { keeper, instance, owner }))
    }

    /// The coordinator inspects a receiver's component and sends it to workers, and never calls it.
    async fn load_receiver(
        &self,
        name: &ReceiverName,
        receiver: &ReceiverComponent,
    ) -> Result<(Digest, Bytes), String> {
        let loaded = self.sandbox.load_receiver(&receiver.plan(name)).await.map_err(|error| in_one_line(&error))?;
        let file = &loaded.info().path;
        let path = file.display();
        let bytes = read_at_most(file, loaded.info().size.saturating_add(1))
            .await
            .map_err(|error| format!("cannot read {path}: {error}"))?;
        if sha256(&bytes) == loaded.info().digest {
            Ok((loaded.info().digest, Bytes::from(bytes)))
        } else {
            Err(format!("{path} changed while it was loaded: try again when it is completely written"))
        }
    }

    /// Removes compiled components that are no longer used.
    pub(crate) async fn prune(&self) {
        let removed = self.sandbox.prune().await;
        if removed > 0 {
            tracing::info!(files = removed, "removed unused compiled components");
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }
}

/// An instance whose component cannot be loaded: its calls fail, and affect no other instance.
pub(crate) fn unloadable(config: &CoordinatorFile, name: &InstanceName, error: String) -> Option<LoadedInstance> {
    // The component may export revocation, so leases that are to be revoked wait until it is known.
    let exports = OptionalExports { renews: false, revokes: true };
    let facts = ComponentFacts { exports: Some(exports), ..ComponentFacts::default() };
    let mut plan = instance_plan(config.instances.get(name)?, facts);
    plan.fingerprint = ConfigFingerprint::UNKNOWN;
    Some(LoadedInstance { plan, provider: Arc::new(UnloadedProvider { error }) })
}

fn not_configured(component: &ConfiguredComponent) -> String {
    format!("{component} is not configured")
}

#[expect(clippy::disallowed_methods, reason = "an edge: the operator's file; bounded by `take`")]
async fn read_at_most(path: &std::path::Path, bytes: u64) -> std::io::Result<Vec<u8>> {
    let file = tokio::fs::File::open(path).await?;
    let mut contents = Vec::new();
    file.take(bytes).read_to_end(&mut contents).await?;
    Ok(contents)
}
