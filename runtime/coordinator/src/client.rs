//! What `deputy status` and its siblings ask a coordinator.

use std::path::Path;

use deputy_core::{GroupName, SecretBytes, Span};
use deputy_link::{TokenId, WorkerId};
use deputy_local::{ReceivedPayload, SocketClientError, SocketPeer, segment};
use http::Method;

use crate::control::{ReloadReply, Removals, TokenList, WorkerList};
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
        self.0.json(Method::GET, "/v1/status").await
    }

    /// The same of one instance.
    ///
    /// # Errors
    /// If nobody answers, or there is no such instance.
    pub async fn instance(&self, name: &str) -> Result<InstanceStatus, SocketClientError> {
        self.0.json(Method::GET, &format!("/v1/instances/{}", segment(name))).await
    }

    /// Obtains another lease now.
    ///
    /// # Errors
    /// If nobody answers, or it can't be.
    pub async fn renew(&self, name: &str) -> Result<(), SocketClientError> {
        self.0.send(Method::POST, &format!("/v1/instances/{}/renew", segment(name))).await.map(drop)
    }

    /// Revokes what is held.
    ///
    /// # Errors
    /// If nobody answers, or it can't be.
    pub async fn revoke(&self, name: &str) -> Result<(), SocketClientError> {
        self.0.send(Method::POST, &format!("/v1/instances/{}/revoke", segment(name))).await.map(drop)
    }

    /// Reads the configuration again.
    ///
    /// # Errors
    /// If nobody answers, or something in it is wrong, or it removes more than it may.
    pub async fn reload(&self, removals: Removals) -> Result<ReloadReply, SocketClientError> {
        let path = match removals {
            Removals::Few => "/v1/reload",
            Removals::Any => "/v1/reload?remove=any",
        };
        self.0.json(Method::POST, path).await
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
        let pairs = [
            ("after", query.after.map(|after| after.to_string())),
            ("limit", query.limit.map(|limit| limit.to_string())),
            ("group", query.group.as_ref().map(ToString::to_string)),
            ("state", query.state.map(|state| state.word().to_owned())),
            ("instance", query.instance.as_ref().map(ToString::to_string)),
        ];
        // None of these has a letter in it that means something in a query.
        let pairs: Vec<String> =
            pairs.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect();
        self.0.json(Method::GET, &format!("/v1/workers?{}", pairs.join("&"))).await
    }

    /// Shuts a worker out; it may join again.
    ///
    /// # Errors
    /// If nobody answers, or there is no such worker.
    pub async fn remove_worker(&self, worker: WorkerId) -> Result<(), SocketClientError> {
        self.0.send(Method::POST, &format!("/v1/workers/{worker}/remove")).await.map(drop)
    }

    /// Shuts a worker out for good.
    ///
    /// # Errors
    /// If nobody answers, or there is no such worker.
    pub async fn ban_worker(&self, worker: WorkerId) -> Result<(), SocketClientError> {
        self.0.send(Method::POST, &format!("/v1/workers/{worker}/ban")).await.map(drop)
    }

    /// All tokens that can be used.
    ///
    /// # Errors
    /// If nobody answers, or the coordinator has no workers.
    pub async fn tokens(&self) -> Result<TokenList, SocketClientError> {
        self.0.json(Method::GET, "/v1/tokens").await
    }

    /// Makes a token.
    ///
    /// # Errors
    /// If nobody answers, or the coordinator has no workers.
    pub async fn create_token(&self, group: &GroupName, uses: u32, life: Span) -> Result<NewToken, SocketClientError> {
        let path = format!("/v1/tokens?group={group}&uses={uses}&ttl={life}");
        let (head, body) = self.0.send(Method::POST, &path).await?;
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (id, expires) = (header("deputy-token"), header("deputy-expires"));
        Ok(NewToken {
            other_groups: header("deputy-other-groups"),
            id: id.unwrap_or_default(),
            expires: expires.unwrap_or_default(),
            join: SecretBytes::new(body.to_vec()),
        })
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// If nobody answers, or there is no such token.
    pub async fn revoke_token(&self, token: TokenId) -> Result<(), SocketClientError> {
        self.0.send(Method::POST, &format!("/v1/tokens/{token}/revoke")).await.map(drop)
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
