//! The coordinator's side of the link: accepts workers and sends each what its group gets.
//!
//! Each connection is a task of its own, and none waits for another: a peer that does not read is disconnected after the
//! write timeout. A connection that has not authenticated is one of a bounded number of pending connections, and may send
//! one small frame before a deadline. A worker whose enrolment ends is disconnected at once, whatever its task is doing.
//!
//! [`LinkHandler`] decides about workers, [`GroupFeeds`] holds what they get, and [`Sessions`] lists them.

mod connection;
mod connection_end;
mod departed;
mod handler;
mod limits;
mod pending_connections;
mod send;
mod session;
mod sessions;
mod tickets;
mod tls;
mod unauthenticated;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::Span;
use deputy_support::{RateLimiter, pause};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::group_feed::GroupFeeds;

pub use handler::LinkHandler;
pub use limits::ServerLimits;
pub use pending_connections::Origin;
use pending_connections::{PendingConnections, TOO_MANY_PENDING};
pub use sessions::{ReportObserver, Sessions, WorkerSession};
pub use tls::{ServerTls, ServerTlsError};

/// Connections that the kernel queues: all workers of a large group may reconnect at once.
const BACKLOG: u32 = 4096;

/// Pause after a failed `accept`, such as one without a free file descriptor.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Log lines about failed `accept`s per minute.
const ACCEPT_ERRORS_LOGGED: u32 = 6;

/// Deadline for sending `Shutdown` to all workers.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves workers on one address.
pub struct LinkServer {
    context: Arc<ServerContext>,
    listener: TcpListener,
}

/// What all connections share.
struct ServerContext {
    handler: Arc<dyn LinkHandler>,
    feeds: Arc<GroupFeeds>,
    sessions: Arc<Sessions>,
    tls: Arc<ServerTls>,
    limits: ServerLimits,
    pending: Arc<PendingConnections>,
}

impl LinkServer {
    pub fn bind(
        address: SocketAddr,
        handler: Arc<dyn LinkHandler>,
        feeds: Arc<GroupFeeds>,
        sessions: Arc<Sessions>,
        tls: Arc<ServerTls>,
        limits: ServerLimits,
    ) -> std::io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Without it, a restart would wait for the last connections of the previous process.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let pending = PendingConnections::new(limits.pending_connections, limits.handshakes);
        Ok(Self { context: Arc::new(ServerContext { handler, feeds, sessions, tls, limits, pending }), listener })
    }

    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is true, then sends `Shutdown` to all workers.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        let accept_errors = RateLimiter::new(ACCEPT_ERRORS_LOGGED, Span::secs(60));
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, from)) => match self.context.pending.enter(from) {
                        Some(pending) => {
                            connections.spawn(connection::serve(Arc::clone(&self.context), stream, pending));
                        }
                        None => self.context.handler.suspicious(from, TOO_MANY_PENDING),
                    },
                    Err(error) => {
                        if let Some(suppressed) = accept_errors.acquire(self.context.sessions.now()) {
                            tracing::warn!(%error, suppressed, "accepting a worker connection failed");
                        }
                        pause(ACCEPT_BACKOFF).await;
                    }
                }
            }
        }
        self.context.sessions.shut_down();
        let ending = async { while connections.join_next().await.is_some() {} };
        tokio::time::timeout(SHUTDOWN_TIMEOUT, ending).await.ok();
    }
}

/// Completes when `stop` is true or its sender is dropped.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|stop| *stop).await.ok();
}

#[cfg(test)]
mod tests;
