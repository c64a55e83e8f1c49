//! The end that asks: what `deputy get`, `deputy status` and their siblings speak through.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use deputy_core::{SecretBytes, Span};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use crate::ControlError;

/// The longest answer: the status of some ten thousand instances.
const LONGEST: usize = 64 << 20;

/// How long an answer may take that has nothing to wait for: a reload compiles components.
const ANSWER: Duration = Duration::from_secs(300);

/// How soon somebody who waits for a lease asks again where nobody answered.
const AGAIN: Duration = Duration::from_millis(200);

/// Asks over a socket.
#[derive(Debug, Clone)]
pub struct SocketClient {
    socket: PathBuf,
    peer: SocketPeer,
}

/// Who is asked, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketPeer {
    /// The coordinator of a configuration.
    Coordinator,
    /// Whoever listens at a socket that somebody named.
    Named,
    /// The worker of a configuration.
    Worker,
}

/// A payload that was given out.
#[derive(Debug)]
pub struct ReceivedPayload {
    /// The payload.
    pub payload: SecretBytes,
    /// Its revision.
    pub revision: Option<u64>,
    /// When it ends, RFC 3339.
    pub valid_until: Option<String>,
    /// Of which service, if that is known.
    pub service: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SocketClientError {
    /// Nobody listens.
    #[error("no {} is listening at {}: {}", peer.name(), socket.display(), peer.start())]
    Connect {
        /// Who was asked.
        peer: SocketPeer,
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody listens, and not to us.
    #[error("the socket {} is not open to this user: become its user, or, with {}, one of its group", socket.display(), peer.mode())]
    Forbidden {
        /// Who was asked.
        peer: SocketPeer,
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The other end's own error.
    #[error(transparent)]
    Refused(ControlError),
    /// The connection ended before the whole answer was there.
    #[error("the {} ended the connection before it had answered; its log says why", peer.name())]
    Broken {
        /// Who was asked.
        peer: SocketPeer,
        /// How it ended.
        source: hyper::Error,
    },
    /// The answer is not one.
    #[error("cannot understand the {}'s reply: {why}; does it run another version?", peer.name())]
    Answer {
        /// Who was asked.
        peer: SocketPeer,
        /// What is wrong with it.
        why: String,
    },
}

impl SocketClientError {
    /// Whether the same question may have an answer a moment later: nobody listens yet, the other end stopped before it
    /// answered, or it has too much to do.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Broken { .. } => true,
            Self::Refused(error) => matches!(error.kind.as_str(), "busy" | "starting" | "stopping"),
            Self::Answer { .. } | Self::Forbidden { .. } => false,
        }
    }
}

impl SocketPeer {
    fn name(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Named => "coordinator or worker",
            Self::Worker => "worker",
        }
    }

    fn start(self) -> &'static str {
        match self {
            Self::Coordinator => "start one with `deputy run`, or name its socket with --socket",
            Self::Named => "start one with `deputy run`, or a worker that has this socket in [endpoints.socket]",
            Self::Worker => "is one running, with [endpoints.socket] in its configuration?",
        }
    }

    fn mode(self) -> &'static str {
        match self {
            Self::Coordinator => "control-mode = \"0660\" in [coordinator]",
            Self::Named => "the mode \"0660\" in the configuration",
            Self::Worker => "mode = \"0660\" in [endpoints.socket]",
        }
    }
}

#[derive(Deserialize)]
struct Failed {
    error: ControlError,
}

impl SocketClient {
    /// Of whoever listens there.
    pub fn new(socket: &Path, peer: SocketPeer) -> Self {
        Self { socket: socket.to_owned(), peer }
    }

    /// The payload of an instance. Where nobody answers yet, or any more, it asks again until that time is over: a
    /// coordinator that restarts is no reason to fail.
    ///
    /// # Errors
    /// If nobody answers, or there is none in that time.
    pub async fn lease(&self, name: &str, wait: Span) -> Result<ReceivedPayload, SocketClientError> {
        let began = now();
        let mut left = wait;
        loop {
            let error = match self.lease_once(name, left).await {
                Err(error) if error.may_pass() => error,
                answered => return answered,
            };
            let waited = u64::try_from(now().saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX);
            left = Span::millis(wait.as_millis().saturating_sub(waited));
            if left.as_millis() == 0 {
                return Err(error);
            }
            pause(AGAIN.min(left.duration())).await;
        }
    }

    async fn lease_once(&self, name: &str, wait: Span) -> Result<ReceivedPayload, SocketClientError> {
        let (head, body) =
            self.send(Method::GET, &format!("/v1/instances/{}/lease?wait={wait}", segment(name))).await?;
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(ReceivedPayload {
            payload: SecretBytes::new(body.to_vec()),
            revision: header("deputy-revision").and_then(|text| text.parse().ok()),
            valid_until: header("deputy-valid-until"),
            service: header("deputy-service"),
        })
    }

    fn no_connection(&self, source: io::Error) -> SocketClientError {
        let (peer, socket) = (self.peer, self.socket.clone());
        match source.kind() {
            io::ErrorKind::PermissionDenied => SocketClientError::Forbidden { peer, socket, source },
            _ => SocketClientError::Connect { peer, socket, source },
        }
    }

    fn broke(&self, source: hyper::Error) -> SocketClientError {
        let is_gone = source.is_closed() || source.is_canceled() || source.is_incomplete_message();
        let by_the_system = std::error::Error::source(&source).is_some_and(|cause| cause.is::<io::Error>());
        if is_gone || by_the_system {
            return SocketClientError::Broken { peer: self.peer, source };
        }
        self.unclear(source)
    }

    fn unclear(&self, why: impl ToString) -> SocketClientError {
        SocketClientError::Answer { peer: self.peer, why: why.to_string() }
    }

    /// Asks for an object.
    ///
    /// # Errors
    /// If nobody answers, the other end refuses, or answers something else.
    pub async fn json<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, SocketClientError> {
        let (_, body) = self.send(method, path).await?;
        serde_json::from_slice(&body).map_err(|error| self.unclear(error))
    }

    /// Asks, and takes whatever is answered.
    ///
    /// # Errors
    /// If nobody answers, or the other end refuses.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(http::response::Parts, Zeroizing<Vec<u8>>), SocketClientError> {
        let exchange = tokio::time::timeout(ANSWER, self.exchange(method, path)).await;
        let (head, body) = exchange.map_err(|_| self.unclear("timed out"))??;
        if head.status == StatusCode::OK {
            return Ok((head, body));
        }
        match serde_json::from_slice::<Failed>(&body) {
            Ok(failed) => Err(SocketClientError::Refused(failed.error)),
            Err(_) => Err(self.unclear(format!("status {}", head.status))),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(http::response::Parts, Zeroizing<Vec<u8>>), SocketClientError> {
        let connected = UnixStream::connect(&self.socket).await;
        let stream = connected.map_err(|source| self.no_connection(source))?;
        let broke = |error: hyper::Error| self.broke(error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broke)?;
        let request = Request::builder().method(method).uri(path).header("host", "deputy").body(Empty::<Bytes>::new());
        let request = request.map_err(|error| self.unclear(error))?;
        let answer = async {
            let (head, body) = sender.send_request(request).await.map_err(broke)?.into_parts();
            #[expect(clippy::disallowed_methods, reason = "bounded by `Limited`")]
            let body = Limited::new(body, LONGEST).collect().await;
            let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => self.broke(*error),
                Err(error) => self.unclear(error),
            })?;
            let body = body.to_bytes();
            Ok((head, Zeroizing::new(body.to_vec())))
        };
        // The connection is driven until the answer is there, and ends with it.
        let mut connection = std::pin::pin!(connection);
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            ended = &mut connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(broke(error)),
            },
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "who waits for so long has to know how long that was")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "nothing tells when a socket that is not there will be")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A name as a part of a path: what is no name of an instance is not found there either.
pub fn segment(name: &str) -> String {
    name.bytes()
        .map(|b| if b.is_ascii_alphanumeric() || b == b'-' { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
