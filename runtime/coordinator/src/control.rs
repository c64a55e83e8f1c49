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
use deputy_observe::{Clock, Handler, answer};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::board::Board;
use crate::coordinator::Setup;
use crate::handle::{AskError, Handle};

/// The version of what is answered as JSON.
pub const SCHEMA: u32 = 1;

/// The longest that a request waits for a lease.
const LONGEST_WAIT: Span = Span::secs(60);

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

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ControlError {
    /// `unknown`, `cannot-revoke`, `file-only`, `starting`, `stopping`, `misconfigured`, `not-ready`, `request`
    pub kind: String,
    /// What is wrong and what mends it.
    pub message: String,
    /// The findings in a configuration, as they are shown to a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

#[derive(Serialize)]
struct Failed<'e> {
    schema: u32,
    error: &'e ControlError,
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
        let wait = match query.and_then(|query| query.strip_prefix("wait=")) {
            Some(text) => text.parse::<Span>().map_err(|error| ControlError::new("request", &error.to_string()))?,
            None => Span::secs(0),
        };
        let valid = |name: &InstanceName| self.board.lease(name).filter(|lease| lease.is_valid(self.clock.now().wall));
        // What was good before a restart is given out while components are still being loaded.
        if !self.handle.has_started()
            && let Ok(instance) = name.parse::<InstanceName>()
            && let Some(lease) = valid(&instance)
        {
            return Ok(given(&instance, &lease));
        }
        let wait = wait.min(LONGEST_WAIT);
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
        match found.unwrap_or_else(|_| valid(&instance)) {
            Some(lease) => Ok(given(&instance, &lease)),
            None => {
                let status = self.handle.instance(name).await?;
                Err(ControlError::new("not-ready", &format!("{name} can't be given out: {}", status.reason)))
            }
        }
    }
}

impl Handler for Control {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        match self.route(&request).await {
            Ok(response) => response,
            Err(error) => {
                let status = match error.kind.as_str() {
                    "unknown" => StatusCode::NOT_FOUND,
                    "request" => StatusCode::BAD_REQUEST,
                    "starting" | "stopping" | "not-ready" => StatusCode::SERVICE_UNAVAILABLE,
                    "misconfigured" => StatusCode::UNPROCESSABLE_ENTITY,
                    _ => StatusCode::CONFLICT,
                };
                let text = serde_json::to_vec(&Failed { schema: SCHEMA, error: &error }).unwrap_or_default();
                answer(status, JSON, text)
            }
        }
    }
}

const JSON: &str = "application/json";

impl ControlError {
    /// An error of a kind.
    pub fn new(kind: &str, message: &str) -> Self {
        Self { kind: kind.to_owned(), message: message.to_owned(), details: String::new() }
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

fn json(object: &impl Serialize) -> Result<Response<Bytes>, ControlError> {
    let text = serde_json::to_vec(object).map_err(|error| ControlError::new("internal", &error.to_string()))?;
    Ok(answer(StatusCode::OK, JSON, text))
}

/// The one answer with a payload in it. Its copy lives as long as the answer.
fn given(instance: &InstanceName, lease: &Lease) -> Response<Bytes> {
    tracing::info!(%instance, revision = %lease.revision, "given out over the control socket");
    let bytes = Bytes::from_owner(Payload(Arc::clone(&lease.payload)));
    let mut response = answer(StatusCode::OK, "application/octet-stream", bytes);
    for (name, value) in [
        ("deputy-revision", lease.revision.to_string()),
        ("deputy-obtained-at", lease.obtained_at.to_string()),
        ("deputy-valid-until", lease.valid_until.to_string()),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The bytes of a payload, shared and wiped with their owner.
struct Payload(Arc<deputy_core::SecretBytes>);

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}
