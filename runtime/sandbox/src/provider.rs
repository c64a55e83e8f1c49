//! A loaded provider, and its calls.

use std::sync::Arc;

use deputy_core::{Instance, Limit, SecretBytes, SecretName, ServiceName, Timestamp, Tokens, in_one_line};
use deputy_observe::AuditSubject;
use futures::FutureExt;
use futures::future::BoxFuture;
use wasmtime::Store;
use wasmtime::component::{Component, InstancePre};

use crate::bindings::delegation::tokens::types as wit;
use crate::bindings::renews::{RenewsTokens, RenewsTokensPre};
use crate::bindings::revokes::{RevokesTokens, RevokesTokensPre};
use crate::bindings::{Provider as Bound, ProviderPre as BoundPre};
use crate::call::{Call, CallError};
use crate::call_context::{CallState, InstanceContext};
use crate::component_info::{ComponentInfo, ComponentKind};
use crate::ended::Ended;
use crate::http::HttpPolicy;
use crate::invoke::Invoker;
use crate::load_error::LoadError;
use crate::loaded_component::LoadedComponent;
use crate::open_call::Function;
use crate::outputs::OutputMode;
use crate::redact::Redactor;
use crate::secret_fault::SecretFault;
use crate::secrets::SecretStore;
use crate::shared::SandboxShared;
use crate::wiped::WipeOnDrop;

/// A provider that is loaded, with the grants of one instance.
pub struct LoadedProvider {
    invoker: Invoker,
    info: ComponentInfo,
    /// Keeps it in the cache's memory.
    _component: Arc<Component>,
    obtains: BoundPre<CallState>,
    renews: Option<RenewsTokensPre<CallState>>,
    revokes: Option<RevokesTokensPre<CallState>>,
    secrets: Arc<SecretStore>,
    /// With the instance's grant, and with none.
    granted: InstanceContext,
    ungranted: InstanceContext,
}

impl LoadedProvider {
    pub(crate) fn new(
        shared: Arc<SandboxShared>,
        instance: Instance,
        linked: InstancePre<CallState>,
        LoadedComponent { component, info }: LoadedComponent,
    ) -> Result<Self, LoadError> {
        let path = || instance.component.clone();
        if info.kind != ComponentKind::Provider {
            return Err(LoadError::Kind { path: path(), expected: ComponentKind::Provider });
        }
        let other_type = |source| LoadError::Import { path: path(), source };
        let renews = info.renews.then(|| RenewsTokensPre::new(linked.clone())).transpose().map_err(other_type)?;
        let revokes = info.revokes.then(|| RevokesTokensPre::new(linked.clone())).transpose().map_err(other_type)?;
        let obtains = BoundPre::new(linked).map_err(other_type)?;
        let secrets = Arc::new(SecretStore::new(&instance.sources));
        let http = HttpPolicy::new(&instance, Arc::clone(&secrets) as _)
            .map_err(|source| LoadError::Http { instance: instance.name.to_string(), source })?;
        let granted = InstanceContext {
            http,
            files: OutputMode::Refused,
            resolver: Arc::clone(&shared.resolver),
            secrets: Arc::clone(&secrets),
        };
        let ungranted = InstanceContext::ungranted(&shared.resolver, &secrets, OutputMode::Refused);
        let invoker = Invoker::new(shared, AuditSubject::Instance(instance.name), &instance.settings, instance.limits);
        Ok(Self { invoker, info, _component: component, obtains, renews, revokes, secrets, granted, ungranted })
    }

    /// What the component is.
    pub fn info(&self) -> &ComponentInfo {
        &self.info
    }

    /// Reads every secret of the instance once, and says which are not to be had, or are not what they are used for.
    pub async fn check_secrets(&self) -> Vec<(SecretName, Result<(), SecretFault>)> {
        let mut results = Vec::new();
        for (name, value) in self.secrets.check().await {
            let result = match value {
                Ok(value) => self.granted.http.judge(&name, &value).map_err(SecretFault::Value),
                Err(error) => Err(SecretFault::Source(in_one_line(&error))),
            };
            results.push((name, result));
        }
        results
    }

    /// Asks for the service's name, without any grant.
    pub async fn service_name(&self) -> Call<ServiceName> {
        let obtains = self.obtains.clone();
        let call = self.call("service-name", &self.ungranted, None, move |store| {
            async move {
                let provider = obtains.instantiate_async(&mut *store).await?;
                provider.delegation_tokens_provider().call_service_name(store).await.map(Ok)
            }
            .boxed()
        });
        let parse =
            |name: String, _: &Redactor| name.parse::<ServiceName>().map_err(|e| CallError::Invalid(e.to_string()));
        call.await.and_then(parse).await
    }

    /// Asks whether the instance needs tokens, without any grant.
    pub async fn tokens_required(&self) -> Call<bool> {
        let (obtains, settings) = (self.obtains.clone(), self.invoker.settings());
        let call = self.call("tokens-required", &self.ungranted, None, move |store| {
            async move {
                let provider = obtains.instantiate_async(&mut *store).await?;
                provider.delegation_tokens_provider().call_tokens_required(store, &settings).await
            }
            .boxed()
        });
        call.await.and_then(|required, _| Ok(required)).await
    }

    /// Obtains tokens.
    pub async fn obtain(&self) -> Call<Tokens> {
        let (obtains, settings) = (self.obtains.clone(), self.invoker.settings());
        let call = self.call("obtain", &self.granted, None, move |store| {
            async move {
                let provider: Bound = obtains.instantiate_async(&mut *store).await?;
                provider.delegation_tokens_provider().call_obtain(store, &settings).await
            }
            .boxed()
        });
        call.await.and_then(|tokens, _| self.tokens(tokens)).await
    }

    /// Prolongs tokens; `None` if the component can't.
    pub async fn renew(&self, tokens: &Tokens) -> Option<Call<Tokens>> {
        let (renews, settings) = (self.renews.clone()?, self.invoker.settings());
        let lent = WipeOnDrop::tokens(tokens);
        let call = self.call("renew", &self.granted, Some(tokens), move |store| {
            async move {
                let provider: RenewsTokens = renews.instantiate_async(&mut *store).await?;
                provider.delegation_tokens_renewal().call_renew(store, &settings, &lent).await
            }
            .boxed()
        });
        Some(call.await.and_then(|tokens, _| self.tokens(tokens)).await)
    }

    /// Makes the service refuse tokens; `None` if the component can't.
    pub async fn revoke(&self, tokens: &Tokens) -> Option<Call<()>> {
        let (revokes, settings) = (self.revokes.clone()?, self.invoker.settings());
        let lent = WipeOnDrop::tokens(tokens);
        let call = self.call("revoke", &self.granted, Some(tokens), move |store| {
            async move {
                let provider: RevokesTokens = revokes.instantiate_async(&mut *store).await?;
                provider.delegation_tokens_revocation().call_revoke(store, &settings, &lent).await
            }
            .boxed()
        });
        Some(call.await.and_then(|(), _| Ok(())).await)
    }

    async fn call<T: Send + 'static>(
        &self,
        function: &'static str,
        bindings: &InstanceContext,
        lent: Option<&Tokens>,
        run: impl for<'a> FnOnce(&'a mut Store<CallState>) -> BoxFuture<'a, wasmtime::Result<Result<T, wit::Failure>>>
        + Send
        + 'static,
    ) -> Ended<T> {
        let redactor = Redactor::new(self.secrets.known());
        if let Some(tokens) = lent {
            // What it is given it may misuse: its log and its failures must not show it.
            redactor.learn(&"payload", &Arc::new(SecretBytes::new(tokens.payload.expose().to_vec())));
        }
        self.invoker.call(Function::Named(function), bindings, redactor, Box::new(run)).await
    }

    fn tokens(&self, tokens: wit::Tokens) -> Result<Tokens, CallError> {
        let payload = SecretBytes::new(tokens.payload);
        if payload.len() > self.invoker.limits().payload.as_usize() {
            return Err(CallError::Limit(Limit::Payload));
        }
        Ok(Tokens { payload, valid_until: tokens.valid_until.map(Timestamp::from_millis) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls run as tasks beside each other.
    #[test]
    fn a_call_can_move_between_threads() {
        fn movable<F: Future + Send>(_: impl FnOnce(&'static LoadedProvider) -> F) {}
        movable(LoadedProvider::service_name);
        movable(LoadedProvider::tokens_required);
        movable(LoadedProvider::obtain);
        movable(|provider| async { provider.renew(&tokens()).await });
        movable(|provider| async { provider.revoke(&tokens()).await });
    }

    fn tokens() -> Tokens {
        Tokens { payload: SecretBytes::new(Vec::new()), valid_until: None }
    }
}
