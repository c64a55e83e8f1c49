//! The operator's way in: HTTP with JSON over a Unix socket, whose file's mode says who may use it.
//!
//! | request | does |
//! |---|---|
//! | `GET /v1/status` | says what is held and why |
//! | `GET /v1/instances/NAME` | the same of one instance |
//! | `GET /v1/instances/NAME/lease?wait=10s` | gives its payload out, once there is one; it counts as use |
//! | `POST /v1/instances/NAME/renew` | obtains another lease now |
//! | `POST /v1/instances/NAME/revoke` | revokes what is held, and obtains another lease |
//! | `POST /v1/reload` | reads the configuration again |

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deputy_core::schedule::Lease;
use deputy_core::{InstanceName, Span};
use deputy_local::ControlError;
use deputy_local::reply::{self, SCHEMA, json};
use deputy_observe::Handler;
use http::{Method, Request, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::board::Board;
use crate::clock::Clock;
use crate::coordinator::Setup;
use crate::handle::{AskError, Handle};

/// Reads the configuration again.
#[async_trait]
pub trait Reload: Send + Sync + 'static {
    /// All of it, ready to be used, with what an operator should know, or why nothing of it is.
    async fn reload(&self) -> Result<(Setup, Vec<String>), ControlError>;

    /// The same configuration once more, if something in it could not be loaded and can be now.
    async fn again(&self) -> Option<Setup>;
}

/// Answers the operator.
pub struct Control {
    handle: Handle,
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
    reload: Arc<dyn Reload>,
    /// Held while a configuration is read and until it is used, so that an older one never comes after a newer one.
    turn: Mutex<()>,
}

/// What a reload changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The version of this form.
    pub schema: u32,
    /// Instances that are new.
    pub added: Vec<String>,
    /// Instances of which something changed.
    pub changed: Vec<String>,
    /// Instances that are gone.
    pub removed: Vec<String>,
    /// How many are as they were.
    pub unchanged: usize,
    /// What has no effect, or another one than it seems.
    pub warnings: Vec<String>,
}

#[derive(Serialize)]
struct Done {
    schema: u32,
    done: &'static str,
}

impl Control {
    /// For a coordinator.
    pub fn new(handle: Handle, board: Arc<Board>, clock: Arc<dyn Clock>, reload: Arc<dyn Reload>) -> Self {
        Self { handle, board, clock, reload, turn: Mutex::const_new(()) }
    }

    /// Reads the configuration again and uses it.
    ///
    /// # Errors
    /// If anything in it is wrong; then nothing changes.
    pub async fn reload(&self) -> Result<Reloaded, ControlError> {
        let _turn = self.turn.lock().await;
        let (setup, warnings) = self.reload.reload().await?;
        let changed = self.handle.configure(setup).await?;
        let names = |names: Vec<InstanceName>| names.iter().map(ToString::to_string).collect();
        Ok(Reloaded {
            schema: SCHEMA,
            added: names(changed.added),
            changed: names(changed.changed),
            removed: names(changed.removed),
            unchanged: changed.unchanged,
            warnings,
        })
    }

    /// Uses what could not be loaded before and can be now.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn load_again(&self) -> Result<(), AskError> {
        let _turn = self.turn.lock().await;
        match self.reload.again().await {
            Some(setup) => self.handle.configure(setup).await.map(drop),
            None => Ok(()),
        }
    }

    async fn route(&self, request: &Request<()>) -> Result<Response<Bytes>, ControlError> {
        let path: Vec<&str> = request.uri().path().split('/').skip(1).collect();
        match (request.method(), path.as_slice()) {
            (&Method::GET, ["v1", "status"]) => json(&self.handle.status().await?),
            (&Method::GET, ["v1", "instances", name]) => json(&self.handle.instance(name).await?),
            (&Method::GET, ["v1", "instances", name, "lease"]) => self.lease(name, request.uri().query()).await,
            (&Method::POST, ["v1", "instances", name, "renew"]) => {
                self.handle.renew(name).await?;
                json(&Done { schema: SCHEMA, done: "renew" })
            }
            (&Method::POST, ["v1", "instances", name, "revoke"]) => {
                self.handle.revoke(name).await?;
                json(&Done { schema: SCHEMA, done: "revoke" })
            }
            (&Method::POST, ["v1", "reload"]) => json(&self.reload().await?),
            _ => Err(ControlError::new("request", "there is nothing at this path for this method")),
        }
    }

    async fn lease(&self, name: &str, query: Option<&str>) -> Result<Response<Bytes>, ControlError> {
        let wait = reply::wait(query)?;
        let valid = |name: &InstanceName| self.board.lease(name).filter(|lease| lease.is_valid(self.clock.now().wall));
        // What was good before a restart is given out while components are still being loaded.
        if !self.handle.has_started()
            && let Ok(instance) = name.parse::<InstanceName>()
            && let Some(lease) = valid(&instance)
        {
            return Ok(given(&instance, &lease, None));
        }
        let began = self.clock.now().mono;
        // A restart is no reason to have nothing, if there is time to wait for its end.
        drop(tokio::time::timeout(wait.duration(), self.handle.started()).await);
        let waited = self.clock.now().mono.since(began).as_millis();
        let wait = Span::millis(wait.as_millis().saturating_sub(waited));
        // Who looks before asking misses nothing that comes of it.
        let mut changes = self.board.changes();
        let instance = self.handle.asked(name).await?;
        let found = async {
            loop {
                if let Some(lease) = valid(&instance) {
                    return Some(lease);
                }
                changes.changed().await.ok()?;
            }
        };
        let found = tokio::time::timeout(wait.duration(), found).await;
        let status = self.handle.instance(name).await?;
        match found.unwrap_or_else(|_| valid(&instance)) {
            Some(lease) => Ok(given(&instance, &lease, status.service)),
            None => Err(ControlError::new("not-ready", &format!("{name} can't be given out: {}", status.reason))),
        }
    }
}

impl Handler for Control {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        self.route(&request).await.unwrap_or_else(|error| reply::refused(&error))
    }
}

impl From<AskError> for ControlError {
    fn from(error: AskError) -> Self {
        let kind = match &error {
            AskError::CannotRevoke(_) => "cannot-revoke",
            AskError::FileOnly(_) => "file-only",
            AskError::Starting => "starting",
            AskError::Stopping => "stopping",
            AskError::Unknown(_) => "unknown",
        };
        Self::new(kind, &error.to_string())
    }
}

fn given(instance: &InstanceName, lease: &Lease, service: Option<String>) -> Response<Bytes> {
    tracing::info!(%instance, revision = %lease.revision, "given out over the control socket");
    let Lease { revision, obtained_at, valid_until, payload, .. } = lease.clone();
    reply::given(reply::Lease { service, revision, obtained_at, valid_until, payload })
}
