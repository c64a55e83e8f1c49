//! A loaded provider, and its calls.
//!
//! Each call gets a store, an instance and an account of its own, and all three are gone when it ends: what a call
//! starts (requests, timers, tasks) belongs to its store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deputy_core::grant::Grant;
use deputy_core::{Failure, Instance, Limit, Refusal, SecretBytes, SecretName, ServiceName, Span, Timestamp, Tokens};
use deputy_observe::{CallId, Outcome, What};
use deputy_sources::SourceError;
use wasmtime::component::InstancePre;
use wasmtime::{Store, UpdateDeadline};

use crate::account::Account;
use crate::bindings::delegation::tokens::types as wit;
use crate::bindings::renews::{RenewsTokens, RenewsTokensPre};
use crate::bindings::revokes::{RevokesTokens, RevokesTokensPre};
use crate::bindings::{Provider as Bound, ProviderPre as BoundPre};
use crate::call::{Call, CallError, classify};
use crate::clock;
use crate::engine::TICK;
use crate::guest_log::GuestLog;
use crate::http::HttpPolicy;
use crate::inspection::{Inspection, Kind};
use crate::limiter::OverLimit;
use crate::redact::Redactor;
use crate::sandbox::{LoadError, Shared};
use crate::secrets::SecretStore;
use crate::state::{Bindings, State};

/// How long the end of what a call has begun is waited for.
const SETTLING: Duration = Duration::from_secs(1);

/// The longest text of a failure that is kept.
const FAILURE_TEXT: usize = 2000;

/// A provider that is loaded, with the grants of one instance.
pub struct Provider {
    shared: Arc<Shared>,
    instance: Instance,
    inspection: Inspection,
    obtains: BoundPre<State>,
    renews: Option<RenewsTokensPre<State>>,
    revokes: Option<RevokesTokensPre<State>>,
    secrets: Arc<SecretStore>,
    /// With the instance's grant, and with none.
    granted: Bindings,
    bare: Bindings,
}

impl Provider {
    pub(crate) fn new(
        shared: Arc<Shared>,
        instance: Instance,
        linked: InstancePre<State>,
        inspection: Inspection,
    ) -> Result<Self, LoadError> {
        let path = || instance.component.clone();
        if inspection.kind != Kind::Provider {
            return Err(LoadError::World { path: path() });
        }
        let other_type = |source| LoadError::Import { path: path(), source };
        let renews = inspection.renews.then(|| RenewsTokensPre::new(linked.clone())).transpose().map_err(other_type)?;
        let revokes =
            inspection.revokes.then(|| RevokesTokensPre::new(linked.clone())).transpose().map_err(other_type)?;
        let obtains = BoundPre::new(linked).map_err(other_type)?;
        let secrets = Arc::new(SecretStore::new(&instance.sources));
        let bind = |instance: &Instance| {
            let http = HttpPolicy::new(instance, Arc::clone(&secrets) as _);
            http.map(|http| Bindings { http, resolver: Arc::clone(&shared.resolver), secrets: Arc::clone(&secrets) })
        };
        let http = |source| LoadError::Http { instance: instance.name.to_string(), source };
        let granted = bind(&instance).map_err(http)?;
        let bare = bind(&Instance { grant: Grant::default(), ..instance.clone() }).map_err(http)?;
        Ok(Self { shared, instance, inspection, obtains, renews, revokes, secrets, granted, bare })
    }

    /// What the component is.
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// Reads every secret of the instance once, and says which are not to be had.
    pub async fn check_secrets(&self) -> Vec<(SecretName, Result<(), SourceError>)> {
        self.secrets.check().await
    }

    /// Asks for the service's name, without any grant.
    pub async fn service_name(&self) -> Call<ServiceName> {
        let call = self.call("service-name", &self.bare, async |store| {
            let provider = self.obtains.instantiate_async(&mut *store).await?;
            provider.delegation_tokens_provider().call_service_name(store).await.map(Ok)
        });
        let parse =
            |name: String, _: &Redactor| name.parse::<ServiceName>().map_err(|e| CallError::Invalid(e.to_string()));
        call.await.and_then(parse)
    }

    /// Asks whether the instance needs tokens, without any grant.
    pub async fn tokens_required(&self) -> Call<bool> {
        let call = self.call("tokens-required", &self.bare, async |store| {
            let provider = self.obtains.instantiate_async(&mut *store).await?;
            provider.delegation_tokens_provider().call_tokens_required(store, &self.settings()).await
        });
        call.await.and_then(|required, _| Ok(required))
    }

    /// Obtains tokens.
    pub async fn obtain(&self) -> Call<Tokens> {
        let call = self.call("obtain", &self.granted, async |store| {
            let provider: Bound = self.obtains.instantiate_async(&mut *store).await?;
            provider.delegation_tokens_provider().call_obtain(store, &self.settings()).await
        });
        call.await.and_then(|tokens, _| self.tokens(tokens))
    }

    /// Prolongs tokens; `None` if the component can't.
    pub async fn renew(&self, tokens: &Tokens) -> Option<Call<Tokens>> {
        let renews = self.renews.as_ref()?;
        let call = self.call("renew", &self.granted, async |store| {
            let provider: RenewsTokens = renews.instantiate_async(&mut *store).await?;
            provider.delegation_tokens_renewal().call_renew(store, &self.settings(), &shown(tokens)).await
        });
        Some(call.await.and_then(|tokens, _| self.tokens(tokens)))
    }

    /// Makes the service refuse tokens; `None` if the component can't.
    pub async fn revoke(&self, tokens: &Tokens) -> Option<Call<()>> {
        let revokes = self.revokes.as_ref()?;
        let call = self.call("revoke", &self.granted, async |store| {
            let provider: RevokesTokens = revokes.instantiate_async(&mut *store).await?;
            provider.delegation_tokens_revocation().call_revoke(store, &self.settings(), &shown(tokens)).await
        });
        Some(call.await.and_then(|(), _| Ok(())))
    }

    /// One call: a free slot, a fresh store, the limits around it, and its end told apart.
    async fn call<T>(
        &self,
        function: &'static str,
        bindings: &Bindings,
        run: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<Result<T, wit::Failure>>,
    ) -> Ended<T> {
        // The semaphore is never closed, and a call without a slot would only be one too many for the pool.
        let slot = self.shared.slots.acquire().await;
        let begun = clock::monotonic();
        let limits = &self.instance.limits;
        let id = CallId(self.shared.calls.fetch_add(1, Ordering::Relaxed));
        let account =
            Arc::new(Account::new(self.instance.name.clone(), id, limits.clone(), Arc::clone(&self.shared.audit)));
        let redactor = Arc::new(Redactor::new(self.secrets.known()));
        account.blank_with(Arc::clone(&redactor));
        let log = GuestLog::new(Arc::clone(&account), id, Arc::clone(&redactor));
        let mut store = self.store(State::new(bindings, &account, &log, &redactor));
        let ticking = self.shared.ticker.tick();
        let answer = tokio::time::timeout(limits.wall.duration(), run(&mut store)).await;
        drop(ticking);
        drop(store); // ends what the call has begun, so that its audit events come before the call's own
        // Nothing that is aborted takes longer than its thread takes to get to it.
        drop(tokio::time::timeout(SETTLING, account.settle()).await);
        drop(slot);

        let result = match answer {
            Err(_) => Err(CallError::Limit(Limit::Wall)),
            Ok(Err(error)) => Err(classify(&error)),
            Ok(Ok(Err(failure))) => Err(CallError::Failure(told(failure, &redactor))),
            Ok(Ok(Ok(value))) => Ok(value),
        };
        if let Err(CallError::Limit(limit)) = &result {
            account.refuse(Refusal::Limit(*limit));
        }
        log.finish();
        Ended { id, account, begun, function, log, redactor, result }
    }

    fn store(&self, state: State) -> Store<State> {
        let limits = &self.instance.limits;
        let mut store = Store::new(self.obtains.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_max_component_handles(limits.handles as usize);
        store.set_hostcall_fuel(limits.argument.as_usize().max(limits.payload.as_usize()).saturating_add(4096));
        // Each tick that finds the component computing takes one grain of its time, and gives way to other calls.
        let mut left = limits.cpu.duration().as_millis() / TICK.as_millis();
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| match left.checked_sub(1) {
            Some(rest) => {
                left = rest;
                Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
            }
            None => Err(OverLimit(Limit::Cpu).into()),
        });
        store
    }

    fn settings(&self) -> Vec<wit::Setting> {
        let setting = |(name, value): (&String, &String)| wit::Setting { name: name.clone(), value: value.clone() };
        self.instance.settings.iter().map(setting).collect()
    }

    fn tokens(&self, tokens: wit::Tokens) -> Result<Tokens, CallError> {
        let payload = SecretBytes::new(tokens.payload);
        if payload.len() > self.instance.limits.payload.as_usize() {
            return Err(CallError::Limit(Limit::Payload));
        }
        Ok(Tokens { payload, valid_until: tokens.valid_until.map(Timestamp::from_millis) })
    }
}

/// A call that the component has ended and the host has not yet judged.
struct Ended<T> {
    id: CallId,
    account: Arc<Account>,
    begun: tokio::time::Instant,
    function: &'static str,
    log: GuestLog,
    redactor: Arc<Redactor>,
    result: Result<T, CallError>,
}

impl<T> Ended<T> {
    /// Judges the answer, and writes the call's audit event.
    fn and_then<U>(self, judge: impl FnOnce(T, &Redactor) -> Result<U, CallError>) -> Call<U> {
        let result = self.result.and_then(|value| judge(value, &self.redactor));
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (outcome, code) = match &result {
            Ok(_) => (Outcome::Done, None),
            Err(CallError::Limit(limit)) => {
                self.account.refuse(Refusal::Limit(*limit));
                (Outcome::Refused, Some(format!("over-limit:{limit}")))
            }
            Err(error) => (Outcome::Failed, Some(word(error).to_owned())),
        };
        self.account.close(What::Call { function: self.function, millis }, outcome, code.as_deref());
        Call {
            id: self.id,
            result,
            refusals: self.account.refusals(),
            usage: self.account.usage(),
            log_tail: self.log.tail(),
        }
    }
}

fn word(error: &CallError) -> &'static str {
    match error {
        CallError::Failure(Failure::Denied(_)) => "denied",
        CallError::Failure(Failure::Misconfigured(_)) => "misconfigured",
        CallError::Failure(Failure::Throttled { .. }) => "throttled",
        CallError::Failure(Failure::Unavailable(_)) => "unavailable",
        CallError::Internal(_) => "internal",
        CallError::Invalid(_) => "invalid-answer",
        CallError::Limit(_) => "over-limit",
        CallError::Trap { .. } => "trap",
    }
}

/// A component's failure, bounded, in one line, and without the values of secrets.
fn told(failure: wit::Failure, redactor: &Redactor) -> Failure {
    let clean = |text: String| redactor.clean(&text, FAILURE_TEXT);
    match failure {
        wit::Failure::Denied(text) => Failure::Denied(clean(text)),
        wit::Failure::Misconfigured(text) => Failure::Misconfigured(clean(text)),
        wit::Failure::Throttled(throttle) => {
            Failure::Throttled { message: clean(throttle.message), retry_after: Span::millis(throttle.retry_after_ms) }
        }
        wit::Failure::Unavailable(text) => Failure::Unavailable(clean(text)),
    }
}

fn shown(tokens: &Tokens) -> wit::Tokens {
    let valid_until = tokens.valid_until.map(Timestamp::as_millis);
    wit::Tokens { payload: tokens.payload.expose().to_vec(), valid_until }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls run as tasks beside each other.
    #[test]
    fn a_call_can_move_between_threads() {
        fn movable<F: Future + Send>(_: impl FnOnce(&'static Provider) -> F) {}
        movable(Provider::service_name);
        movable(Provider::tokens_required);
        movable(Provider::obtain);
        movable(|provider| async { provider.renew(&tokens()).await });
        movable(|provider| async { provider.revoke(&tokens()).await });
    }

    fn tokens() -> Tokens {
        Tokens { payload: SecretBytes::new(Vec::new()), valid_until: None }
    }
}
