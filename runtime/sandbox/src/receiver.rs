//! A loaded receiver, and its calls.
//!
//! A receiver has no grant: it gets deliveries and leaves files. What it puts is staged in the call and handed out only
//! if `accept` returns ok; in every other case it is wiped with the call.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_core::{Delivery, Outputs, ReceiverPlan, Services};
use deputy_observe::{AcceptedDelivery, AuditSubject};
use futures::FutureExt;
use wasmtime::component::{Component, InstancePre};

use crate::bindings::receives::{TokenReceiver, TokenReceiverPre};
use crate::call::{Call, CallError};
use crate::call_context::{CallState, InstanceContext};
use crate::component_info::{ComponentInfo, ComponentKind};
use crate::invoke::Invoker;
use crate::load_error::LoadError;
use crate::loaded_component::LoadedComponent;
use crate::open_call::Function;
use crate::outputs::OutputMode;
use crate::redact::Redactor;
use crate::running::Run;
use crate::secrets::SecretStore;
use crate::shared::SandboxShared;
use crate::wiped::WipeOnDrop;

/// A receiver that is loaded.
pub struct LoadedReceiver {
    invoker: Invoker,
    info: ComponentInfo,
    /// Keeps it in the cache's memory.
    _component: Arc<Component>,
    receives: TokenReceiverPre<CallState>,
    /// When it may leave files, and when not.
    accepting: InstanceContext,
    ungranted: InstanceContext,
}

impl LoadedReceiver {
    pub(crate) fn new(
        shared: Arc<SandboxShared>,
        plan: ReceiverPlan,
        linked: InstancePre<CallState>,
        LoadedComponent { component, info }: LoadedComponent,
    ) -> Result<Self, LoadError> {
        let path = || plan.component.clone();
        if info.kind != ComponentKind::Receiver {
            return Err(LoadError::Kind { path: path(), expected: ComponentKind::Receiver });
        }
        let receives = TokenReceiverPre::new(linked).map_err(|source| LoadError::Import { path: path(), source })?;
        let secrets = Arc::new(SecretStore::new(&BTreeMap::new()));
        let bind = |files| InstanceContext::ungranted(&shared.resolver, &secrets, files);
        let (accepting, ungranted) = (bind(OutputMode::Staged), bind(OutputMode::Refused));
        let invoker = Invoker::new(shared, AuditSubject::Receiver(plan.name), &plan.settings, plan.limits);
        Ok(Self { invoker, info, _component: component, receives, accepting, ungranted })
    }

    /// What the component is.
    pub fn info(&self) -> &ComponentInfo {
        &self.info
    }

    /// Asks for the services whose payloads it understands.
    pub async fn services(&self) -> Call<Services> {
        let receives = self.receives.clone();
        let run: Run<Vec<String>> = Box::new(move |store| {
            async move {
                let receiver: TokenReceiver = receives.instantiate_async(&mut *store).await?;
                receiver.delegation_tokens_receiver().call_services(store).await.map(Ok)
            }
            .boxed()
        });
        let function = Function::Named("services");
        let call = self.invoker.call(function, &self.ungranted, Redactor::new(Vec::new()), run);
        let parse = |names: Vec<String>, _: &Redactor| {
            Services::parse(names.iter().map(String::as_str)).map_err(|error| CallError::Invalid(error.to_string()))
        };
        call.await.and_then(parse).await
    }

    /// Has it apply all current deliveries of the instances that are bound to it. What it left is for the invoker to
    /// publish, all of it at once.
    pub async fn accept(&self, deliveries: &[Delivery]) -> Call<Outputs> {
        let accepted = |delivery: &Delivery| AcceptedDelivery {
            instance: delivery.instance.to_string(),
            revision: delivery.stamp.revision.0,
        };
        let function = Function::Accept(deliveries.iter().map(accepted).collect());
        // What it is given it may misuse: its log and its failures must not show it.
        let redactor = Redactor::new(Vec::new());
        deliveries.iter().for_each(|delivery| redactor.learn(&delivery.instance, &delivery.payload));
        let (receives, settings) = (self.receives.clone(), self.invoker.settings());
        let lent = WipeOnDrop::deliveries(deliveries);
        let run: Run<Outputs> = Box::new(move |store| {
            async move {
                let receiver: TokenReceiver = receives.instantiate_async(&mut *store).await?;
                let accept = receiver.delegation_tokens_receiver();
                let answer = accept.call_accept(&mut *store, &settings, &lent).await?;
                Ok(answer.map(|()| store.data_mut().take_outputs()))
            }
            .boxed()
        });
        let call = self.invoker.call(function, &self.accepting, redactor, run);
        call.await.and_then(|outputs, _| Ok(outputs)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls run as tasks beside each other.
    #[test]
    fn a_call_can_move_between_threads() {
        fn movable<F: Future + Send>(_: impl FnOnce(&'static LoadedReceiver) -> F) {}
        movable(LoadedReceiver::services);
        movable(|receiver| receiver.accept(&[]));
    }
}
