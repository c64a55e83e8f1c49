//! What `deputy status` and its siblings ask a coordinator.

use std::path::Path;

use deputy_core::Span;
use deputy_local::{ClientError, Given, Peer, segment};
use http::Method;

use crate::control::Reloaded;
use crate::status::{InstanceStatus, Status};

/// Asks a coordinator over its control socket.
#[derive(Debug, Clone)]
pub struct Client(deputy_local::Client);

impl Client {
    /// Of the coordinator that listens there.
    pub fn new(socket: &Path, peer: Peer) -> Self {
        Self(deputy_local::Client::new(socket, peer))
    }

    /// What is held and why.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.0.json(Method::GET, "/v1/status").await
    }

    /// The same of one instance.
    ///
    /// # Errors
    /// If nobody answers, or there is no such instance.
    pub async fn instance(&self, name: &str) -> Result<InstanceStatus, ClientError> {
        self.0.json(Method::GET, &format!("/v1/instances/{}", segment(name))).await
    }

    /// Obtains another lease now.
    ///
    /// # Errors
    /// If nobody answers, or it can't be.
    pub async fn renew(&self, name: &str) -> Result<(), ClientError> {
        self.0.send(Method::POST, &format!("/v1/instances/{}/renew", segment(name))).await.map(drop)
    }

    /// Revokes what is held.
    ///
    /// # Errors
    /// If nobody answers, or it can't be.
    pub async fn revoke(&self, name: &str) -> Result<(), ClientError> {
        self.0.send(Method::POST, &format!("/v1/instances/{}/revoke", segment(name))).await.map(drop)
    }

    /// Reads the configuration again.
    ///
    /// # Errors
    /// If nobody answers, or something in it is wrong.
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.0.json(Method::POST, "/v1/reload").await
    }

    /// The payload of an instance.
    ///
    /// # Errors
    /// If nobody answers, or there is none in that time.
    pub async fn lease(&self, name: &str, wait: Span) -> Result<Given, ClientError> {
        self.0.lease(name, wait).await
    }
}
