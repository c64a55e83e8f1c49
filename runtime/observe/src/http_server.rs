//! A small HTTP server for health, metrics and control: few readers, short answers.
//!
//! It serves one handler on a TCP or Unix listener. What a stranger can do to it is bounded: connections at once, bytes
//! and time of a request's head, and of its body none at all, since nothing that is served here reads one.
//!
//! A request that waits for something to happen has a place of its own, so that all others are answered meanwhile, and
//! gives it back when its client is gone.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};

use crate::plain;

/// Connections at once. When there are more, who came first and asks nothing makes room.
const CONNECTIONS: usize = 64;

/// Requests that wait at once. Further ones are told that the server is busy.
const WAITING: usize = 256;

/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(5);

/// How long one connection may last in all: a reload that compiles components takes a while.
const WHOLE: Duration = Duration::from_secs(360);

/// The longest head.
const HEAD_BYTES: usize = 16 << 10;

/// How long to wait after `accept` failed, as it does when there are no file descriptors left.
const BREATH: Duration = Duration::from_millis(100);

/// Answers requests. The body of a request is not read.
pub trait HttpHandler: Send + Sync + 'static {
    /// The answer.
    fn answer(&self, request: Request<()>) -> impl Future<Output = Response<Bytes>> + Send;

    /// Whether the answer to a request waits for something to happen.
    fn waits(&self, _request: &Request<()>) -> bool {
        false
    }

    /// The answer to a request that would wait, when as many as may wait do so already.
    fn busy(&self) -> Response<Bytes> {
        plain(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait\n".to_owned())
    }
}

/// Where connections come from.
#[derive(Debug)]
pub enum HttpListener {
    /// A port.
    Tcp(TcpListener),
    /// A socket in the file system.
    Unix(UnixListener),
}

/// Serves until it is dropped.
pub async fn serve(listener: HttpListener, handler: Arc<impl HttpHandler>) {
    let (slots, waiting) = (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Semaphore::new(WAITING)));
    let mut connections = JoinSet::new();
    let mut open: VecDeque<Open> = VecDeque::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = match &listener {
            HttpListener::Tcp(listener) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
            HttpListener::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                accept_backoff().await;
                continue;
            }
        };
        make_room(&mut open);
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let place = Arc::new(Place::new(slot, Arc::clone(&waiting)));
        let (handler, taken) = (Arc::clone(&handler), Taken(Arc::clone(&place)));
        let task = connections.spawn(async move {
            match stream {
                Stream::Tcp(stream) => connection(stream, handler, &taken).await,
                Stream::Unix(stream) => connection(stream, handler, &taken).await,
            }
        });
        open.push_back(Open { task, place });
    }
}

/// A connection that was accepted.
struct Open {
    task: AbortHandle,
    place: Arc<Place>,
}

/// When all are taken, ends the oldest connection that asks nothing.
fn make_room(open: &mut VecDeque<Open>) {
    open.retain(|connection| !connection.task.is_finished());
    let taken = open.iter().filter(|connection| !connection.place.is(Doing::Waiting)).count();
    if taken >= CONNECTIONS
        && let Some(idle) = open.iter().position(|connection| connection.place.is(Doing::Nothing))
        && let Some(connection) = open.remove(idle)
    {
        connection.task.abort();
    }
}

/// What a connection takes up.
struct Place {
    doing: AtomicU8,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    waiting: Arc<Semaphore>,
}

/// Gives the place back with the end of its connection, however that comes.
struct Taken(Arc<Place>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.hold(None);
    }
}

/// What goes on at a connection.
#[derive(Clone, Copy)]
enum Doing {
    /// No answer is being made for it.
    Nothing,
    /// One is.
    Asking,
    /// One is that waits. It is the last one of its connection.
    Waiting,
}

impl Place {
    fn new(slot: OwnedSemaphorePermit, waiting: Arc<Semaphore>) -> Self {
        Self { doing: AtomicU8::new(Doing::Nothing as u8), permit: Mutex::new(Some(slot)), waiting }
    }

    fn set(&self, doing: Doing) {
        self.doing.store(doing as u8, Ordering::Relaxed);
    }

    fn is(&self, doing: Doing) -> bool {
        self.doing.load(Ordering::Relaxed) == doing as u8
    }

    /// Takes a place among those that wait, and gives the other one back, if there is one.
    fn wait(&self) -> bool {
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else { return false };
        self.hold(Some(place));
        self.set(Doing::Waiting);
        true
    }

    fn hold(&self, permit: Option<OwnedSemaphorePermit>) {
        *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = permit;
    }

    async fn answer(&self, handler: &impl HttpHandler, request: Request<()>) -> Response<Bytes> {
        self.set(Doing::Asking);
        let waits = handler.waits(&request);
        let mut answer = if waits && !self.wait() { handler.busy() } else { handler.answer(request).await };
        if waits {
            answer.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        }
        // It may be slow to be read: then it makes room for others.
        if !self.is(Doing::Waiting) {
            self.set(Doing::Nothing);
        }
        answer
    }
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    handler: Arc<impl HttpHandler>,
    taken: &Taken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, place) = (Arc::clone(&handler), Arc::clone(&taken.0));
        async move {
            let answer = place.answer(&*handler, request.map(|_| ())).await;
            Ok::<_, Infallible>(answer.map(Full::new))
        }
    });
    let mut server = http1::Builder::new();
    // A client that ends its half of the connection is gone: what is being done for it ends at once.
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES).half_close(false);
    let served = tokio::time::timeout(WHOLE, server.serve_connection(TokioIo::new(stream), service)).await;
    if let Ok(Err(error)) = served {
        tracing::debug!(%error, "connection lost");
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing else tells when a descriptor is free again")]
async fn accept_backoff() {
    tokio::time::sleep(BREATH).await;
}

/// Listens on a port.
///
/// # Errors
/// If the port is taken, or not ours to take.
pub async fn listen(address: std::net::SocketAddr) -> io::Result<HttpListener> {
    Ok(HttpListener::Tcp(TcpListener::bind(address).await?))
}
