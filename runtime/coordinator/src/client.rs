//! The client of the control socket, for `deputy status` and the other commands.

use std::path::Path;

use deputy_core::{GroupName, SecretBytes, Span};
use deputy_link::{TokenId, WorkerId};
use deputy_local::{
    ControlRequest, OTHER_GROUPS, Parameters, ReceivedPayload, SocketClientError, SocketPeer, TOKEN_EXPIRES, TOKEN_ID,
    header_text,
};

use crate::control::{CallReply, TokenList, WorkerList};
use crate::handle::Performer;
use crate::page_urls::PageUrl;
use crate::parameters::JoinTokenRequest;
use crate::reload::{ReloadReply, Removals};
use crate::status::{CoordinatorStatus, InstanceStatus, StatusQuery};
use crate::workers::WorkerQuery;

/// Sends requests to a coordinator.
#[derive(Debug, Clone)]
pub struct ControlClient(deputy_local::SocketClient);

impl ControlClient {
    pub fn new(socket: &Path, peer: SocketPeer) -> Self {
        Self(deputy_local::SocketClient::new(socket, peer))
    }

    /// The first page of the selected instances, with the instances of later pages up to the limit of the query. `next` says
    /// where the rest begins.
    ///
    /// # Errors
    /// If the coordinator does not answer.
    pub async fn status(&self, mut query: StatusQuery) -> Result<CoordinatorStatus, SocketClientError> {
        let limit = query.limit.unwrap_or(usize::MAX);
        let mut status = self.status_page(&query).await?;
        while let Some(next) = status.next.as_deref().and_then(|next| next.parse().ok()) {
            let missing = limit.saturating_sub(status.instances.len());
            if missing == 0 {
                break;
            }
            query = StatusQuery { after: Some(next), limit: Some(missing), ..query };
            let page = self.status_page(&query).await?;
            status.instances.extend(page.instances);
            status.next = page.next;
        }
        Ok(status)
    }

    async fn status_page(&self, query: &StatusQuery) -> Result<CoordinatorStatus, SocketClientError> {
        self.0.json(&ControlRequest::Status, &query.encode()).await
    }

    /// # Errors
    /// If the coordinator does not answer, or refuses the request.
    pub async fn instance(&self, name: &str) -> Result<InstanceStatus, SocketClientError> {
        self.0.json(&ControlRequest::Instance(name.to_owned()), &Parameters::default()).await
    }

    /// # Errors
    /// If the coordinator does not answer, or refuses the request.
    pub async fn renew(&self, name: &str) -> Result<Performer, SocketClientError> {
        self.call(&ControlRequest::Renew(name.to_owned())).await
    }

    /// # Errors
    /// If the coordinator does not answer, or refuses the request.
    pub async fn revoke(&self, name: &str) -> Result<Performer, SocketClientError> {
        self.call(&ControlRequest::Revoke(name.to_owned())).await
    }

    /// # Errors
    /// If the coordinator does not answer, or refuses the request.
    pub async fn reload(&self, removals: Removals) -> Result<ReloadReply, SocketClientError> {
        self.0.json(&ControlRequest::Reload, &removals.encode()).await
    }

    /// A URL of the live page, which can be opened once.
    ///
    /// # Errors
    /// If the coordinator does not answer, or has no page.
    pub async fn open_page(&self) -> Result<PageUrl, SocketClientError> {
        self.0.json(&ControlRequest::OpenPage, &Parameters::default()).await
    }

    async fn call(&self, request: &ControlRequest) -> Result<Performer, SocketClientError> {
        self.0.json::<CallReply>(request, &Parameters::default()).await.map(|reply| reply.by)
    }

    async fn command(&self, request: &ControlRequest) -> Result<(), SocketClientError> {
        self.0.send(request, &Parameters::default()).await.map(drop)
    }

    /// # Errors
    /// If the coordinator does not answer, or refuses the request.
    pub async fn lease(&self, name: &str, wait: Span) -> Result<ReceivedPayload, SocketClientError> {
        self.0.lease(name, wait).await
    }

    /// One page of workers.
    ///
    /// # Errors
    /// If the coordinator does not answer, or refuses the request.
    pub async fn workers(&self, query: &WorkerQuery) -> Result<WorkerList, SocketClientError> {
        self.0.json(&ControlRequest::Workers, &query.encode()).await
    }

    /// Removes a worker. It may enrol again.
    ///
    /// # Errors
    /// If the coordinator does not answer, or refuses the request.
    pub async fn remove_worker(&self, worker: WorkerId) -> Result<(), SocketClientError> {
        self.command(&ControlRequest::RemoveWorker(worker.to_string())).await
    }

    /// Removes a worker and refuses its key from now on.
    ///
    /// # Errors
    /// If the coordinator does not answer, or refuses the request.
    pub async fn ban_worker(&self, worker: WorkerId) -> Result<(), SocketClientError> {
        self.command(&ControlRequest::BanWorker(worker.to_string())).await
    }

    /// # Errors
    /// If the coordinator does not answer, or refuses the request.
    pub async fn tokens(&self) -> Result<TokenList, SocketClientError> {
        self.0.json(&ControlRequest::Tokens, &Parameters::default()).await
    }

    /// # Errors
    /// If the coordinator does not answer, or refuses the request.
    pub async fn create_token(&self, group: &GroupName, uses: u32, life: Span) -> Result<NewToken, SocketClientError> {
        let request = JoinTokenRequest { group: group.clone(), uses, ttl: life };
        let (head, body) = self.0.send(&ControlRequest::CreateToken, &request.encode()).await?;
        Ok(NewToken {
            other_groups: header_text(&head.headers, OTHER_GROUPS),
            id: header_text(&head.headers, TOKEN_ID).unwrap_or_default(),
            expires: header_text(&head.headers, TOKEN_EXPIRES).unwrap_or_default(),
            join_string: SecretBytes::new(body.to_vec()),
        })
    }

    /// # Errors
    /// If the coordinator does not answer, or refuses the request.
    pub async fn revoke_token(&self, token: TokenId) -> Result<(), SocketClientError> {
        self.command(&ControlRequest::RevokeToken(token.to_string())).await
    }
}

#[derive(Debug)]
pub struct NewToken {
    pub id: String,
    /// RFC 3339.
    pub expires: String,
    /// The groups with deliveries, if the token's group has none.
    pub other_groups: Option<String>,
    pub join_string: SecretBytes,
}
