//! A loaded provider and its calls.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use deputy_audit::AuditSubject;
use deputy_core::{
    Instance, Kinds, Limit, PayloadKind, SecretBytes, SecretName, ServiceName, Span, Timestamp, TokenExpiry, Tokens,
    in_one_line, is_secret_setting,
};
use deputy_kerberos::LoginStatus;
use futures::FutureExt;
use futures::future::BoxFuture;
use wasmtime::Store;
use wasmtime::component::{Component, InstancePre};

use crate::answer::{GuestAnswer, teach};
use crate::bindings::delegation::tokens::types as wit;
use crate::bindings::renews::{RenewsTokens, RenewsTokensPre};
use crate::bindings::revokes::{RevokesTokens, RevokesTokensPre};
use crate::bindings::{Provider, ProviderPre};
use crate::call::{Call, CallError};
use crate::call_context::{CallState, InstanceContext};
use crate::component_info::{ComponentInfo, ComponentKind};
use crate::http::HttpPolicy;
use crate::invoke::Invoker;
use crate::load_error::LoadError;
use crate::loaded_component::LoadedComponent;
use crate::network::lookup_slots;
use crate::open_call::CalledFunction;
use crate::outputs::OutputMode;
use crate::raw_outcome::{AnsweredCall, RawOutcome, convert_facts};
use crate::redact::Redactor;
use crate::secret_fault::SecretFault;
use crate::secrets::SecretStore;
use crate::shared::SandboxShared;
use crate::sockets::TcpPolicy;
use crate::state::StateSource;
use crate::state_store::StateStore;
use crate::wiped::WipeOnDrop;

/// A provider with the grant of one instance.
pub struct LoadedProvider {
    invoker: Invoker,
    info: ComponentInfo,
    /// Keeps it in the cache's memory.
    _component: Arc<Component>,
    exports: Exports,
    secrets: Arc<SecretStore>,
    /// The kinds of payload that it announced: a payload of another kind is refused.
    announced: OnceLock<BTreeSet<PayloadKind>>,
    /// The values of settings whose names say that they are secrets.
    secret_settings: Vec<(String, Arc<SecretBytes>)>,
    /// For calls with the instance's grant.
    granted: InstanceContext,
    /// For calls without any grant.
    ungranted: InstanceContext,
}

/// The last call of [`LoadedProvider::obtain_if_required`].
pub enum RequiredObtain {
    Called(Call<Tokens>),
    /// `tokens-required` failed, or no tokens are required.
    NotRequired(Call<bool>),
}

/// The component's exports, ready to be instantiated.
struct Exports {
    obtains: ProviderPre<CallState>,
    renews: Option<RenewsTokensPre<CallState>>,
    revokes: Option<RevokesTokensPre<CallState>>,
}

impl Exports {
    fn new(linked: InstancePre<CallState>, info: &ComponentInfo) -> wasmtime::Result<Self> {
        Ok(Self {
            renews: info.renews.then(|| RenewsTokensPre::new(linked.clone())).transpose()?,
            revokes: info.revokes.then(|| RevokesTokensPre::new(linked.clone())).transpose()?,
            obtains: ProviderPre::new(linked)?,
        })
    }
}

impl LoadedProvider {
    pub(crate) fn new(
        shared: Arc<SandboxShared>,
        instance: Instance,
        linked: InstancePre<CallState>,
        LoadedComponent { component, info }: LoadedComponent,
    ) -> Result<Self, LoadError> {
        if info.kind != ComponentKind::Provider {
            return Err(LoadError::Kind { path: info.path, expected: ComponentKind::Provider });
        }
        let exports =
            Exports::new(linked, &info).map_err(|source| LoadError::Import { path: info.path.clone(), source })?;
        let secrets = Arc::new(SecretStore::new(&instance.sources));
        let login = instance.grant.kerberos.as_ref().map(|grant| shared.logins.of(&grant.login));
        let http = HttpPolicy::new(&instance, Arc::clone(&secrets) as _)
            .map_err(|source| LoadError::Http { instance: instance.name.to_string(), source })?
            .with_login(login.clone());
        let tcp = TcpPolicy::new(&instance, Arc::clone(&secrets) as _)
            .map_err(|source| LoadError::Tcp { instance: instance.name.to_string(), source })?;
        let granted = InstanceContext {
            grant: Arc::new(instance.grant.clone()),
            http,
            tcp,
            login,
            lookups: lookup_slots(),
            outputs: OutputMode::Denied,
            resolver: Arc::clone(&shared.resolver),
            secrets: Arc::clone(&secrets),
            state: match instance.grant.state {
                Some(_) => StateSource::Nowhere,
                None => StateSource::Denied,
            },
            world: shared.world.clone(),
        };
        let ungranted = InstanceContext::ungranted(&shared, &secrets, OutputMode::Denied);
        let secret_settings = secret_settings(&instance);
        let invoker = Invoker::new(shared, AuditSubject::Instance(instance.name), &instance.settings, instance.limits);
        Ok(Self {
            invoker,
            info,
            _component: component,
            exports,
            secrets,
            announced: OnceLock::new(),
            secret_settings,
            granted,
            ungranted,
        })
    }

    /// Keeps the instance's state there, if it is granted; otherwise it is kept nowhere, and not available.
    #[must_use]
    pub fn with_state(mut self, store: Arc<dyn StateStore>) -> Self {
        if !matches!(self.granted.state, StateSource::Denied) {
            self.granted.state = StateSource::Store(store);
        }
        self
    }

    /// How its Kerberos login is doing, if it has one.
    pub fn login_status(&self) -> Option<LoginStatus> {
        self.granted.login.as_ref().map(|login| login.status())
    }

    /// The component's kind, digest, size and imports.
    pub fn info(&self) -> &ComponentInfo {
        &self.info
    }

    /// Reads every secret of the instance once, and checks that its value fits its use.
    pub async fn check_secrets(&self) -> Vec<(SecretName, Result<(), SecretFault>)> {
        let mut results = Vec::new();
        for (name, value) in self.secrets.check().await {
            let result = match value {
                Ok(value) => self.check_secret(&name, &value).map_err(SecretFault::Value),
                Err(error) => Err(SecretFault::Source(in_one_line(&error))),
            };
            results.push((name, result));
        }
        results
    }

    fn check_secret(&self, name: &SecretName, value: &Arc<SecretBytes>) -> Result<(), String> {
        self.granted.http.check_secret(&self.granted.grant, name, value)?;
        self.granted.tcp.check_secret(name, value).map_err(|error| error.to_string())
    }

    /// Asks for the service's name, without any grant.
    pub async fn service_name(&self) -> Call<ServiceName> {
        let obtains = self.exports.obtains.clone();
        let settings = self.invoker.settings();
        let call = self.call("service-name", &self.ungranted, None, move |store| {
            async move {
                let provider = obtains.instantiate_async(&mut *store).await?;
                provider.delegation_tokens_provider().call_service_name(store, &settings).await
            }
            .boxed()
        });
        call.await.finish(|name: String, _| name.parse().map_err(invalid)).await
    }

    /// Asks for the kinds of payload that it can obtain, without any grant.
    pub async fn kinds(&self) -> Call<BTreeSet<PayloadKind>> {
        let obtains = self.exports.obtains.clone();
        let settings = self.invoker.settings();
        let call = self.call("kinds", &self.ungranted, None, move |store| {
            async move {
                let provider = obtains.instantiate_async(&mut *store).await?;
                provider.delegation_tokens_provider().call_kinds(store, &settings).await
            }
            .boxed()
        });
        let parse = |kinds: Vec<String>, _: AnsweredCall<'_>| {
            Kinds::parse_provider(kinds.iter().map(String::as_str)).map_err(invalid)
        };
        let call = call.await.finish(parse).await;
        if let Ok(kinds) = &call.result {
            self.announce(kinds.clone());
        }
        call
    }

    /// Takes the kinds that another load of this component announced for these settings.
    pub fn announce(&self, kinds: BTreeSet<PayloadKind>) {
        self.announced.set(kinds).ok();
    }

    /// Asks whether the instance needs tokens, without any grant.
    pub async fn tokens_required(&self) -> Call<bool> {
        let obtains = self.exports.obtains.clone();
        let settings = self.invoker.settings();
        let call = self.call("tokens-required", &self.ungranted, None, move |store| {
            async move {
                let provider = obtains.instantiate_async(&mut *store).await?;
                provider.delegation_tokens_provider().call_tokens_required(store, &settings).await
            }
            .boxed()
        });
        call.await.finish(|required, _| Ok(required)).await
    }

    /// Obtains tokens. Asks for their kinds first, if they are not known.
    pub async fn obtain(&self) -> Call<Tokens> {
        if self.announced.get().is_none()
            && let Some(failed) = self.kinds().await.failed()
        {
            return failed;
        }
        let obtains = self.exports.obtains.clone();
        let settings = self.invoker.settings();
        let call = self.call("obtain", &self.granted, None, move |store| {
            async move {
                let provider: Provider = obtains.instantiate_async(&mut *store).await?;
                provider.delegation_tokens_provider().call_obtain(store, &settings).await
            }
            .boxed()
        });
        call.await.finish(|tokens, answered| self.tokens(tokens, answered)).await
    }

    /// Obtains tokens if the instance needs some: the call of a schedule, and of `deputy obtain`.
    pub async fn obtain_if_required(&self) -> RequiredObtain {
        let required = self.tokens_required().await;
        match required.result {
            Ok(true) => RequiredObtain::Called(self.obtain().await),
            Ok(false) | Err(_) => RequiredObtain::NotRequired(required),
        }
    }

    /// Renews tokens; `None` if the component does not export `renewal`.
    pub async fn renew(&self, tokens: &Tokens) -> Option<Call<Tokens>> {
        let renews = self.exports.renews.clone()?;
        let settings = self.invoker.settings();
        let payload = WipeOnDrop::tokens(tokens);
        let call = self.call("renew", &self.granted, Some(tokens), move |store| {
            async move {
                let provider: RenewsTokens = renews.instantiate_async(&mut *store).await?;
                provider.delegation_tokens_renewal().call_renew(store, &settings, &payload).await
            }
            .boxed()
        });
        Some(call.await.finish(|tokens, answered| self.tokens(tokens, answered)).await)
    }

    /// Revokes tokens; `None` if the component does not export `revocation`.
    pub async fn revoke(&self, tokens: &Tokens) -> Option<Call<()>> {
        let revokes = self.exports.revokes.clone()?;
        let settings = self.invoker.settings();
        let payload = WipeOnDrop::tokens(tokens);
        let call = self.call("revoke", &self.granted, Some(tokens), move |store| {
            async move {
                let provider: RevokesTokens = revokes.instantiate_async(&mut *store).await?;
                provider.delegation_tokens_revocation().call_revoke(store, &settings, &payload).await
            }
            .boxed()
        });
        Some(call.await.finish(|(), _| Ok(())).await)
    }

    async fn call<T: GuestAnswer + Send + 'static>(
        &self,
        function: &'static str,
        context: &InstanceContext,
        passed: Option<&Tokens>,
        run: impl for<'a> FnOnce(&'a mut Store<CallState>) -> BoxFuture<'a, wasmtime::Result<Result<T, wit::Failure>>>
        + Send
        + 'static,
    ) -> RawOutcome<T> {
        let redactor = Redactor::new(self.secrets.cached());
        for (name, value) in &self.secret_settings {
            redactor.learn(name, value);
        }
        if let Some(tokens) = passed {
            // The component knows the payload and the handle: its log and its failures must not show them.
            teach(&redactor, "payload", tokens.payload.expose());
            teach(&redactor, "handle", tokens.handle.expose());
        }
        self.invoker.call(CalledFunction::Named(function), context, redactor, Box::new(run)).await
    }

    fn tokens(&self, tokens: wit::Tokens, answered: AnsweredCall<'_>) -> Result<Tokens, CallError> {
        let AnsweredCall { redactor, began } = answered;
        let payload = SecretBytes::new(tokens.payload);
        let handle = SecretBytes::new(tokens.handle);
        if payload.is_empty() {
            return Err(invalid("the payload is empty: no worker could do anything with it"));
        }
        if payload.len().saturating_add(handle.len()) > self.invoker.limits().payload.as_usize() {
            return Err(CallError::Limit(Limit::Payload));
        }
        let kind: PayloadKind = tokens.kind.parse().map_err(invalid)?;
        if let Some(announced) = self.announced.get().filter(|announced| !announced.contains(&kind)) {
            let announced: Vec<&str> = announced.iter().map(PayloadKind::as_str).collect();
            return Err(invalid(format!("a payload of kind {kind}, and `kinds` named {}", announced.join(", "))));
        }
        Ok(Tokens {
            kind,
            payload,
            expiry: convert_expiry(tokens.expiry, began)?,
            next_at: tokens.next_at.map(Timestamp::from_millis),
            renewable_until: tokens.renewable_until.map(Timestamp::from_millis),
            handle,
            facts: convert_facts(tokens.facts, redactor),
        })
    }
}

fn convert_expiry(expiry: wit::Expiry, began: Timestamp) -> Result<TokenExpiry, CallError> {
    match expiry {
        wit::Expiry::Unknown => Ok(TokenExpiry::Unknown),
        wit::Expiry::Never => Ok(TokenExpiry::Never),
        wit::Expiry::At(at) => Ok(TokenExpiry::At(Timestamp::from_millis(at))),
        wit::Expiry::AfterMs(0) => Err(invalid("the expiry is 0 ms after the call began")),
        wit::Expiry::AfterMs(after) => Ok(TokenExpiry::At(began.plus(Span::millis(after)))),
    }
}

/// The name of a secret of the instance is no secret.
fn secret_settings(instance: &Instance) -> Vec<(String, Arc<SecretBytes>)> {
    let is_name = |value: &str| instance.sources.keys().any(|secret| secret.as_str() == value);
    let settings = instance.settings.iter().filter(|(name, value)| is_secret_setting(name) && !is_name(value));
    settings.map(|(name, value)| (name.clone(), Arc::new(SecretBytes::new(value.clone().into_bytes())))).collect()
}

fn invalid(error: impl std::fmt::Display) -> CallError {
    CallError::Invalid(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_settings_that_are_secret_exclude_names_of_secrets() {
        let mut instance = crate::testing::instance(Vec::new(), deputy_core::Limits::default());
        for (name, value) in [("secret", "aws-key"), ("db-password", "hunter2"), ("region", "eu")] {
            instance.settings.insert(name.to_owned(), value.to_owned());
        }
        instance.sources.insert("aws-key".parse().unwrap(), deputy_core::SecretSource::File("key".into()));
        let found = secret_settings(&instance);
        assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["db-password"]);
        assert_eq!(found.first().map(|(_, value)| value.expose()), Some(&b"hunter2"[..]));
    }

    #[test]
    fn provider_calls_are_send() {
        fn assert_send<F: Future + Send>(_: impl FnOnce(&'static LoadedProvider) -> F) {}
        assert_send(LoadedProvider::service_name);
        assert_send(LoadedProvider::tokens_required);
        assert_send(LoadedProvider::obtain);
        assert_send(|provider| async { provider.renew(&tokens()).await });
        assert_send(|provider| async { provider.revoke(&tokens()).await });
    }

    fn tokens() -> Tokens {
        Tokens::new("test/1".parse().unwrap(), SecretBytes::new(Vec::new()))
    }

    #[test]
    fn provider_expiry_counts_from_the_beginning_of_the_call() {
        let began = Timestamp::from_millis(1000);
        let at = |expiry| convert_expiry(expiry, began).unwrap();
        assert_eq!(at(wit::Expiry::AfterMs(1)), TokenExpiry::At(Timestamp::from_millis(1001)));
        assert_eq!(at(wit::Expiry::AfterMs(u64::MAX)), TokenExpiry::At(Timestamp::FOREVER), "it saturates");
        assert!(matches!(convert_expiry(wit::Expiry::AfterMs(0), began), Err(CallError::Invalid(_))));
    }
}
