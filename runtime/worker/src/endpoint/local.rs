//! The Unix socket of a worker: `deputy get`, `deputy exec` and `deputy worker status`.
//!
//! | request | does |
//! |---|---|
//! | `GET /v1/status` | says what is held and applied |
//! | `GET /v1/instances/NAME/lease?wait=10s` | gives its payload out, once there is one |
//!
//! It speaks as a coordinator's control socket does, and does less: a worker obtains, renews and revokes nothing.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deputy_core::{Delivery, InstanceName};
use deputy_http_server::HttpHandler;
use deputy_link::WorkerState;
use deputy_local::{ControlError, reply};
use http::{Method, Request, Response};
use serde_json::Value;
use tokio::sync::watch;

use super::Clock;

/// What the worker says of itself.
#[async_trait]
pub trait StatusSource: Send + Sync {
    /// All of it, as JSON.
    async fn status(&self) -> Result<Value, ControlError>;
}

/// Whether leases are given out at the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseAccess {
    /// To everybody who may connect.
    Given,
    /// To nobody: the operator has not said so.
    Withheld,
}

/// Answers the programs of this machine that may connect to the socket: they may have every lease.
pub struct LocalEndpoint {
    held: watch::Receiver<Arc<WorkerState>>,
    clock: Clock,
    status: Arc<dyn StatusSource>,
    leases: LeaseAccess,
}

impl LocalEndpoint {
    /// For what a worker holds.
    pub fn new(
        held: watch::Receiver<Arc<WorkerState>>,
        clock: Clock,
        status: Arc<dyn StatusSource>,
        leases: LeaseAccess,
    ) -> Self {
        Self { held, clock, status, leases }
    }

    async fn route(&self, request: &Request<()>) -> Result<Response<Bytes>, ControlError> {
        let path: Vec<&str> = request.uri().path().split('/').skip(1).collect();
        match (request.method(), path.as_slice()) {
            (&Method::GET, ["v1", "status"]) => reply::json(&self.status.status().await?),
            (&Method::GET, ["v1", "instances", name, "lease"]) => self.lease(name, request.uri().query()).await,
            _ => Err(ControlError::new("request", "a worker does not do this: ask its coordinator")),
        }
    }

    async fn lease(&self, name: &str, query: Option<&str>) -> Result<Response<Bytes>, ControlError> {
        if self.leases == LeaseAccess::Withheld {
            let why = "this worker gives out no leases here: [endpoints.socket] in its configuration has it do so";
            return Err(ControlError::new("misconfigured", why));
        }
        let wait = reply::wait(query)?;
        let instance: InstanceName = name
            .parse()
            .map_err(|_| ControlError::new("unknown", &format!("{name:?} is not the name of an instance")))?;
        let mut held = self.held.clone();
        let good =
            |held: &Arc<WorkerState>| held.deliveries.get(&instance).filter(|d| d.is_valid((self.clock)())).cloned();
        let found = async {
            loop {
                if let Some(delivery) = good(&held.borrow_and_update()) {
                    return Some(delivery);
                }
                held.changed().await.ok()?;
            }
        };
        match tokio::time::timeout(wait.duration(), found).await.unwrap_or_default() {
            Some(delivery) => Ok(given(delivery)),
            None => Err(self.nothing(&instance)),
        }
    }

    fn nothing(&self, instance: &InstanceName) -> ControlError {
        let held = Arc::clone(&self.held.borrow());
        let why = match (held.deliveries.get(instance), held.complete) {
            (Some(delivery), _) => format!("it expired at {}, and no other was delivered", delivery.valid_until),
            (None, true) => "the coordinator delivers nothing of that name here: is this worker's group in its \
                             `deliver-to`, and does the coordinator hold a lease of it?"
                .to_owned(),
            (None, false) => "nothing was delivered yet".to_owned(),
        };
        ControlError::new("not-ready", &format!("{instance} can't be given out: {why}"))
    }
}

impl HttpHandler for LocalEndpoint {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        self.route(&request).await.unwrap_or_else(|error| reply::refused(&error))
    }

    fn waits(&self, request: &Request<()>) -> bool {
        reply::waits(request)
    }

    fn busy(&self) -> Response<Bytes> {
        reply::busy()
    }
}

fn given(delivery: Delivery) -> Response<Bytes> {
    let Delivery { instance, service, stamp, valid_until, payload } = delivery;
    tracing::info!(%instance, revision = %stamp.revision, "payload sent over the worker's socket");
    let service = Some(service.to_string());
    reply::given(reply::LeaseReply {
        service,
        revision: stamp.revision,
        obtained_at: stamp.obtained_at,
        valid_until,
        payload,
    })
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
