//! One connection, until its client or its deadline ends it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::HttpHandler;
use crate::event_stream::{HttpBody, whole};
use crate::slot::{ConnectionSlot, SlotGuard};
use crate::write_deadline::WriteDeadline;

/// Deadline for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Deadline for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Deadline for a whole connection. It covers a reload that compiles components.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(360);

/// How long a client may take nothing of what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

const MAX_HEAD_BYTES: usize = 16 << 10;

/// The same within TLS.
pub(crate) async fn serve_tls(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    handler: Arc<impl HttpHandler>,
    guard: &SlotGuard,
) {
    match timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => {
            guard.0.end_handshake();
            serve_connection(stream, handler, guard).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

pub(crate) async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    handler: Arc<impl HttpHandler>,
    guard: &SlotGuard,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let handler = Arc::clone(&handler);
        let slot = Arc::clone(&guard.0);
        async move {
            let response = respond(&slot, &*handler, request.map(|_| ())).await;
            Ok::<_, Infallible>(response)
        }
    });
    let mut server = http1::Builder::new();
    // With `half_close(false)` a client that ends its half of the connection is gone: work on its request ends at once.
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES).half_close(false);
    let connection = server.serve_connection(TokioIo::new(WriteDeadline::new(stream, WRITE_TIMEOUT)), service);
    if let Ok(Err(error)) = timeout(CONNECTION_TIMEOUT, connection).await {
        tracing::debug!(%error, "HTTP connection failed");
    }
}

/// A client of events is idle for the server: it makes room for others like a client that reads slowly.
async fn respond(slot: &ConnectionSlot, handler: &impl HttpHandler, request: Request<()>) -> Response<HttpBody> {
    slot.begin_request();
    let response = match handler.events(&request) {
        Some(events) => events.into_response(),
        None => answer(slot, handler, request).await.map(whole),
    };
    slot.end_request();
    response
}

async fn answer(slot: &ConnectionSlot, handler: &impl HttpHandler, request: Request<()>) -> Response<Bytes> {
    let waits = handler.waits(&request);
    let mut response = if waits && !slot.begin_wait() { handler.busy() } else { handler.answer(request).await };
    if waits {
        response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    }
    response
}
