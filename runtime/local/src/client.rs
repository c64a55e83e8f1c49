//! The client's end: `deputy get`, `deputy status` and the other commands send their requests with it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use deputy_core::{S3Place, SecretBytes, Span};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use crate::control_error::ErrorReply;
use crate::headers::{ENDPOINT, KIND, REGION, REVISION, SERVICE, VALID_UNTIL, header_text};
use crate::request::WAIT;
use crate::{ControlRequest, Parameters, SocketClientError, SocketPeer};

/// The largest reply: the status of some ten thousand instances.
const MAX_REPLY: usize = 64 << 20;

/// How long a reply may take. A reload compiles components.
const REPLY_TIMEOUT: Duration = Duration::from_secs(300);

/// The delay before a request for a lease is sent again after a transient error.
const RETRY_DELAY: Duration = Duration::from_millis(200);

#[derive(Debug, Clone)]
pub struct SocketClient {
    socket: PathBuf,
    peer: SocketPeer,
}

/// The reply to a request for a lease.
#[derive(Debug)]
pub struct ReceivedPayload {
    pub payload: SecretBytes,
    pub revision: Option<u64>,
    /// RFC 3339.
    pub valid_until: Option<String>,
    pub service: Option<String>,
    pub kind: Option<String>,
    pub place: S3Place,
}

impl SocketClient {
    pub fn new(socket: &Path, peer: SocketPeer) -> Self {
        Self { socket: socket.to_owned(), peer }
    }

    /// The payload of an instance. Retries transient errors until `wait` is over, so that a restart of the coordinator does
    /// not fail the command.
    pub async fn lease(&self, instance: &str, wait: Span) -> Result<ReceivedPayload, SocketClientError> {
        let began = now();
        let mut remaining = wait;
        loop {
            let error = match self.lease_once(instance, remaining).await {
                Err(error) if error.is_transient() => error,
                result => return result,
            };
            let waited = u64::try_from(now().saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX);
            remaining = Span::millis(wait.as_millis().saturating_sub(waited));
            if remaining.as_millis() == 0 {
                return Err(error);
            }
            pause(RETRY_DELAY.min(remaining.duration())).await;
        }
    }

    async fn lease_once(&self, instance: &str, wait: Span) -> Result<ReceivedPayload, SocketClientError> {
        let request = ControlRequest::Lease(instance.to_owned());
        let (head, body) = self.send(&request, &Parameters::default().with(WAIT, Some(wait))).await?;
        Ok(ReceivedPayload {
            payload: SecretBytes::new(body.to_vec()),
            revision: header_text(&head.headers, REVISION).and_then(|text| text.parse().ok()),
            valid_until: header_text(&head.headers, VALID_UNTIL),
            service: header_text(&head.headers, SERVICE),
            kind: header_text(&head.headers, KIND),
            place: S3Place {
                region: header_text(&head.headers, REGION),
                endpoint: header_text(&head.headers, ENDPOINT),
            },
        })
    }

    /// Sends a request whose reply is a JSON object.
    pub async fn json<T: DeserializeOwned>(
        &self,
        request: &ControlRequest,
        parameters: &Parameters,
    ) -> Result<T, SocketClientError> {
        let (_, body) = self.send(request, parameters).await?;
        serde_json::from_slice(&body).map_err(|error| self.invalid_reply(error))
    }

    pub async fn send(
        &self,
        request: &ControlRequest,
        parameters: &Parameters,
    ) -> Result<(http::response::Parts, Zeroizing<Vec<u8>>), SocketClientError> {
        let exchange = tokio::time::timeout(REPLY_TIMEOUT, self.exchange(request, parameters)).await;
        let (head, body) = exchange.map_err(|_| self.invalid_reply("timed out"))??;
        if head.status == StatusCode::OK {
            return Ok((head, body));
        }
        match serde_json::from_slice::<ErrorReply>(&body) {
            Ok(reply) => Err(SocketClientError::Refused(reply.error)),
            Err(_) => Err(self.invalid_reply(format!("status {}", head.status))),
        }
    }

    async fn exchange(
        &self,
        request: &ControlRequest,
        parameters: &Parameters,
    ) -> Result<(http::response::Parts, Zeroizing<Vec<u8>>), SocketClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| self.connect_error(source))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.exchange_error(error))?;
        let request = Request::builder()
            .method(request.method())
            .uri(request.target(parameters))
            .header("host", "deputy")
            .body(Empty::<Bytes>::new())
            .map_err(|error| self.invalid_reply(error))?;
        let reply = async {
            let response = sender.send_request(request).await.map_err(|error| self.exchange_error(error))?;
            let (head, body) = response.into_parts();
            #[expect(clippy::disallowed_methods, reason = "bounded by `Limited`")]
            let body = Limited::new(body, MAX_REPLY).collect().await.map_err(|error| {
                match error.downcast::<hyper::Error>() {
                    Ok(error) => self.exchange_error(*error),
                    Err(error) => self.invalid_reply(error),
                }
            })?;
            Ok((head, Zeroizing::new(body.to_bytes().to_vec())))
        };
        // The connection needs polling until the reply is complete, and is dropped then.
        let mut connection = std::pin::pin!(connection);
        let mut reply = std::pin::pin!(reply);
        tokio::select! {
            biased;
            reply = &mut reply => reply,
            closed = &mut connection => match closed {
                Ok(()) => reply.await,
                Err(error) => Err(self.exchange_error(error)),
            },
        }
    }

    fn connect_error(&self, source: io::Error) -> SocketClientError {
        let peer = self.peer;
        let socket = self.socket.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => SocketClientError::Forbidden { peer, socket, source },
            _ => SocketClientError::Connect { peer, socket, source },
        }
    }

    fn exchange_error(&self, source: hyper::Error) -> SocketClientError {
        let is_closed = source.is_closed() || source.is_canceled() || source.is_incomplete_message();
        let is_io = std::error::Error::source(&source).is_some_and(|cause| cause.is::<io::Error>());
        if is_closed || is_io {
            return SocketClientError::Broken { peer: self.peer, source };
        }
        self.invalid_reply(source)
    }

    fn invalid_reply(&self, reason: impl ToString) -> SocketClientError {
        SocketClientError::InvalidReply { peer: self.peer, reason: reason.to_string() }
    }
}

#[expect(clippy::disallowed_methods, reason = "the wait of a command is measured, not that of a test")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "nothing notifies a client when a socket appears")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
