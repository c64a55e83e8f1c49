//! Receivers' components in the sandbox, as the worker calls them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use deputy_config::WorkerConfig;
use deputy_core::failure::FailureKind;
use deputy_core::{Delivery, Digest, Limits, Outputs, Principal, ReceiverName, ReceiverPlan, Services, in_one_line};
use deputy_link::ReceiverBinding;
use deputy_link::client::Link;
use deputy_sandbox::{Call, Sandbox};
use deputy_worker::components::ComponentStore;
use deputy_worker::{AcceptError, Receiver, ReceiverLoader};

use crate::call_report;
use crate::provider::{kind, message};

/// Brings components: the worker's own from where they are, the coordinator's by their digest.
pub(super) struct SandboxedReceivers {
    sandbox: Sandbox,
    components: ComponentStore,
    link: Link,
    own: BTreeMap<ReceiverName, Own>,
}

struct Own {
    component: PathBuf,
    sha256: Option<Digest>,
}

struct Loaded {
    name: ReceiverName,
    limits: Limits,
    receiver: deputy_sandbox::LoadedReceiver,
    services: Services,
}

impl SandboxedReceivers {
    pub(super) fn new(sandbox: Sandbox, components: ComponentStore, link: Link, config: &WorkerConfig) -> Self {
        let own = config.receivers.iter().filter_map(|(name, receiver)| {
            let component = receiver.component()?;
            Some((name.clone(), Own { component: component.component.clone(), sha256: component.sha256 }))
        });
        Self { sandbox, components, link, own: own.collect() }
    }

    /// The component's file, which has this digest.
    async fn file(&self, digest: Digest) -> Result<PathBuf, AcceptError> {
        let failed = |error: &(dyn std::error::Error + 'static)| AcceptError {
            kind: FailureKind::Unavailable,
            message: in_one_line(error),
        };
        if self.components.load(digest).await.map_err(|error| failed(&error))?.is_none() {
            tracing::info!(%digest, "fetching the receiver's component");
            let bytes = self.link.fetch(digest).await.map_err(|error| failed(&error))?;
            self.components.keep(digest, bytes.to_vec()).await.map_err(|error| failed(&error))?;
        }
        Ok(self.components.path(digest))
    }
}

#[async_trait]
impl ReceiverLoader for SandboxedReceivers {
    async fn load(&self, name: &ReceiverName, binding: &ReceiverBinding) -> Result<Arc<dyn Receiver>, AcceptError> {
        let (component, sha256) = match self.own.get(name) {
            Some(own) => (own.component.clone(), own.sha256),
            None => (self.file(binding.component).await?, Some(binding.component)),
        };
        let (settings, limits) = (binding.settings.clone(), Limits::default().with(&binding.limits));
        let plan = ReceiverPlan { name: name.clone(), component, sha256, settings, limits };
        let receiver = self.sandbox.load_receiver(&plan).await;
        let receiver =
            receiver.map_err(|error| AcceptError { kind: FailureKind::Misconfigured, message: in_one_line(&error) })?;
        let services = ended(receiver.services().await, &plan.name, &plan.limits)?;
        // One that this one takes the place of is let go of the next time.
        let removed = self.sandbox.prune().await;
        if removed > 0 {
            tracing::info!(files = removed, "removed compiled components that are not used");
        }
        Ok(Arc::new(Loaded { name: plan.name, limits: plan.limits, receiver, services }))
    }
}

#[async_trait]
impl Receiver for Loaded {
    fn services(&self) -> &Services {
        &self.services
    }

    async fn accept(&self, deliveries: &[Delivery]) -> Result<Outputs, AcceptError> {
        ended(self.receiver.accept(deliveries).await, &self.name, &self.limits)
    }
}

fn ended<T>(call: Call<T>, name: &ReceiverName, limits: &Limits) -> Result<T, AcceptError> {
    for refusal in call_report::refusals(&call.denials, Principal::Receiver(name, limits)) {
        let fix = refusal.fix.as_deref().unwrap_or_default();
        tracing::warn!(receiver = %name, call = %call.id, code = refusal.code, fix, "denied by policy: {}", refusal.message);
    }
    if let Err(error) = &call.result {
        if !call.log_tail.trim().is_empty() {
            tracing::warn!(call = %call.id, stderr = %call.log_tail.trim(), "call failed; last lines of the component's stderr");
        }
        return Err(AcceptError { kind: kind(&call, error), message: message(error) });
    }
    call.result.map_err(|error| AcceptError { kind: FailureKind::Internal, message: message(&error) })
}
