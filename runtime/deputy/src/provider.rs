//! A component in the sandbox, as the coordinator calls it.

use std::sync::Arc;

use async_trait::async_trait;
use deputy_coordinator::Provider;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{CallOutcome, Lease, ProviderCall};
use deputy_core::{Instance, PolicyDenial, Principal, ProviderFailure, SecretBytes, Tokens};
use deputy_sandbox::{Call, CallError};

use crate::call_report;
use crate::exit::Exit;

/// One instance's component.
pub(crate) struct SandboxedProvider {
    instance: Instance,
    provider: Arc<deputy_sandbox::LoadedProvider>,
    config: String,
}

/// An instance whose component can't be loaded.
pub(crate) struct UnloadedProvider {
    pub(crate) why: String,
}

impl SandboxedProvider {
    /// `config` is the file that a refusal tells to change.
    pub(crate) fn new(instance: Instance, provider: Arc<deputy_sandbox::LoadedProvider>, config: String) -> Self {
        Self { instance, provider, config }
    }

    async fn obtain(&self) -> CallOutcome {
        let required = self.provider.tokens_required().await;
        match required.result {
            Ok(true) => {}
            Ok(false) => return CallOutcome::NotRequired,
            Err(_) => return self.failed(&required),
        }
        let call = self.provider.obtain().await;
        self.ended(call)
    }

    fn ended(&self, call: Call<Tokens>) -> CallOutcome {
        match call.result {
            Ok(tokens) => {
                self.tell(&call.denials);
                CallOutcome::Obtained(tokens)
            }
            Err(_) => self.failed(&call),
        }
    }

    fn failed<T>(&self, call: &Call<T>) -> CallOutcome {
        self.tell(&call.denials);
        let Err(error) = &call.result else { return CallOutcome::NotRequired };
        if !call.log_tail.trim().is_empty() {
            tracing::warn!(call = %call.id, stderr = %call.log_tail.trim(), "call failed; last lines of the component's stderr");
        }
        let message = match call_report::secrets(&call.secret_faults) {
            Some(faults) => format!("{faults}; the component said: {}", message(error)),
            None => message(error),
        };
        CallOutcome::Failed(kind(call, error), message)
    }

    /// What was refused, with the lines that would allow it.
    fn tell(&self, refusals: &[PolicyDenial]) {
        for refusal in call_report::refusals(refusals, Principal::Instance(&self.instance)) {
            let fix = refusal.fix.as_deref().unwrap_or_default();
            tracing::warn!(code = refusal.code, fix, config = %self.config, "denied by policy: {}", refusal.message);
        }
    }
}

pub(crate) fn kind<T>(call: &Call<T>, error: &CallError) -> FailureKind {
    if let CallError::Failure(ProviderFailure::Throttled { retry_after, .. }) = error {
        return FailureKind::Throttled(*retry_after);
    }
    match call_report::exit(call) {
        Exit::Broken => FailureKind::Broken,
        Exit::Denied => FailureKind::Denied,
        Exit::Misconfigured => FailureKind::Misconfigured,
        Exit::OverLimit => FailureKind::OverLimit,
        Exit::Refused => FailureKind::Refused,
        Exit::Unavailable => FailureKind::Unavailable,
        Exit::Done | Exit::Failed | Exit::Internal => FailureKind::Internal,
    }
}

/// What the component said, without the kind, which stands beside it wherever it is shown.
pub(crate) fn message(error: &CallError) -> String {
    match error {
        CallError::Failure(failure) => match failure {
            ProviderFailure::Denied(text)
            | ProviderFailure::Misconfigured(text)
            | ProviderFailure::Unavailable(text) => text.clone(),
            ProviderFailure::Throttled { message, .. } => message.clone(),
        },
        error => error.to_string(),
    }
}

/// A lease as the component takes it.
fn tokens(lease: &Lease) -> Tokens {
    Tokens { payload: SecretBytes::new(lease.payload.expose().to_vec()), valid_until: Some(lease.valid_until) }
}

fn unable(function: &str) -> CallOutcome {
    CallOutcome::Failed(FailureKind::Misconfigured, format!("the component does not export {function}"))
}

#[async_trait]
impl Provider for SandboxedProvider {
    async fn call(&self, work: &ProviderCall) -> CallOutcome {
        match work {
            ProviderCall::Obtain => self.obtain().await,
            ProviderCall::Renew(lease) => match self.provider.renew(&tokens(lease)).await {
                Some(call) => self.ended(call),
                None => unable("renewal"),
            },
            ProviderCall::Revoke(lease) => match self.provider.revoke(&tokens(lease)).await {
                Some(call) if call.result.is_ok() => CallOutcome::Revoked,
                Some(call) => self.failed(&call),
                None => unable("revocation"),
            },
        }
    }
}

#[async_trait]
impl Provider for UnloadedProvider {
    async fn call(&self, _: &ProviderCall) -> CallOutcome {
        CallOutcome::Failed(FailureKind::Misconfigured, self.why.clone())
    }
}
