//! The accept loop.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deputy_core::{Span, Timestamp};
use deputy_support::RateLimiter;
use http::{Request, Response, StatusCode};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::connection::{serve_connection, serve_tls};
use crate::slot::{ConnectionSlot, OpenConnection, SlotGuard, acquire_slot};
use crate::{EventStream, text_response};

/// Connections at once, handshakes included. Beyond that, a handshake or the connection that has been idle longest is closed.
const MAX_CONNECTIONS: usize = 64;

/// Requests that wait at once. Further ones get [`HttpHandler::busy`].
const MAX_WAITING: usize = 256;

/// Pause after a failed `accept`, such as one without a free file descriptor.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Log lines about failed `accept`s per minute.
const ACCEPT_ERRORS_LOGGED: u32 = 5;

/// Answers requests. The body of a request is not read.
pub trait HttpHandler: Send + Sync + 'static {
    fn answer(&self, request: Request<()>) -> impl Future<Output = Response<Bytes>> + Send;

    /// Events in place of an answer, if the request is one for events and may have them.
    fn events(&self, _request: &Request<()>) -> Option<EventStream> {
        None
    }

    /// Whether the answer waits for something to happen, so that the request needs a waiting slot.
    fn waits(&self, _request: &Request<()>) -> bool {
        false
    }

    /// The answer to a request that would wait, when all waiting slots are taken.
    fn busy(&self) -> Response<Bytes> {
        text_response(StatusCode::SERVICE_UNAVAILABLE, "too many requests are waiting\n".to_owned())
    }
}

#[derive(Debug)]
pub enum HttpListener {
    Tcp(TcpListener),
    Tls(TcpListener, Arc<ServerConfig>),
    Unix(UnixListener),
}

enum AcceptedStream {
    Tcp(TcpStream),
    Tls(TcpStream, Arc<ServerConfig>),
    Unix(UnixStream),
}

impl HttpListener {
    /// The same port, with TLS. A Unix socket has none.
    #[must_use]
    pub fn with_tls(self, config: Arc<ServerConfig>) -> Self {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => Self::Tls(listener, config),
            Self::Unix(listener) => Self::Unix(listener),
        }
    }

    async fn accept(&self) -> io::Result<AcceptedStream> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| AcceptedStream::Tcp(stream)),
            Self::Tls(listener, config) => {
                listener.accept().await.map(|(stream, _)| AcceptedStream::Tls(stream, Arc::clone(config)))
            }
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| AcceptedStream::Unix(stream)),
        }
    }
}

/// Serves until it is dropped.
pub async fn serve(listener: HttpListener, handler: Arc<impl HttpHandler>) {
    serve_on(&listener, handler).await;
}

/// Serves until it is dropped. The listener stays: connections of later are for the next server on it.
pub async fn serve_on(listener: &HttpListener, handler: Arc<impl HttpHandler>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let waiting = Arc::new(Semaphore::new(MAX_WAITING));
    let accept_errors = AcceptErrorLog::new();
    let mut connections = JoinSet::new();
    let mut open: VecDeque<OpenConnection> = VecDeque::new();
    loop {
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                accept_errors.log(&error);
                accept_backoff().await;
                continue;
            }
        };
        // The semaphore is never closed.
        let Some(permit) = acquire_slot(&slots, &mut open).await else { return };
        let slot = Arc::new(ConnectionSlot::new(permit, Arc::clone(&waiting)));
        if matches!(stream, AcceptedStream::Tls(..)) {
            slot.begin_handshake();
        }
        let guard = SlotGuard(Arc::clone(&slot));
        let handler = Arc::clone(&handler);
        let task = connections.spawn(async move {
            match stream {
                AcceptedStream::Tcp(stream) => serve_connection(stream, handler, &guard).await,
                AcceptedStream::Tls(stream, config) => serve_tls(stream, config, handler, &guard).await,
                AcceptedStream::Unix(stream) => serve_connection(stream, handler, &guard).await,
            }
        });
        open.push_back(OpenConnection { task, slot });
    }
}

/// Logs failed `accept`s at a bounded rate: without file descriptors every attempt fails until one is free.
struct AcceptErrorLog {
    limiter: RateLimiter,
    started: Instant,
}

impl AcceptErrorLog {
    #[expect(clippy::disallowed_methods, reason = "the rate of log lines does not need the time of day")]
    fn new() -> Self {
        Self { limiter: RateLimiter::new(ACCEPT_ERRORS_LOGGED, Span::secs(60)), started: Instant::now() }
    }

    fn log(&self, error: &io::Error) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(suppressed) = self.limiter.acquire(Timestamp::from_millis(elapsed)) {
            tracing::warn!(%error, suppressed, "accepting an HTTP connection failed");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "no event says when a file descriptor is free again")]
async fn accept_backoff() {
    tokio::time::sleep(ACCEPT_BACKOFF).await;
}

/// Listens on a TCP port.
///
/// # Errors
/// If the address cannot be bound.
pub async fn listen(address: SocketAddr) -> io::Result<HttpListener> {
    Ok(HttpListener::Tcp(TcpListener::bind(address).await?))
}

#[cfg(test)]
mod tests;
