//! The operator's way in: HTTP with JSON over a Unix socket, whose file's mode says who may use it.
//!
//! | request | does |
//! |---|---|
//! | `GET /v1/status` | says what is held and why |
//! | `GET /v1/instances/NAME` | the same of one instance |
//! | `GET /v1/instances/NAME/lease?wait=10s` | gives its payload out, once there is one; it counts as use |
//! | `POST /v1/instances/NAME/renew` | obtains another lease now |
//! | `POST /v1/instances/NAME/revoke` | revokes what is held, and obtains another lease |
//! | `POST /v1/reload` | reads the configuration again; with `?remove=any` also one that removes much |
//! | `GET /v1/workers?after=ID&limit=1000&group=G&state=connected&instance=NAME` | lists workers and what they have applied, a page of them |
//! | `POST /v1/workers/ID/remove`, `…/ban` | shuts a worker out, which may join again, or may not |
//! | `GET /v1/tokens` | lists tokens that can be used |
//! | `POST /v1/tokens?group=G&uses=1&ttl=10m` | makes a token, and gives out its join string |
//! | `POST /v1/tokens/ID/revoke` | takes a token back |

use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deputy_core::schedule::Lease;
use deputy_core::{GroupName, InstanceName, Span};
use deputy_http_server::HttpHandler;
use deputy_link::{EnrolmentStatus, WorkerId};
use deputy_local::ControlError;
use deputy_local::reply::{self, SCHEMA, json};
use deputy_observe::Clock;
use http::{Method, Request, Response};
use serde::{Deserialize, Serialize};

use crate::handle::{CoordinatorHandle, ReloadSummary, RequestError};
use crate::lease_board::LeaseBoard;
use crate::workers::{TokenStatus, WorkerQuery, WorkerRequestError, WorkerStatus, Workers};

/// Reads the configuration again.
#[async_trait]
pub trait Reload: Send + Sync + 'static {
    /// Reads all of it and applies it, or says why nothing of it is applied.
    async fn reload(&self, removals: Removals) -> Result<ReloadReply, ControlError>;
}

/// How much of what is in use another configuration may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removals {
    /// Less than what suggests that its file was cut short.
    Few,
    /// All of it: the operator says so.
    Any,
}

/// Answers the operator.
pub struct Control {
    handle: CoordinatorHandle,
    board: Arc<LeaseBoard>,
    clock: Arc<dyn Clock>,
    reload: Arc<dyn Reload>,
    /// None if no address is configured at which they could come in.
    workers: Option<Workers>,
}

/// What a reload changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReply {
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

/// Workers, all or a page of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerList {
    /// The version of this form.
    pub schema: u32,
    /// In the order of their ids.
    pub workers: Vec<WorkerStatus>,
    /// What `after` is for the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<WorkerId>,
}

/// All tokens that can be used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenList {
    /// The version of this form.
    pub schema: u32,
    /// In the order of their ids.
    pub tokens: Vec<TokenStatus>,
}

/// The longest that a token lives.
const LONGEST_TOKEN: Span = Span::secs(30 * 86_400);

#[derive(Serialize)]
struct Done {
    schema: u32,
    done: &'static str,
}

impl ReloadReply {
    /// What a configuration changed, with what an operator should know about it.
    pub fn new(changed: ReloadSummary, warnings: Vec<String>) -> Self {
        let names = |names: Vec<InstanceName>| names.iter().map(ToString::to_string).collect();
        Self {
            schema: SCHEMA,
            added: names(changed.added),
            changed: names(changed.changed),
            removed: names(changed.removed),
            unchanged: changed.unchanged,
            warnings,
        }
    }
}

impl Control {
    /// For a coordinator.
    pub fn new(
        handle: CoordinatorHandle,
        board: Arc<LeaseBoard>,
        clock: Arc<dyn Clock>,
        reload: Arc<dyn Reload>,
    ) -> Self {
        Self { handle, board, clock, reload, workers: None }
    }

    /// The same, with workers.
    #[must_use]
    pub fn with_workers(self, workers: Option<Workers>) -> Self {
        Self { workers, ..self }
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
            (&Method::POST, ["v1", "reload"]) => json(&self.reload.reload(removals(request.uri().query())?).await?),
            (&Method::GET, ["v1", "workers"]) => {
                let page = self.workers()?.worker_page(&worker_query(request.uri().query())?).await?;
                json(&WorkerList { schema: SCHEMA, workers: page.workers, next: page.next })
            }
            (&Method::POST, ["v1", "workers", id, word @ ("remove" | "ban")]) => {
                let (standing, done) = match *word {
                    "ban" => (EnrolmentStatus::Banned, "ban"),
                    _ => (EnrolmentStatus::Removed, "remove"),
                };
                self.workers()?.shut_out(parsed(id)?, standing).await?;
                json(&Done { schema: SCHEMA, done })
            }
            (&Method::GET, ["v1", "tokens"]) => {
                json(&TokenList { schema: SCHEMA, tokens: self.workers()?.tokens().await? })
            }
            (&Method::POST, ["v1", "tokens"]) => self.create_token(request.uri().query().unwrap_or_default()).await,
            (&Method::POST, ["v1", "tokens", id, "revoke"]) => {
                self.workers()?.revoke_token(parsed(id)?).await?;
                json(&Done { schema: SCHEMA, done: "revoke" })
            }
            _ => Err(ControlError::new("request", "no such path for this method")),
        }
    }

    fn workers(&self) -> Result<&Workers, ControlError> {
        let hint = "this coordinator has no workers: `listen = \"0.0.0.0:8271\"` in [coordinator] lets them in";
        self.workers.as_ref().ok_or_else(|| ControlError::new("misconfigured", hint))
    }

    /// The one answer with a join string in it.
    async fn create_token(&self, query: &str) -> Result<Response<Bytes>, ControlError> {
        let (mut group, mut uses, mut life) = (None, 1, Span::secs(600));
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "group" => group = Some(parsed::<GroupName>(value)?),
                "uses" => uses = parsed::<u32>(value)?,
                "ttl" => life = parsed::<Span>(value)?,
                _ => return Err(ControlError::new("request", "a token has a group, uses, and a ttl")),
            }
        }
        let group = group.ok_or_else(|| ControlError::new("request", "a token is for a group"))?;
        if uses == 0 || life.as_millis() == 0 || life > LONGEST_TOKEN {
            return Err(ControlError::new("request", "a token has at least one use, and lives for 30 days at most"));
        }
        let workers = self.workers()?;
        let (string, expires) = workers.create_token(group.clone(), uses, life).await?;
        tracing::info!(token = %string.token, %group, uses, %expires, "join token created");
        let mut head = vec![("deputy-token", string.token.to_string()), ("deputy-expires", expires.to_string())];
        let groups = workers.groups();
        if !groups.is_empty() && !groups.contains(&group) {
            let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
            head.push(("deputy-other-groups", groups.join(", ")));
        }
        Ok(reply::secret(reply::SecretReply { head, text: string.reveal() }))
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
            None => {
                let error = ControlError::new("not-ready", &format!("{name} can't be given out: {}", status.reason));
                Err(ControlError { cause: status.trouble.map(|trouble| trouble.kind), ..error })
            }
        }
    }
}

impl HttpHandler for Control {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        self.route(&request).await.unwrap_or_else(|error| reply::refused(&error))
    }

    /// A reload compiles components.
    fn waits(&self, request: &Request<()>) -> bool {
        reply::waits(request) || request.uri().path() == "/v1/reload"
    }

    fn busy(&self) -> Response<Bytes> {
        reply::busy()
    }
}

impl From<RequestError> for ControlError {
    fn from(error: RequestError) -> Self {
        let kind = match &error {
            RequestError::CannotRevoke(_) => "cannot-revoke",
            RequestError::FileOnly(_) => "file-only",
            RequestError::Loading(_) | RequestError::Starting => "starting",
            RequestError::Stopping => "stopping",
            RequestError::Unknown(_) => "unknown",
        };
        Self::new(kind, &error.to_string())
    }
}

impl From<WorkerRequestError> for ControlError {
    fn from(error: WorkerRequestError) -> Self {
        let kind = match &error {
            WorkerRequestError::Kept(_) => "internal",
            WorkerRequestError::Stopping => "stopping",
            WorkerRequestError::UnknownToken(_) | WorkerRequestError::UnknownWorker(_) => "unknown",
        };
        Self::new(kind, &error.to_string())
    }
}

/// Which workers are asked for. What is left out says nothing.
fn worker_query(query: Option<&str>) -> Result<WorkerQuery, ControlError> {
    let mut wanted = WorkerQuery::default();
    for (name, value) in query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "after" => wanted.after = Some(parsed(value)?),
            "limit" => wanted.limit = Some(parsed(value)?),
            "group" => wanted.group = Some(parsed(value)?),
            "state" => wanted.state = Some(parsed(value)?),
            "instance" => wanted.instance = Some(parsed(value)?),
            _ => {
                let names = "workers are asked for with `after`, `limit`, `group`, `state` and `instance`";
                return Err(ControlError::new("request", names));
            }
        }
    }
    Ok(wanted)
}

fn removals(query: Option<&str>) -> Result<Removals, ControlError> {
    match query {
        None | Some("") => Ok(Removals::Few),
        Some("remove=any") => Ok(Removals::Any),
        Some(_) => Err(ControlError::new("request", "a reload takes nothing but remove=any")),
    }
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, ControlError> {
    text.parse().map_err(|error: T::Err| ControlError::new("request", &error.to_string()))
}

fn given(instance: &InstanceName, lease: &Lease, service: Option<String>) -> Response<Bytes> {
    tracing::info!(%instance, revision = %lease.revision, "payload sent over the control socket");
    let Lease { revision, obtained_at, valid_until, payload, .. } = lease.clone();
    reply::given(reply::LeaseReply { service, revision, obtained_at, valid_until, payload })
}
