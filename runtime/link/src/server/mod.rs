//! The coordinator's half: accepts workers, asks the desk who they are, and sends each what its group gets.
//!
//! One task for each connection, and nothing in it waits for another one: who does not read is written to until its time
//! is over, and then let go. Until it is known who somebody is, it is one of few [`Visitors`], may send one small frame, and
//! has seconds for it. Whoever is shut out is cut off at once, wherever its task is.
//!
//! What it knows of enrolment is the [`Desk`]; what is given out is in the [`Hub`]; who is there is in the [`Roster`].

mod connection;
mod pending_connections;
mod sessions;
mod tickets;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use deputy_core::{Digest, GroupName, InstanceName, Span};
use deputy_support::RateLimiter;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::certificate::PeerCertificate;
use crate::group_feed::GroupFeeds;
use crate::join::{TokenId, TokenSecret};
use crate::message::Certified;
use crate::name::WorkerId;
use crate::protocol_error::ProtocolError;
use deputy_support::pause;

pub use pending_connections::Origin;
use pending_connections::PendingConnections;
pub use sessions::{ReportObserver, Sessions, WorkerSession};
pub use tls::{ServerTls, ServerTlsError};

/// Who decides on workers.
#[async_trait]
pub trait LinkHandler: Send + Sync {
    /// Somebody shows a token and a request for a certificate (PKCS#10). Once begun it must come to its end, also if who
    /// asked has gone.
    async fn join(
        &self,
        from: SocketAddr,
        token: TokenId,
        secret: TokenSecret,
        request: Vec<u8>,
    ) -> Result<Certified, ProtocolError>;

    /// A worker wants another certificate. As with [`Self::join`].
    async fn renew(
        &self,
        from: SocketAddr,
        peer: PeerCertificate,
        sequence: u64,
        request: Vec<u8>,
    ) -> Result<Certified, ProtocolError>;

    /// The group of a worker that connects.
    async fn admit(&self, from: SocketAddr, peer: PeerCertificate) -> Result<GroupName, ProtocolError>;

    /// A worker wants these instances, or all it may have; gives those that it may not.
    async fn subscribed(
        &self,
        from: SocketAddr,
        worker: WorkerId,
        group: &GroupName,
        wanted: Option<Vec<InstanceName>>,
    ) -> Vec<ProtocolError>;

    /// A receiver's component, if the worker's group has it.
    ///
    /// # Errors
    /// If it has not.
    fn component(
        &self,
        from: SocketAddr,
        worker: WorkerId,
        group: &GroupName,
        digest: Digest,
    ) -> Result<Bytes, ProtocolError>;

    /// A handshake failed, or somebody broke the rules.
    fn suspicious(&self, from: SocketAddr, what: &str);
}

/// How the server treats connections.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Workers that are connected at once.
    pub workers: usize,
    /// Connections beside them, of which it is not known yet who they are; from one origin half as many.
    pub visitors: usize,
    /// Handshakes at once; from one origin half as many.
    pub handshakes: usize,
    /// How long a handshake may take, the wait for it included; and how long the first message of who has no certificate.
    pub greeting: Span,
    /// How often a worker gives a sign of life; it is gone after three that did not come.
    pub heartbeat: Span,
    /// How long one write may take.
    pub write: Span,
    /// How many workers may come back in a second after a restart.
    pub returns: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            workers: 50_000,
            visitors: 32_000,
            handshakes: 128,
            greeting: Span::secs(10),
            heartbeat: Span::secs(30),
            write: Span::secs(30),
            returns: 4000,
        }
    }
}

impl ServerLimits {
    /// As many connections as a process can have that may open so many files. Some of those are for the rest of it.
    #[must_use]
    pub fn within(self, files: u64) -> Self {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let room = files.saturating_sub((files / 8).max(256));
        let visitors = self.visitors.min(room / 3).max(1);
        Self { workers: self.workers.min(room - room / 3).max(1), visitors, ..self }
    }
}

/// Waiting connections that the kernel keeps: all of a large group come back at once.
const BACKLOG: u32 = 4096;

/// Serves workers.
pub struct LinkServer {
    shared: Arc<Shared>,
    listener: TcpListener,
}

/// What all connections share.
struct Shared {
    desk: Arc<dyn LinkHandler>,
    hub: Arc<GroupFeeds>,
    roster: Arc<Sessions>,
    tls: Arc<ServerTls>,
    limits: ServerLimits,
    visitors: Arc<PendingConnections>,
}

impl LinkServer {
    /// Listens.
    ///
    /// # Errors
    /// If the address is not to be had.
    pub fn bind(
        address: SocketAddr,
        desk: Arc<dyn LinkHandler>,
        hub: Arc<GroupFeeds>,
        roster: Arc<Sessions>,
        tls: Arc<ServerTls>,
        limits: ServerLimits,
    ) -> std::io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart need not wait for the last connections of the process before.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let visitors = PendingConnections::new(limits.visitors, limits.handshakes);
        Ok(Self { shared: Arc::new(Shared { desk, hub, roster, tls, limits, visitors }), listener })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is true, then says goodbye to everybody.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        let refused = RateLimiter::new(ACCEPT_ERRORS, Span::secs(60));
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, from)) => match self.shared.visitors.enter(from) {
                        Some(visitor) => {
                            connections.spawn(connection::serve(Arc::clone(&self.shared), stream, visitor));
                        }
                        None => self.shared.desk.suspicious(from, "too many connections wait for a handshake"),
                    },
                    Err(error) => {
                        // Out of files, as a rule: those that end give theirs back.
                        if let Some(suppressed) = refused.acquire(self.shared.roster.now()) {
                            tracing::warn!(%error, suppressed, "accepting a worker connection failed");
                        }
                        pause(Duration::from_millis(50)).await;
                    }
                }
            }
        }
        self.shared.roster.dismiss();
        let farewell = async { while connections.join_next().await.is_some() {} };
        drop(tokio::time::timeout(FAREWELL, farewell).await);
    }
}

/// Lines that are logged in a minute of connections that can't be accepted.
const ACCEPT_ERRORS: u32 = 6;

/// How long goodbyes may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Comes back when it is true, or when the one who could say it has gone, which says it, too.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
