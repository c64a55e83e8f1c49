//! What the server asks of its owner.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use deputy_core::{Digest, GroupName, InstanceName};

use crate::TokenId;
use crate::certificate::PeerCertificate;
use crate::join::TokenSecret;
use crate::message::Certified;
use crate::name::WorkerId;
use crate::protocol_error::ProtocolError;

/// Decides about workers.
#[async_trait]
pub trait LinkHandler: Send + Sync {
    /// Enrols a worker that presents a token and a certificate request (PKCS#10). Once begun it must complete, even if the
    /// connection ends meanwhile.
    async fn join(
        &self,
        from: SocketAddr,
        token: TokenId,
        secret: TokenSecret,
        request: Vec<u8>,
    ) -> Result<Certified, ProtocolError>;

    /// Renews a worker's certificate. It must complete, as [`Self::join`] must.
    async fn renew(
        &self,
        from: SocketAddr,
        peer: PeerCertificate,
        sequence: u64,
        request: Vec<u8>,
    ) -> Result<Certified, ProtocolError>;

    /// Admits a worker that connects, and returns its group.
    async fn admit(&self, from: SocketAddr, peer: PeerCertificate) -> Result<GroupName, ProtocolError>;

    /// Records that a worker subscribed to these instances, or to all that its group may have. Returns a refusal for each
    /// that it may not have.
    async fn subscribed(
        &self,
        from: SocketAddr,
        worker: WorkerId,
        group: &GroupName,
        instances: Option<Vec<InstanceName>>,
    ) -> Vec<ProtocolError>;

    /// A receiver's component, if the worker's group has it.
    fn component(
        &self,
        from: SocketAddr,
        worker: WorkerId,
        group: &GroupName,
        digest: Digest,
    ) -> Result<Bytes, ProtocolError>;

    /// Records a failed handshake or a violation of the protocol.
    fn suspicious(&self, from: SocketAddr, what: &str);
}
