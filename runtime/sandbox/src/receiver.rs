//! A loaded receiver and its calls.
//!
//! A receiver has no grant: it gets deliveries and puts files. The files are staged in the call and returned only if
//! `accept` returns ok; otherwise they are wiped with the call.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_audit::{AcceptedDelivery, AuditSubject};
use deputy_core::{Delivery, Outputs, ReceiverPlan, Services};
use futures::FutureExt;
use wasmtime::component::{Component, InstancePre};

use crate::bindings::receives::{TokenReceiver, TokenReceiverPre};
use crate::call::{Call, CallError};
use crate::call_context::{CallState, InstanceContext};
use crate::component_info::{ComponentInfo, ComponentKind};
use crate::invoke::Invoker;
use crate::load_error::LoadError;
use crate::loaded_component::LoadedComponent;
use crate::open_call::CalledFunction;
use crate::outputs::OutputMode;
use crate::redact::Redactor;
use crate::running_call::GuestCall;
use crate::secrets::SecretStore;
use crate::shared::SandboxShared;
use crate::wiped::WipeOnDrop;

/// A receiver.
pub struct LoadedReceiver {
    invoker: Invoker,
    info: ComponentInfo,
    /// Keeps it in the cache's memory.
    _component: Arc<Component>,
    receives: TokenReceiverPre<CallState>,
    /// For calls that may put files.
    accepting: InstanceContext,
    /// For all others.
    ungranted: InstanceContext,
}

impl LoadedReceiver {
    pub(crate) fn new(
        shared: Arc<SandboxShared>,
        plan: ReceiverPlan,
        linked: InstancePre<CallState>,
        LoadedComponent { component, info }: LoadedComponent,
    ) -> Result<Self, LoadError> {
        if info.kind != ComponentKind::Receiver {
            return Err(LoadError::Kind { path: plan.component, expected: ComponentKind::Receiver });
        }
        let receives = TokenReceiverPre::new(linked)
            .map_err(|source| LoadError::Import { path: plan.component.clone(), source })?;
        let secrets = Arc::new(SecretStore::new(&BTreeMap::new()));
        let accepting = InstanceContext::ungranted(&shared.resolver, &secrets, OutputMode::Staged);
        let ungranted = InstanceContext::ungranted(&shared.resolver, &secrets, OutputMode::Denied);
        let invoker = Invoker::new(shared, AuditSubject::Receiver(plan.name), &plan.settings, plan.limits);
        Ok(Self { invoker, info, _component: component, receives, accepting, ungranted })
    }

    /// The component's kind, digest, size and imports.
    pub fn info(&self) -> &ComponentInfo {
        &self.info
    }

    /// Asks for the services whose payloads the component understands.
    pub async fn services(&self) -> Call<Services> {
        let receives = self.receives.clone();
        let run: GuestCall<Vec<String>> = Box::new(move |store| {
            async move {
                let receiver: TokenReceiver = receives.instantiate_async(&mut *store).await?;
                receiver.delegation_tokens_receiver().call_services(store).await.map(Ok)
            }
            .boxed()
        });
        let function = CalledFunction::Named("services");
        let call = self.invoker.call(function, &self.ungranted, Redactor::new(Vec::new()), run);
        let parse = |names: Vec<String>, _: &Redactor| {
            Services::parse(names.iter().map(String::as_str)).map_err(|error| CallError::Invalid(error.to_string()))
        };
        call.await.finish(parse).await
    }

    /// Has it apply all current deliveries of the instances that are bound to it. What it left is for the invoker to
    /// publish, all of it at once.
    pub async fn accept(&self, deliveries: &[Delivery]) -> Call<Outputs> {
        let accepted = |delivery: &Delivery| AcceptedDelivery {
            instance: delivery.instance.to_string(),
            revision: delivery.stamp.revision.0,
        };
        let function = CalledFunction::Accept(deliveries.iter().map(accepted).collect());
        // The component knows the payloads: its log and its failures must not show them.
        let redactor = Redactor::new(Vec::new());
        deliveries.iter().for_each(|delivery| redactor.learn(&delivery.instance, &delivery.payload));
        let receives = self.receives.clone();
        let settings = self.invoker.settings();
        let payloads = WipeOnDrop::deliveries(deliveries);
        let run: GuestCall<Outputs> = Box::new(move |store| {
            async move {
                let receiver: TokenReceiver = receives.instantiate_async(&mut *store).await?;
                let accept = receiver.delegation_tokens_receiver();
                let answer = accept.call_accept(&mut *store, &settings, &payloads).await?;
                Ok(answer.map(|()| store.data_mut().take_outputs()))
            }
            .boxed()
        });
        let call = self.invoker.call(function, &self.accepting, redactor, run);
        call.await.finish(|outputs, _| Ok(outputs)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receiver_calls_are_send() {
        fn assert_send<F: Future + Send>(_: impl FnOnce(&'static LoadedReceiver) -> F) {}
        assert_send(LoadedReceiver::services);
        assert_send(|receiver| receiver.accept(&[]));
    }
}
