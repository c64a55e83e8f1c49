//! What `deputy status` and its siblings ask a coordinator.

use std::path::Path;

use deputy_core::{GroupName, SecretBytes, Span};
use deputy_link::{TokenId, WorkerId};
use deputy_local::{
    ControlRequest, OTHER_GROUPS, Parameters, ReceivedPayload, SocketClientError, SocketPeer, TOKEN_EXPIRES, TOKEN_ID,
};

use crate::control::{ReloadReply, TokenList, WorkerList};
use crate::parameters::{JoinTokenRequest, Removals};
use crate::status::{CoordinatorStatus, InstanceStatus};
use crate::workers::WorkerQuery;

/// Asks a coordinator over its control socket.
#[derive(Debug, Clone)]
pub struct ControlClient(deputy_local::SocketClient);

impl ControlClient {
    /// Of the coordinator that listens there.
    pub fn new(socket: &Path, peer: SocketPeer) -> Self {
        Self(deputy_local::SocketClient::new(socket, peer))
    }

    /// What is held and why.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn status(&self) -> Result<CoordinatorStatus, SocketClientError> {
        self.0.json(&ControlRequest::Status, &Parameters::default()).await
    }

    /// The same of one instance.
    ///
    /// # Errors
    /// If nobody answers, or there is no such instance.
    pub async fn instance(&self, name: &str) -> Result<InstanceStatus, SocketClientError> {
        self.0.json(&ControlRequest::Instance(name.to_owned()), &Parameters::default()).await
    }

    /// Obtains another lease now.
    ///
    /// # Errors
    /// If nobody answers, or it can't be.
    pub async fn renew(&self, name: &str) -> Result<(), SocketClientError> {
        self.command(&ControlRequest::Renew(name.to_owned())).await
    }

    /// Revokes what is held.
    ///
    /// # Errors
    /// If nobody answers, or it can't be.
    pub async fn revoke(&self, name: &str) -> Result<(), SocketClientError> {
        self.command(&ControlRequest::Revoke(name.to_owned())).await
    }

    /// Reads the configuration again.
    ///
    /// # Errors
    /// If nobody answers, or something in it is wrong, or it removes more than it may.
    pub async fn reload(&self, removals: Removals) -> Result<ReloadReply, SocketClientError> {
        self.0.json(&ControlRequest::Reload, &removals.encode()).await
    }

    async fn command(&self, request: &ControlRequest) -> Result<(), SocketClientError> {
        self.0.send(request, &Parameters::default()).await.map(drop)
    }

    /// The payload of an instance.
    ///
    /// # Errors
    /// If nobody answers, or there is none in that time.
    pub async fn lease(&self, name: &str, wait: Span) -> Result<ReceivedPayload, SocketClientError> {
        self.0.lease(name, wait).await
    }

    /// Workers, as far as one answer holds them.
    ///
    /// # Errors
    /// If nobody answers, or the coordinator has none.
    pub async fn workers(&self, query: &WorkerQuery) -> Result<WorkerList, SocketClientError> {
        self.0.json(&ControlRequest::Workers, &query.encode()).await
    }

    /// Shuts a worker out; it may join again.
    ///
    /// # Errors
    /// If nobody answers, or there is no such worker.
    pub async fn remove_worker(&self, worker: WorkerId) -> Result<(), SocketClientError> {
        self.command(&ControlRequest::RemoveWorker(worker.to_string())).await
    }

    /// Shuts a worker out for good.
    ///
    /// # Errors
    /// If nobody answers, or there is no such worker.
    pub async fn ban_worker(&self, worker: WorkerId) -> Result<(), SocketClientError> {
        self.command(&ControlRequest::BanWorker(worker.to_string())).await
    }

    /// All tokens that can be used.
    ///
    /// # Errors
    /// If nobody answers, or the coordinator has no workers.
    pub async fn tokens(&self) -> Result<TokenList, SocketClientError> {
        self.0.json(&ControlRequest::Tokens, &Parameters::default()).await
    }

    /// Makes a token.
    ///
    /// # Errors
    /// If nobody answers, or the coordinator has no workers.
    pub async fn create_token(&self, group: &GroupName, uses: u32, life: Span) -> Result<NewToken, SocketClientError> {
        let request = JoinTokenRequest { group: group.clone(), uses, ttl: life };
        let (head, body) = self.0.send(&ControlRequest::CreateToken, &request.encode()).await?;
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(NewToken {
            other_groups: header(OTHER_GROUPS),
            id: header(TOKEN_ID).unwrap_or_default(),
            expires: header(TOKEN_EXPIRES).unwrap_or_default(),
            join: SecretBytes::new(body.to_vec()),
        })
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// If nobody answers, or there is no such token.
    pub async fn revoke_token(&self, token: TokenId) -> Result<(), SocketClientError> {
        self.command(&ControlRequest::RevokeToken(token.to_string())).await
    }
}

/// A token that was made.
#[derive(Debug)]
pub struct NewToken {
    /// Its id.
    pub id: String,
    /// When it ends, RFC 3339.
    pub expires: String,
    /// The groups that get something, if this one does not.
    pub other_groups: Option<String>,
    /// The string that a worker joins with.
    pub join: SecretBytes,
}
