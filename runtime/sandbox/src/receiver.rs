//! A loaded receiver and its calls.
//!
//! A receiver has no grant: it gets deliveries and puts files. The files are staged in the call and returned only if
//! `accept` returns ok; otherwise they are wiped with the call.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_audit::{AcceptedDelivery, AuditSubject};
use deputy_core::{Accepted, BoundInstance, Delivery, Fact, Kinds, Outputs, ReceiverPlan};
use futures::FutureExt;
use wasmtime::component::{Component, InstancePre};

use crate::answer::GuestAnswer;
use crate::bindings::receives::exports::delegation::tokens::receiver as wit;
use crate::bindings::receives::{TokenReceiver, TokenReceiverPre};
use crate::call::{Call, CallError};
use crate::call_context::{CallState, InstanceContext};
use crate::component_info::{ComponentInfo, ComponentKind};
use crate::invoke::Invoker;
use crate::load_error::LoadError;
use crate::loaded_component::LoadedComponent;
use crate::open_call::CalledFunction;
use crate::outputs::OutputMode;
use crate::raw_outcome::{AnsweredCall, RawOutcome, convert_facts, convert_failure};
use crate::redact::Redactor;
use crate::running_call::GuestCall;
use crate::secrets::SecretStore;
use crate::shared::SandboxShared;
use crate::wiped::WipeOnDrop;

pub struct LoadedReceiver {
    invoker: Invoker,
    info: ComponentInfo,
    /// Keeps it in the cache's memory.
    _component: Arc<Component>,
    receives: TokenReceiverPre<CallState>,
    host_facts: Vec<Fact>,
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
            return Err(LoadError::Kind { path: info.path, expected: ComponentKind::Receiver });
        }
        let receives =
            TokenReceiverPre::new(linked).map_err(|source| LoadError::Import { path: info.path.clone(), source })?;
        let secrets = Arc::new(SecretStore::new(&BTreeMap::new()));
        let accepting = InstanceContext::ungranted(&shared, &secrets, OutputMode::Staged);
        let ungranted = InstanceContext::ungranted(&shared, &secrets, OutputMode::Denied);
        let invoker = Invoker::new(shared, AuditSubject::Receiver(plan.name), &plan.settings, plan.limits);
        Ok(Self { invoker, info, _component: component, receives, host_facts: plan.host_facts, accepting, ungranted })
    }

    /// The component's kind, digest, size and imports.
    pub fn info(&self) -> &ComponentInfo {
        &self.info
    }

    /// Asks for the kinds of payload that the component takes.
    pub async fn kinds(&self) -> Call<Kinds> {
        let receives = self.receives.clone();
        let settings = self.invoker.settings();
        let run: GuestCall<Vec<String>> = Box::new(move |store| {
            async move {
                let receiver: TokenReceiver = receives.instantiate_async(&mut *store).await?;
                receiver.delegation_tokens_receiver().call_kinds(store, &settings).await
            }
            .boxed()
        });
        let call = self.call(CalledFunction::Named("kinds"), &self.ungranted, run);
        let parse = |kinds: Vec<String>, _: AnsweredCall<'_>| {
            let kinds = Kinds::parse_receiver(kinds.iter().map(String::as_str));
            kinds.map_err(|error| CallError::Invalid(error.to_string()))
        };
        call.await.finish(parse).await
    }

    /// Asks whether the component can work with its settings and these instances.
    pub async fn check(&self, bound: &[BoundInstance]) -> Call<()> {
        let receives = self.receives.clone();
        let settings = self.invoker.settings();
        let bound: Vec<wit::Bound> = bound.iter().map(to_wit_bound).collect();
        let run: GuestCall<()> = Box::new(move |store| {
            async move {
                let receiver: TokenReceiver = receives.instantiate_async(&mut *store).await?;
                receiver.delegation_tokens_receiver().call_check(store, &settings, &bound).await
            }
            .boxed()
        });
        let call = self.call(CalledFunction::Named("check"), &self.ungranted, run);
        call.await.finish(|(), _| Ok(())).await
    }

    /// Has it apply all current deliveries of the instances that are bound to it. The files that it left are for the
    /// caller to publish, all of them at once, if it rejected no delivery.
    pub async fn accept(&self, deliveries: &[Delivery]) -> Call<Accepted> {
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
        let payloads = WipeOnDrop::deliveries(deliveries, &self.host_facts);
        let run: GuestCall<(wit::Accepted, Outputs)> = Box::new(move |store| {
            async move {
                let receiver: TokenReceiver = receives.instantiate_async(&mut *store).await?;
                let accept = receiver.delegation_tokens_receiver();
                let answer = accept.call_accept(&mut *store, &settings, &payloads).await?;
                Ok(answer.map(|accepted| (accepted, store.data_mut().take_outputs())))
            }
            .boxed()
        });
        let call = self.invoker.call(function, &self.accepting, redactor, run);
        let convert = |(accepted, outputs), answered: AnsweredCall<'_>| {
            convert_accepted(accepted, outputs, deliveries, answered.redactor)
        };
        call.await.finish(convert).await
    }

    async fn call<T: GuestAnswer + Send + 'static>(
        &self,
        function: CalledFunction,
        context: &InstanceContext,
        run: GuestCall<T>,
    ) -> RawOutcome<T> {
        self.invoker.call(function, context, Redactor::new(Vec::new()), run).await
    }
}

fn to_wit_bound(bound: &BoundInstance) -> wit::Bound {
    wit::Bound {
        instance: bound.instance.to_string(),
        service: bound.service.as_ref().map(ToString::to_string).unwrap_or_default(),
        kinds: bound.kinds.iter().map(ToString::to_string).collect(),
    }
}

/// A receiver can reject only what it was given, once.
fn convert_accepted(
    accepted: wit::Accepted,
    outputs: Outputs,
    deliveries: &[Delivery],
    redactor: &Redactor,
) -> Result<Accepted, CallError> {
    let mut rejected = BTreeMap::new();
    for wit::Rejection { instance, failure } in accepted.rejected {
        let given = deliveries.iter().find(|delivery| delivery.instance.as_str() == instance);
        let Some(delivery) = given else {
            let name = redactor.clean(&instance, 80);
            return Err(CallError::Invalid(format!("it rejects {name}, which was not delivered")));
        };
        if rejected.insert(delivery.instance.clone(), convert_failure(failure, redactor)).is_some() {
            return Err(CallError::Invalid(format!("it rejects {} twice", delivery.instance)));
        }
    }
    Ok(Accepted { outputs, rejected, facts: convert_facts(accepted.facts, redactor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receiver_calls_are_send() {
        fn assert_send<F: Future + Send>(_: impl FnOnce(&'static LoadedReceiver) -> F) {}
        assert_send(LoadedReceiver::kinds);
        assert_send(|receiver| receiver.check(&[]));
        assert_send(|receiver| receiver.accept(&[]));
    }
}
