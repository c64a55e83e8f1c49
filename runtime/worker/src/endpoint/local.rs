//! The control socket of a worker, for `deputy get`, `deputy exec` and `deputy worker status`.
//!
//! It serves two requests of a coordinator's control socket, status and lease: a worker obtains, renews and revokes nothing.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deputy_core::{Delivery, InstanceName, S3Place, S3Places, Span};
use deputy_http_server::HttpHandler;
use deputy_link::DeliveredState;
use deputy_local::reply::LeaseHeaders;
use deputy_local::{ControlError, ControlRequest, Parameters, lease_wait, reply};
use http::{Request, Response};
use serde_json::Value;
use tokio::sync::watch;

use deputy_core::time::Clock;

/// The worker's status, as JSON.
#[async_trait]
pub trait StatusSource: Send + Sync {
    async fn status(&self) -> Result<Value, ControlError>;
}

/// Whether the socket serves leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseAccess {
    /// To every program that may connect.
    Given,
    Withheld,
}

/// Serves the programs of this machine that may connect to the socket. They may have every lease.
pub struct LocalEndpoint {
    held: watch::Receiver<Arc<DeliveredState>>,
    clock: Arc<dyn Clock>,
    status: Arc<dyn StatusSource>,
    leases: LeaseAccess,
    /// As far as the configuration of this process says it.
    places: watch::Receiver<Arc<S3Places>>,
}

impl LocalEndpoint {
    pub fn new(
        held: watch::Receiver<Arc<DeliveredState>>,
        clock: Arc<dyn Clock>,
        status: Arc<dyn StatusSource>,
        leases: LeaseAccess,
    ) -> Self {
        let (_, places) = watch::channel(Arc::default());
        Self { held, clock, status, leases, places }
    }

    /// Also says where the S3 of an instance is.
    #[must_use]
    pub fn with_places(self, places: watch::Receiver<Arc<S3Places>>) -> Self {
        Self { places, ..self }
    }

    async fn route(&self, request: &Request<()>) -> Result<Response<Bytes>, ControlError> {
        match ControlRequest::of(request) {
            Some(ControlRequest::Lease(name)) => {
                self.lease(&name, lease_wait(&Parameters::decode(request.uri().query()))?).await
            }
            Some(ControlRequest::Status) => reply::json(&self.status.status().await?),
            _ => Err(ControlError::new("request", "a worker does not do this: ask its coordinator")),
        }
    }

    async fn lease(&self, name: &str, wait: Span) -> Result<Response<Bytes>, ControlError> {
        if self.leases == LeaseAccess::Withheld {
            let hint = "this worker serves no leases on its socket; add [endpoints.socket] to its configuration";
            return Err(ControlError::new("misconfigured", hint));
        }
        let instance: InstanceName = name
            .parse()
            .map_err(|_| ControlError::new("unknown", &format!("{name:?} is not a valid instance name")))?;
        match tokio::time::timeout(wait.duration(), self.valid_delivery(&instance)).await.unwrap_or_default() {
            Some(delivery) => {
                let place = self.place(&instance);
                Ok(lease_reply(delivery, place))
            }
            None => Err(self.not_ready(&instance)),
        }
    }

    /// What the settings of its receivers say: those of this process first, then those that the coordinator chose, and last what
    /// else the coordinator knows. A program that uses the socket needs no configuration of its own.
    fn place(&self, instance: &InstanceName) -> S3Place {
        let own = self.places.borrow().get(instance).cloned().unwrap_or_default();
        let held = self.held.borrow();
        let bound = held.receivers.values().filter(|receiver| receiver.instances.contains(instance));
        let bound = bound.map(|receiver| S3Place::of_settings(&receiver.settings, instance.as_str()));
        bound.chain(held.places.get(instance).cloned()).fold(own, S3Place::or)
    }

    /// Waits until a valid lease is held. `None` if nothing will be delivered any more.
    async fn valid_delivery(&self, instance: &InstanceName) -> Option<Delivery> {
        let mut held = self.held.clone();
        loop {
            let delivery = held.borrow_and_update().deliveries.get(instance).cloned();
            if let Some(delivery) = delivery.filter(|delivery| delivery.is_valid(self.clock.now().wall)) {
                return Some(delivery);
            }
            held.changed().await.ok()?;
        }
    }

    fn not_ready(&self, instance: &InstanceName) -> ControlError {
        let held = Arc::clone(&self.held.borrow());
        let reason = match (held.deliveries.get(instance), held.complete) {
            (Some(delivery), _) => format!("it expired at {} and was not replaced yet", delivery.valid_until),
            (None, true) => "the coordinator delivers no such instance here: is this worker's group in its \
                             `deliver-to`, and does the coordinator hold a lease of it?"
                .to_owned(),
            (None, false) => "nothing was delivered yet".to_owned(),
        };
        ControlError::new("not-ready", &format!("{instance} is not ready: {reason}"))
    }
}

impl HttpHandler for LocalEndpoint {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        self.route(&request).await.unwrap_or_else(|error| reply::error(&error))
    }

    fn waits(&self, request: &Request<()>) -> bool {
        reply::is_waiting(request)
    }

    fn busy(&self) -> Response<Bytes> {
        reply::busy()
    }
}

fn lease_reply(delivery: Delivery, place: S3Place) -> Response<Bytes> {
    let Delivery { instance, service, kind, stamp, valid_until, payload, .. } = delivery;
    tracing::info!(%instance, revision = %stamp.revision, "payload sent over the worker's socket");
    let headers = LeaseHeaders { version: stamp, service: Some(service), kind: Some(kind), valid_until, place };
    reply::lease(headers, payload)
}

#[cfg(test)]
mod tests;
