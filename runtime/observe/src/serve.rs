//! A small HTTP server for health, metrics and control: few readers, short answers.
//!
//! It serves one handler on a TCP or Unix listener. What a stranger can do to it is bounded: connections at once, bytes
//! and time of a request's head, and of its body none at all, since nothing that is served here reads one.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

/// Connections at once. When there are more, who came first and asks nothing makes room.
const CONNECTIONS: usize = 64;

/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(5);

/// How long one connection may last in all: a reload that compiles components takes a while.
const WHOLE: Duration = Duration::from_secs(360);

/// The longest head.
const HEAD_BYTES: usize = 16 << 10;

/// How long to wait after `accept` failed, as it does when there are no file descriptors left.
const BREATH: Duration = Duration::from_millis(100);

/// Answers requests. The body of a request is not read.
pub trait Handler: Send + Sync + 'static {
    /// The answer.
    fn answer(&self, request: Request<()>) -> impl Future<Output = Response<Bytes>> + Send;
}

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// A port.
    Tcp(TcpListener),
    /// A socket in the file system.
    Unix(UnixListener),
}

/// Serves until it is dropped.
pub async fn serve(listener: Listener, handler: Arc<impl Handler>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut open: VecDeque<Open> = VecDeque::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                breathe().await;
                continue;
            }
        };
        open.retain(|connection| !connection.task.is_finished());
        if open.len() >= CONNECTIONS
            && let Some(idle) = open.iter().position(|connection| !connection.asks.load(Ordering::Relaxed))
            && let Some(connection) = open.remove(idle)
        {
            connection.task.abort();
        }
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let (handler, asks) = (Arc::clone(&handler), Arc::new(AtomicBool::new(false)));
        let shown = Arc::clone(&asks);
        let task = connections.spawn(async move {
            match stream {
                Stream::Tcp(stream) => connection(stream, handler, shown).await,
                Stream::Unix(stream) => connection(stream, handler, shown).await,
            }
            drop(slot);
        });
        open.push_back(Open { task, asks });
    }
}

/// A connection that was accepted.
struct Open {
    task: AbortHandle,
    /// Whether an answer is being made for it.
    asks: Arc<AtomicBool>,
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    handler: Arc<impl Handler>,
    asks: Arc<AtomicBool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, asks) = (Arc::clone(&handler), Arc::clone(&asks));
        async move {
            asks.store(true, Ordering::Relaxed);
            let answer = handler.answer(request.map(|_| ())).await;
            asks.store(false, Ordering::Relaxed);
            Ok::<_, Infallible>(answer.map(Full::new))
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES).half_close(true);
    let served = tokio::time::timeout(WHOLE, server.serve_connection(TokioIo::new(stream), service)).await;
    if let Ok(Err(error)) = served {
        tracing::debug!(%error, "a connection broke");
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing else tells when a descriptor is free again")]
async fn breathe() {
    tokio::time::sleep(BREATH).await;
}

/// Listens on a port.
///
/// # Errors
/// If the port is taken, or not ours to take.
pub async fn listen(address: std::net::SocketAddr) -> io::Result<Listener> {
    Ok(Listener::Tcp(TcpListener::bind(address).await?))
}
