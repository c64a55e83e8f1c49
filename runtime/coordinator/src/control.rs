//! The control socket of a coordinator. The mode of the socket's file decides which users may connect.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use deputy_core::schedule::Lease;
use deputy_core::time::Clock;
use deputy_core::{InstanceName, LeaseVersion, S3Places, SecretBytes, Span};
use deputy_http_server::HttpHandler;
use deputy_link::{EnrolmentStatus, WorkerId};
use deputy_local::reply::{self, LeaseHeaders, json};
use deputy_local::{
    ControlError, ControlRequest, OTHER_GROUPS, Parameters, SCHEMA, TOKEN_EXPIRES, TOKEN_ID, lease_wait,
};
use http::{Request, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::handle::{CoordinatorHandle, Performer};
use crate::lease_board::LeaseBoard;
use crate::local_worker_view::LocalWorkerView;
use crate::page_urls::PageUrls;
use crate::parameters::JoinTokenRequest;
use crate::reload::{Reload, Removals};
use crate::request_error::ControlRequestError;
use crate::status::StatusQuery;
use crate::workers::{TokenStatus, WorkerQuery, WorkerRequestError, WorkerStatus, Workers};

/// Answers [requests](ControlRequest) on the control socket.
pub struct Control {
    handle: CoordinatorHandle,
    board: Arc<LeaseBoard>,
    clock: Arc<dyn Clock>,
    reload: Arc<dyn Reload>,
    /// `None` without `listen` in the configuration.
    workers: Option<Workers>,
    /// `None` without receivers and endpoints in the configuration.
    local: Option<Arc<dyn LocalWorkerView>>,
    /// `None` without `health` in the configuration.
    page: Option<Arc<dyn PageUrls>>,
    /// As far as the configuration in effect says it.
    places: watch::Receiver<Arc<S3Places>>,
}

/// A page of workers, in the order of their ids.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerList {
    pub schema: u32,
    pub workers: Vec<WorkerStatus>,
    /// The value of `after` for the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<WorkerId>,
}

/// All join tokens that can still be used, in the order of their ids.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenList {
    pub schema: u32,
    pub tokens: Vec<TokenStatus>,
}

#[derive(Serialize)]
struct DoneReply {
    schema: u32,
    done: &'static str,
}

/// The answer to a request for a call.
#[derive(Serialize, Deserialize)]
pub(crate) struct CallReply {
    schema: u32,
    #[serde(skip_deserializing)]
    done: &'static str,
    /// Missing in the reply of an older coordinator.
    #[serde(default)]
    pub(crate) by: Performer,
}

impl Control {
    pub fn new(
        handle: CoordinatorHandle,
        board: Arc<LeaseBoard>,
        clock: Arc<dyn Clock>,
        reload: Arc<dyn Reload>,
    ) -> Self {
        let (_, places) = watch::channel(Arc::default());
        Self { handle, board, clock, reload, workers: None, local: None, page: None, places }
    }

    /// Also answers requests about workers and join tokens.
    #[must_use]
    pub fn with_workers(self, workers: Option<Workers>) -> Self {
        Self { workers, ..self }
    }

    /// Also shows what this process publishes itself.
    #[must_use]
    pub fn with_local(self, local: Option<Arc<dyn LocalWorkerView>>) -> Self {
        Self { local, ..self }
    }

    /// Also makes URLs of the live page.
    #[must_use]
    pub fn with_page(self, page: Option<Arc<dyn PageUrls>>) -> Self {
        Self { page, ..self }
    }

    /// Also says where the S3 of an instance is.
    #[must_use]
    pub fn with_places(self, places: watch::Receiver<Arc<S3Places>>) -> Self {
        Self { places, ..self }
    }

    async fn status(&self, query: StatusQuery) -> Result<Response<Bytes>, ControlError> {
        let mut status = self.handle.status(query).await?;
        if let Some(local) = &self.local
            && let Some((report, ready)) = local.status().await
        {
            status.ready &= ready;
            status.local = Some(report);
        }
        json(&status)
    }

    async fn route(&self, request: &Request<()>) -> Result<Response<Bytes>, ControlError> {
        let parameters = Parameters::decode(request.uri().query());
        let Some(request) = ControlRequest::of(request) else {
            return Err(ControlError::new("request", "no such path for this method"));
        };
        match &request {
            ControlRequest::BanWorker(id) => {
                self.workers()?.exclude(parse(id)?, EnrolmentStatus::Banned).await?;
                done("ban")
            }
            ControlRequest::CreateToken => self.create_token(JoinTokenRequest::decode(&parameters)?).await,
            ControlRequest::Instance(name) => json(&self.handle.instance(name).await?),
            ControlRequest::Lease(name) => self.lease(name, lease_wait(&parameters)?).await,
            ControlRequest::OpenPage => json(&self.page()?.url()?),
            ControlRequest::Reload => json(&self.reload.reload(Removals::decode(&parameters)?).await?),
            ControlRequest::RemoveWorker(id) => {
                self.workers()?.exclude(parse(id)?, EnrolmentStatus::Removed).await?;
                done("remove")
            }
            ControlRequest::Renew(name) => {
                json(&CallReply { schema: SCHEMA, done: "renew", by: self.handle.renew(name).await? })
            }
            ControlRequest::Revoke(name) => {
                json(&CallReply { schema: SCHEMA, done: "revoke", by: self.handle.revoke(name).await? })
            }
            ControlRequest::RevokeToken(id) => {
                self.workers()?.revoke_token(parse(id)?).await?;
                done("revoke")
            }
            ControlRequest::Status => self.status(StatusQuery::decode(&parameters)?).await,
            ControlRequest::Tokens => json(&TokenList { schema: SCHEMA, tokens: self.workers()?.tokens().await? }),
            ControlRequest::Workers => {
                let page = self.workers()?.worker_page(&WorkerQuery::decode(&parameters)?).await?;
                json(&WorkerList { schema: SCHEMA, workers: page.workers, next: page.next })
            }
        }
    }

    fn workers(&self) -> Result<&Workers, ControlError> {
        let hint = "this coordinator serves no workers: `listen = \"0.0.0.0:8271\"` in [coordinator] lets them connect";
        self.workers.as_ref().ok_or_else(|| ControlError::new("misconfigured", hint))
    }

    fn page(&self) -> Result<&dyn PageUrls, ControlError> {
        let hint = "this coordinator has no page: `health = \"127.0.0.1:8270\"` in [coordinator], and a restart, open a port for it";
        self.page.as_deref().ok_or_else(|| ControlError::new("misconfigured", hint))
    }

    /// The only reply with a join string.
    async fn create_token(&self, request: JoinTokenRequest) -> Result<Response<Bytes>, ControlError> {
        let JoinTokenRequest { group, uses, ttl } = request;
        let workers = self.workers()?;
        let (join_string, expires) = workers.create_token(group.clone(), uses, ttl).await?;
        tracing::info!(token = %join_string.token, %group, uses, %expires, "join token created");
        let mut headers = vec![(TOKEN_ID, join_string.token.to_string()), (TOKEN_EXPIRES, expires.to_string())];
        let groups = workers.groups();
        if !groups.is_empty() && !groups.contains(&group) {
            let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
            headers.push((OTHER_GROUPS, groups.join(", ")));
        }
        Ok(reply::secret(headers, Arc::new(SecretBytes::new(join_string.reveal().as_bytes().to_vec()))))
    }

    async fn lease(&self, name: &str, wait: Span) -> Result<Response<Bytes>, ControlError> {
        // A lease that an earlier process saved is served while components are still being loaded.
        if !self.handle.is_configured()
            && let Ok(instance) = name.parse::<InstanceName>()
            && let Some(lease) = self.valid_lease(&instance)
        {
            return Ok(self.lease_reply(&instance, &lease));
        }
        let wait = self.wait_until_configured(wait).await;
        // Subscribed before the request, so that no lease that follows from it is missed.
        let mut changes = self.board.changes();
        let instance = self.handle.request_lease(name).await?;
        let published = async {
            loop {
                if let Some(lease) = self.valid_lease(&instance) {
                    return Some(lease);
                }
                changes.changed().await.ok()?;
            }
        };
        let lease = tokio::time::timeout(wait.duration(), published).await;
        let lease = lease.unwrap_or_else(|_| self.valid_lease(&instance));
        let status = self.handle.instance(name).await?;
        match lease {
            Some(lease) => Ok(self.lease_reply(&instance, &lease)),
            None => {
                let error = ControlError::new("not-ready", &format!("{name} is not ready: {}", status.reason));
                Err(ControlError { cause: status.trouble.map(|failure| failure.kind), ..error })
            }
        }
    }

    fn lease_reply(&self, instance: &InstanceName, lease: &Lease) -> Response<Bytes> {
        tracing::info!(%instance, revision = %lease.revision, "payload sent over the control socket");
        let headers = LeaseHeaders {
            version: LeaseVersion { revision: lease.revision, obtained_at: lease.obtained_at },
            service: lease.service.clone(),
            kind: lease.kind.clone(),
            valid_until: lease.valid_until,
            place: self.places.borrow().get(instance).cloned().unwrap_or_default(),
        };
        reply::lease(headers, Arc::clone(&lease.payload))
    }

    fn valid_lease(&self, instance: &InstanceName) -> Option<Lease> {
        self.board.lease(instance).filter(|lease| lease.is_valid(self.clock.now().wall))
    }

    /// Returns what is left of the wait.
    async fn wait_until_configured(&self, wait: Span) -> Span {
        let began = self.clock.now().mono;
        tokio::time::timeout(wait.duration(), self.handle.wait_until_configured()).await.ok();
        let waited = self.clock.now().mono.since(began).as_millis();
        Span::millis(wait.as_millis().saturating_sub(waited))
    }
}

impl HttpHandler for Control {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        self.route(&request).await.unwrap_or_else(|error| reply::error(&error))
    }

    /// A reload may compile components.
    fn waits(&self, request: &Request<()>) -> bool {
        reply::is_waiting(request) || ControlRequest::of(request) == Some(ControlRequest::Reload)
    }

    fn busy(&self) -> Response<Bytes> {
        reply::busy()
    }
}

impl From<ControlRequestError> for ControlError {
    fn from(error: ControlRequestError) -> Self {
        let kind = match &error {
            ControlRequestError::CannotRevoke(_) => "cannot-revoke",
            ControlRequestError::FileOnly(_) => "file-only",
            ControlRequestError::Loading(_) | ControlRequestError::Starting => "starting",
            ControlRequestError::Stopping => "stopping",
            ControlRequestError::Unasked(_) | ControlRequestError::Unconfirmed(..) => "unavailable",
            ControlRequestError::Unknown(_) => "unknown",
        };
        Self::new(kind, &error.to_string())
    }
}

impl From<WorkerRequestError> for ControlError {
    fn from(error: WorkerRequestError) -> Self {
        let kind = match &error {
            WorkerRequestError::Unchanged(_) | WorkerRequestError::Unsaved(_) => "unavailable",
            WorkerRequestError::Stopping => "stopping",
            WorkerRequestError::UnknownToken(_) | WorkerRequestError::UnknownWorker(_) => "unknown",
        };
        Self::new(kind, &error.to_string())
    }
}

fn done(operation: &'static str) -> Result<Response<Bytes>, ControlError> {
    json(&DoneReply { schema: SCHEMA, done: operation })
}

fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, ControlError> {
    text.parse().map_err(|error: T::Err| ControlError::new("request", &error.to_string()))
}
