//! The operator's way in: HTTP with JSON over a Unix socket, whose file's mode says who may use it.
//! [`ControlRequest`] lists the requests, [`parameters`](crate::parameters) what they take.

use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deputy_core::schedule::Lease;
use deputy_core::time::Clock;
use deputy_core::{InstanceName, LeaseVersion, SecretBytes, Span};
use deputy_http_server::HttpHandler;
use deputy_link::{EnrolmentStatus, WorkerId};
use deputy_local::reply::{self, json};
use deputy_local::{
    ControlError, ControlRequest, OTHER_GROUPS, Parameters, SCHEMA, TOKEN_EXPIRES, TOKEN_ID, lease_wait,
};
use http::{Request, Response};
use serde::{Deserialize, Serialize};

use crate::handle::{CoordinatorHandle, ReloadSummary, RequestError};
use crate::lease_board::LeaseBoard;
use crate::parameters::{JoinTokenRequest, Removals};
use crate::workers::{TokenStatus, WorkerQuery, WorkerRequestError, WorkerStatus, Workers};

/// Reads the configuration again.
#[async_trait]
pub trait Reload: Send + Sync + 'static {
    /// Reads all of it and applies it, or says why nothing of it is applied.
    async fn reload(&self, removals: Removals) -> Result<ReloadReply, ControlError>;
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
        let parameters = Parameters::decode(request.uri().query());
        let Some(request) = ControlRequest::of(request) else {
            return Err(ControlError::new("request", "no such path for this method"));
        };
        match &request {
            ControlRequest::BanWorker(id) => {
                self.workers()?.shut_out(parsed(id)?, EnrolmentStatus::Banned).await?;
                json(&Done { schema: SCHEMA, done: "ban" })
            }
            ControlRequest::CreateToken => self.create_token(JoinTokenRequest::decode(&parameters)?).await,
            ControlRequest::Instance(name) => json(&self.handle.instance(name).await?),
            ControlRequest::Lease(name) => self.lease(name, lease_wait(&parameters)?).await,
            ControlRequest::Reload => json(&self.reload.reload(Removals::decode(&parameters)?).await?),
            ControlRequest::RemoveWorker(id) => {
                self.workers()?.shut_out(parsed(id)?, EnrolmentStatus::Removed).await?;
                json(&Done { schema: SCHEMA, done: "remove" })
            }
            ControlRequest::Renew(name) => {
                self.handle.renew(name).await?;
                json(&Done { schema: SCHEMA, done: "renew" })
            }
            ControlRequest::Revoke(name) => {
                self.handle.revoke(name).await?;
                json(&Done { schema: SCHEMA, done: "revoke" })
            }
            ControlRequest::RevokeToken(id) => {
                self.workers()?.revoke_token(parsed(id)?).await?;
                json(&Done { schema: SCHEMA, done: "revoke" })
            }
            ControlRequest::Status => json(&self.handle.status().await?),
            ControlRequest::Tokens => json(&TokenList { schema: SCHEMA, tokens: self.workers()?.tokens().await? }),
            ControlRequest::Workers => {
                let page = self.workers()?.worker_page(&WorkerQuery::decode(&parameters)?).await?;
                json(&WorkerList { schema: SCHEMA, workers: page.workers, next: page.next })
            }
        }
    }

    fn workers(&self) -> Result<&Workers, ControlError> {
        let hint = "this coordinator has no workers: `listen = \"0.0.0.0:8271\"` in [coordinator] lets them in";
        self.workers.as_ref().ok_or_else(|| ControlError::new("misconfigured", hint))
    }

    /// The one reply with a join string in it.
    async fn create_token(&self, request: JoinTokenRequest) -> Result<Response<Bytes>, ControlError> {
        let JoinTokenRequest { group, uses, ttl } = request;
        let workers = self.workers()?;
        let (string, expires) = workers.create_token(group.clone(), uses, ttl).await?;
        tracing::info!(token = %string.token, %group, uses, %expires, "join token created");
        let mut headers = vec![(TOKEN_ID, string.token.to_string()), (TOKEN_EXPIRES, expires.to_string())];
        let groups = workers.groups();
        if !groups.is_empty() && !groups.contains(&group) {
            let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
            headers.push((OTHER_GROUPS, groups.join(", ")));
        }
        Ok(reply::secret(headers, Arc::new(SecretBytes::new(string.reveal().as_bytes().to_vec()))))
    }

    async fn lease(&self, name: &str, wait: Span) -> Result<Response<Bytes>, ControlError> {
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
                let error = ControlError::new("not-ready", &format!("{name} is not ready: {}", status.reason));
                Err(ControlError { cause: status.trouble.map(|trouble| trouble.kind), ..error })
            }
        }
    }
}

impl HttpHandler for Control {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        self.route(&request).await.unwrap_or_else(|error| reply::error(&error))
    }

    /// A reload compiles components.
    fn waits(&self, request: &Request<()>) -> bool {
        reply::is_waiting(request) || ControlRequest::of(request) == Some(ControlRequest::Reload)
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

fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, ControlError> {
    text.parse().map_err(|error: T::Err| ControlError::new("request", &error.to_string()))
}

fn given(instance: &InstanceName, lease: &Lease, service: Option<String>) -> Response<Bytes> {
    tracing::info!(%instance, revision = %lease.revision, "payload sent over the control socket");
    let version = LeaseVersion { revision: lease.revision, obtained_at: lease.obtained_at };
    reply::lease(version, service.as_deref(), lease.valid_until, Arc::clone(&lease.payload))
}
