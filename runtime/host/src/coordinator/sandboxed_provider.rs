//! A provider in the sandbox, as the coordinator calls it.

use async_trait::async_trait;
use deputy_coordinator::ConfiguredProvider;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{CallOutcome, Lease, ProviderCall};
use deputy_core::{Instance, Principal, SecretBytes, Tokens};
use deputy_sandbox::{Call, LoadedProvider};

use crate::call_failure::{failure_kind, failure_message, log_stderr, secret_fault_text};

pub(crate) struct SandboxedProvider {
    instance: Instance,
    provider: LoadedProvider,
    /// The configuration that a denial names.
    config: String,
}

/// An instance whose component cannot be loaded.
pub(crate) struct UnloadedProvider {
    pub(crate) error: String,
}

impl SandboxedProvider {
    pub(crate) fn new(instance: Instance, provider: LoadedProvider, config: String) -> Self {
        Self { instance, provider, config }
    }

    async fn obtain(&self) -> CallOutcome {
        let required = self.provider.tokens_required().await;
        match required.result {
            Ok(true) => self.outcome(self.provider.obtain().await, CallOutcome::Obtained),
            Ok(false) => CallOutcome::NotRequired,
            Err(_) => self.outcome(required, |_| CallOutcome::NotRequired),
        }
    }

    fn outcome<T>(&self, call: Call<T>, succeeded: impl FnOnce(T) -> CallOutcome) -> CallOutcome {
        self.log_denials(&call);
        let kind = failure_kind(&call);
        if kind.is_some() {
            log_stderr(&call);
        }
        match call.result {
            Ok(value) => succeeded(value),
            Err(error) => {
                let message = failure_message(&error);
                let message = match secret_fault_text(&call.secret_faults) {
                    Some(faults) => format!("{faults}; the component said: {message}"),
                    None => message,
                };
                CallOutcome::Failed(kind.unwrap_or(FailureKind::Internal), message)
            }
        }
    }

    /// Logs what was denied, with the configuration that would permit it.
    fn log_denials<T>(&self, call: &Call<T>) {
        for denial in &call.denials {
            let fix = denial.fix(Principal::Instance(&self.instance)).unwrap_or_default();
            tracing::warn!(code = denial.code(), fix, config = %self.config, "denied by policy: {denial}");
        }
    }
}

fn tokens(lease: &Lease) -> Tokens {
    Tokens { payload: SecretBytes::new(lease.payload.expose().to_vec()), valid_until: Some(lease.valid_until) }
}

fn not_exported(function: &str) -> CallOutcome {
    CallOutcome::Failed(FailureKind::Misconfigured, format!("the component does not export {function}"))
}

#[async_trait]
impl ConfiguredProvider for SandboxedProvider {
    async fn call(&self, call: &ProviderCall) -> CallOutcome {
        match call {
            ProviderCall::Obtain => self.obtain().await,
            ProviderCall::Renew(lease) => match self.provider.renew(&tokens(lease)).await {
                Some(call) => self.outcome(call, CallOutcome::Obtained),
                None => not_exported("renewal"),
            },
            ProviderCall::Revoke(lease) => match self.provider.revoke(&tokens(lease)).await {
                Some(call) => self.outcome(call, |()| CallOutcome::Revoked),
                None => not_exported("revocation"),
            },
        }
    }
}

#[async_trait]
impl ConfiguredProvider for UnloadedProvider {
    async fn call(&self, _: &ProviderCall) -> CallOutcome {
        CallOutcome::Failed(FailureKind::Misconfigured, self.error.clone())
    }
}
