//! A provider in the sandbox, as the coordinator calls it.

use async_trait::async_trait;
use deputy_coordinator::{ConfiguredProvider, LoginFaultStatus, LoginSnapshot};
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{CallOutcome, Lease, ProviderCall};
use deputy_core::{CallFailure, Instance, PolicyDenial, Principal, SecretBytes, TokenExpiry, Tokens};
use deputy_sandbox::{Call, LoadedProvider, MadeRequest, RequiredObtain};
use deputy_traces::{OpenSpan, SpanKind};

use crate::call_failure::{call_failure, log_stderr};

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

    async fn renew(&self, lease: &Lease) -> Option<Call<Tokens>> {
        self.provider.renew(&tokens(lease)?).await
    }

    async fn revoke(&self, lease: &Lease) -> Option<Call<()>> {
        self.provider.revoke(&tokens(lease)?).await
    }

    async fn obtain(&self, span: &OpenSpan) -> CallOutcome {
        match self.provider.obtain_if_required().await {
            RequiredObtain::Called(call) => self.outcome(call, span, CallOutcome::Obtained),
            RequiredObtain::NotRequired(call) => self.outcome(call, span, |_| CallOutcome::NotRequired),
        }
    }

    fn outcome<T>(&self, call: Call<T>, span: &OpenSpan, succeeded: impl FnOnce(T) -> CallOutcome) -> CallOutcome {
        call.requests.iter().for_each(|request| trace_request(span, request));
        self.log_denials(&call);
        if let Some(failure) = call_failure(&call) {
            log_stderr(&call);
            return CallOutcome::Failed(failure);
        }
        match call.result {
            Ok(value) => succeeded(value),
            Err(error) => CallOutcome::Failed(CallFailure::new(FailureKind::Internal, error.to_string())),
        }
    }

    /// Logs what was denied, with the configuration that would permit it. That its state is another's is logged when the
    /// component is loaded.
    fn log_denials<T>(&self, call: &Call<T>) {
        for denial in call.denials.iter().filter(|denial| !matches!(denial, PolicyDenial::StateOfAnother { .. })) {
            let fix = denial.fix(Principal::Instance(&self.instance)).unwrap_or_default();
            tracing::warn!(code = denial.code(), fix, config = %self.config, "denied by policy: {denial}");
        }
    }
}

/// What a component gets of a lease that it obtained. A component's lease has a kind.
fn tokens(lease: &Lease) -> Option<Tokens> {
    Some(Tokens {
        kind: lease.kind.clone()?,
        payload: SecretBytes::new(lease.payload.expose().to_vec()),
        expiry: match lease.stated {
            TokenExpiry::At(_) => TokenExpiry::At(lease.valid_until),
            other => other,
        },
        next_at: lease.next_at,
        renewable_until: lease.renewable_until,
        handle: SecretBytes::new(lease.handle.expose().to_vec()),
        facts: lease.facts.clone(),
    })
}

/// A request of the component, by what the operator's rule says of it.
fn trace_request(parent: &OpenSpan, request: &MadeRequest) {
    let MadeRequest { method, allowed, status, began, ended, failure } = request;
    let span = parent.child(method).kind(SpanKind::Client).since(*began);
    let mut span = span.with("http.request.method", method).with("server.address", allowed.host());
    span.set_number("server.port", u64::from(allowed.port()));
    if let Some(status) = status {
        span.set_number("http.response.status_code", u64::from(*status));
    }
    let is_error = status.is_some_and(|status| status >= 400);
    match failure {
        Some(failure) => span.fail(failure),
        None if is_error => span.fail("status"),
        None => {}
    }
    span.end_at(*ended);
}

fn not_exported(function: &str) -> CallOutcome {
    misconfigured(format!("the component does not export {function}"))
}

fn misconfigured(message: String) -> CallOutcome {
    CallOutcome::Failed(CallFailure::new(FailureKind::Misconfigured, message))
}

#[async_trait]
impl ConfiguredProvider for SandboxedProvider {
    async fn call(&self, call: &ProviderCall, span: &OpenSpan) -> CallOutcome {
        match call {
            ProviderCall::Obtain => self.obtain(span).await,
            ProviderCall::Renew(lease) => match self.renew(lease).await {
                Some(call) => self.outcome(call, span, CallOutcome::Obtained),
                None => not_exported("renewal"),
            },
            ProviderCall::Revoke(lease) => match self.revoke(lease).await {
                Some(call) => self.outcome(call, span, |()| CallOutcome::Revoked),
                None => not_exported("revocation"),
            },
        }
    }

    fn login(&self) -> Option<LoginSnapshot> {
        let plan = &self.instance.grant.kerberos.as_ref()?.login;
        let status = self.provider.login_status()?;
        Some(LoginSnapshot {
            name: plan.name.clone(),
            principal: status.principal,
            expiry: status.expiry,
            last_login: status.last_login,
            fault: status.fault.map(|fault| LoginFaultStatus {
                code: fault.cause.code().to_owned(),
                message: fault.to_string(),
                hint: fault.cause.fix().to_owned(),
            }),
            clock_offset_seconds: status.clock_offset_seconds,
            contexts: status.contexts,
        })
    }
}

#[async_trait]
impl ConfiguredProvider for UnloadedProvider {
    async fn call(&self, _: &ProviderCall, _: &OpenSpan) -> CallOutcome {
        misconfigured(self.error.clone())
    }
}
