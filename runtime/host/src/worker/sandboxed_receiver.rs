//! Receivers in the sandbox, as the worker calls them.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use deputy_config::{ReceiverComponent, WorkerConfig};
use deputy_core::failure::FailureKind;
use deputy_core::{
    Accepted, Delivery, Digest, Fact, HOST_FACT_PREFIX, Kinds, Limits, PolicyDenial, Principal, ReceiverName,
    ReceiverPlan, in_one_line,
};
use deputy_link::ReceiverBinding;
use deputy_link::client::Link;
use deputy_sandbox::{Call, CallError, LoadedReceiver, Sandbox};
use deputy_worker::components::ComponentStore;
use deputy_worker::{AcceptError, FailureOrigin, Receiver, ReceiverLoader, ReceiverPolicies};

use crate::call_failure::{call_failure, log_stderr};

/// Loads receivers: those of the worker's configuration from their files, the coordinator's by their digest.
pub(crate) struct SandboxedReceivers {
    sandbox: Sandbox,
    /// Where the coordinator's components come from. `None` without a link: there are none.
    fetched: Option<(ComponentStore, Link)>,
    /// This worker's, for all receivers.
    host_facts: Vec<Fact>,
    configured: BTreeMap<ReceiverName, ReceiverComponent>,
    policies: Arc<ReceiverPolicies>,
}

/// What receivers learn of the worker that runs them.
pub(crate) struct WorkerNames<'a> {
    pub(crate) worker: &'a str,
    pub(crate) group: &'a str,
}

struct SandboxedReceiver {
    name: ReceiverName,
    limits: Limits,
    receiver: LoadedReceiver,
    kinds: Kinds,
}

impl SandboxedReceivers {
    pub(crate) fn new(
        sandbox: Sandbox,
        fetched: Option<(ComponentStore, Link)>,
        names: WorkerNames<'_>,
        config: &WorkerConfig,
        policies: Arc<ReceiverPolicies>,
    ) -> Self {
        let configured = config.receivers.iter();
        let configured = configured.filter_map(|(name, receiver)| Some((name.clone(), receiver.component()?.clone())));
        let host_facts = vec![host_fact("worker", names.worker), host_fact("group", names.group)];
        Self { sandbox, fetched, host_facts, configured: configured.collect(), policies }
    }

    /// The file of the component with this digest, which the coordinator sends if it is not there.
    async fn fetch(&self, digest: Digest) -> Result<PathBuf, AcceptError> {
        let Some((components, link)) = &self.fetched else {
            return Err(AcceptError::host(FailureKind::Misconfigured, "this receiver has no component"));
        };
        if components.load(digest).await.map_err(|error| unavailable(&error))?.is_none() {
            tracing::info!(%digest, "fetching the receiver's component");
            let bytes = link.fetch(digest).await.map_err(|error| unavailable(&error))?;
            components.keep(digest, bytes.to_vec()).await.map_err(|error| unavailable(&error))?;
        }
        Ok(components.path(digest))
    }

    /// The host's facts in each delivery to a receiver. Where its files appear is one, since some files name others.
    fn facts_of(&self, name: &ReceiverName) -> Vec<Fact> {
        let directory = self.policies.policy(name).directory.join(name.as_str());
        // Without a directory of its own, a process has no absolute paths.
        let directory = std::path::absolute(&directory).unwrap_or(directory);
        let own = [host_fact("receiver", name.as_str()), host_fact("directory", &directory.to_string_lossy())];
        self.host_facts.iter().cloned().chain(own).collect()
    }
}

fn host_fact(name: &str, value: &str) -> Fact {
    Fact { name: format!("{HOST_FACT_PREFIX}{name}"), value: value.to_owned() }
}

fn unavailable(error: &(dyn Error + 'static)) -> AcceptError {
    AcceptError::host(FailureKind::Unavailable, in_one_line(error))
}

#[async_trait]
impl ReceiverLoader for SandboxedReceivers {
    async fn load(&self, name: &ReceiverName, binding: &ReceiverBinding) -> Result<Arc<dyn Receiver>, AcceptError> {
        let (component, sha256) = match self.configured.get(name) {
            // The configured digest, or else that of the start: a file that was replaced takes effect at the next start.
            Some(configured) => (configured.component.clone(), configured.sha256.or(Some(binding.component))),
            None => (self.fetch(binding.component).await?.into(), Some(binding.component)),
        };
        let plan = ReceiverPlan {
            name: name.clone(),
            component,
            sha256,
            settings: binding.settings.clone(),
            limits: Limits::default().with(&binding.limits),
            host_facts: self.facts_of(name),
        };
        let receiver = self
            .sandbox
            .load_receiver(&plan)
            .await
            .map_err(|error| AcceptError::host(FailureKind::Misconfigured, in_one_line(&error)))?;
        let kinds = result(receiver.kinds().await, &plan.name, &plan.limits)?;
        // The receiver that this one replaces is still in use, and pruned the next time.
        let removed = self.sandbox.prune().await;
        if removed > 0 {
            tracing::info!(files = removed, "removed unused compiled components");
        }
        Ok(Arc::new(SandboxedReceiver { name: plan.name, limits: plan.limits, receiver, kinds }))
    }
}

#[async_trait]
impl Receiver for SandboxedReceiver {
    fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    async fn accept(&self, deliveries: &[Delivery]) -> Result<Accepted, AcceptError> {
        result(self.receiver.accept(deliveries).await, &self.name, &self.limits)
    }
}

fn result<T>(call: Call<T>, name: &ReceiverName, limits: &Limits) -> Result<T, AcceptError> {
    for denial in &call.denials {
        let fix = denial.fix(Principal::Receiver(name, limits)).unwrap_or_default();
        tracing::warn!(receiver = %name, call = %call.id, code = denial.code(), fix, "denied by policy: {denial}");
    }
    if let Some(failure) = call_failure(&call) {
        log_stderr(&call);
        return Err(AcceptError { failure, origin: origin(&call) });
    }
    call.result.map_err(|error| AcceptError::host(FailureKind::Internal, error.to_string()))
}

/// A component that returned a failure has understood its inputs, and would fail again with the same. One that met a limit
/// before may have been slowed down by others.
fn origin<T>(call: &Call<T>) -> FailureOrigin {
    let is_over_limit = call.denials.iter().any(|denial| matches!(denial, PolicyDenial::Limit(_)));
    match &call.result {
        Err(CallError::Failure(_)) if !is_over_limit => FailureOrigin::Component,
        _ => FailureOrigin::Host,
    }
}
