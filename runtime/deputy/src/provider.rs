//! A component in the sandbox, as the coordinator calls it.

use std::sync::Arc;

use async_trait::async_trait;
use deputy_coordinator::Provider;
use deputy_core::schedule::{Kind, Lease, Outcome, Work};
use deputy_core::{Asker, Failure, Instance, Refusal, SecretBytes, Tokens};
use deputy_sandbox::{Call, CallError};

use crate::exit::Exit;
use crate::outcome;

/// One instance's component.
pub(crate) struct Sandboxed {
    instance: Instance,
    provider: Arc<deputy_sandbox::Provider>,
    config: String,
}

/// An instance whose component can't be loaded.
pub(crate) struct Unloaded {
    pub(crate) why: String,
}

impl Sandboxed {
    /// `config` is the file that a refusal tells to change.
    pub(crate) fn new(instance: Instance, provider: Arc<deputy_sandbox::Provider>, config: String) -> Self {
        Self { instance, provider, config }
    }

    async fn obtain(&self) -> Outcome {
        let required = self.provider.tokens_required().await;
        match required.result {
            Ok(true) => {}
            Ok(false) => return Outcome::NotRequired,
            Err(_) => return self.failed(&required),
        }
        let call = self.provider.obtain().await;
        self.ended(call)
    }

    fn ended(&self, call: Call<Tokens>) -> Outcome {
        match call.result {
            Ok(tokens) => {
                self.tell(&call.refusals);
                Outcome::Obtained(tokens)
            }
            Err(_) => self.failed(&call),
        }
    }

    fn failed<T>(&self, call: &Call<T>) -> Outcome {
        self.tell(&call.refusals);
        let Err(error) = &call.result else { return Outcome::NotRequired };
        if !call.log_tail.trim().is_empty() {
            tracing::warn!(call = %call.id, stderr = %call.log_tail.trim(), "the component wrote last");
        }
        let message = match outcome::secrets(&call.secret_faults) {
            Some(faults) => format!("{faults}; the component said: {}", message(error)),
            None => message(error),
        };
        Outcome::Failed(kind(call, error), message)
    }

    /// What was refused, with the lines that would allow it.
    fn tell(&self, refusals: &[Refusal]) {
        for refusal in outcome::refusals(refusals, Asker::Instance(&self.instance)) {
            let fix = refusal.fix.as_deref().unwrap_or_default();
            tracing::warn!(code = refusal.code, fix, config = %self.config, "refused: {}", refusal.message);
        }
    }
}

pub(crate) fn kind<T>(call: &Call<T>, error: &CallError) -> Kind {
    if let CallError::Failure(Failure::Throttled { retry_after, .. }) = error {
        return Kind::Throttled(*retry_after);
    }
    match outcome::exit(call) {
        Exit::Broken => Kind::Broken,
        Exit::Denied => Kind::Denied,
        Exit::Misconfigured => Kind::Misconfigured,
        Exit::OverLimit => Kind::OverLimit,
        Exit::Refused => Kind::Refused,
        Exit::Unavailable => Kind::Unavailable,
        Exit::Done | Exit::Failed | Exit::Internal => Kind::Internal,
    }
}

/// What the component said, without the kind, which stands beside it wherever it is shown.
pub(crate) fn message(error: &CallError) -> String {
    match error {
        CallError::Failure(failure) => match failure {
            Failure::Denied(text) | Failure::Misconfigured(text) | Failure::Unavailable(text) => text.clone(),
            Failure::Throttled { message, .. } => message.clone(),
        },
        error => error.to_string(),
    }
}

/// A lease as the component takes it.
fn tokens(lease: &Lease) -> Tokens {
    Tokens { payload: SecretBytes::new(lease.payload.expose().to_vec()), valid_until: Some(lease.valid_until) }
}

fn unable(function: &str) -> Outcome {
    Outcome::Failed(Kind::Misconfigured, format!("the component does not export {function}"))
}

#[async_trait]
impl Provider for Sandboxed {
    async fn call(&self, work: &Work) -> Outcome {
        match work {
            Work::Obtain => self.obtain().await,
            Work::Renew(lease) => match self.provider.renew(&tokens(lease)).await {
                Some(call) => self.ended(call),
                None => unable("renewal"),
            },
            Work::Revoke(lease) => match self.provider.revoke(&tokens(lease)).await {
                Some(call) if call.result.is_ok() => Outcome::Revoked,
                Some(call) => self.failed(&call),
                None => unable("revocation"),
            },
        }
    }
}

#[async_trait]
impl Provider for Unloaded {
    async fn call(&self, _: &Work) -> Outcome {
        Outcome::Failed(Kind::Misconfigured, self.why.clone())
    }
}
