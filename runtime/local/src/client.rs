//! The end that asks: what `deputy get`, `deputy status` and their siblings speak through.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

/// Asks over a socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    peer: Peer,
}

/// Who is asked, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The coordinator of a configuration.
    Coordinator,
    /// Whoever listens at a socket that somebody named.
    Named,
    /// The worker of a configuration.
    Worker,
}

/// A payload that was given out.
#[derive(Debug)]
pub struct Given {
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
pub enum ClientError {
    /// Nobody listens.
    #[error("no {} answers at {}: {}", peer.name(), socket.display(), peer.start())]
    Connect {
        /// Who was asked.
        peer: Peer,
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody listens, and not to us.
    #[error("the socket {} is not open to this user: become its user, or, with {}, one of its group", socket.display(), peer.mode())]
    Forbidden {
        /// Who was asked.
        peer: Peer,
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The other end's own error.
    #[error(transparent)]
    Refused(ControlError),
    /// The answer broke off, or is not one.
    #[error("the {}'s answer can't be understood: {why}; is it of another version?", peer.name())]
    Answer {
        /// Who was asked.
        peer: Peer,
        /// What is wrong with it.
        why: String,
    },
}

impl Peer {
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

impl Client {
    /// Of whoever listens there.
    pub fn new(socket: &Path, peer: Peer) -> Self {
        Self { socket: socket.to_owned(), peer }
    }

    /// The payload of an instance.
    ///
    /// # Errors
    /// If nobody answers, or there is none in that time.
    pub async fn lease(&self, name: &str, wait: Span) -> Result<Given, ClientError> {
        let (head, body) =
            self.send(Method::GET, &format!("/v1/instances/{}/lease?wait={wait}", segment(name))).await?;
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Given {
            payload: SecretBytes::new(body.to_vec()),
            revision: header("deputy-revision").and_then(|text| text.parse().ok()),
            valid_until: header("deputy-valid-until"),
            service: header("deputy-service"),
        })
    }

    fn no_connection(&self, source: io::Error) -> ClientError {
        let (peer, socket) = (self.peer, self.socket.clone());
        match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::Forbidden { peer, socket, source },
            _ => ClientError::Connect { peer, socket, source },
        }
    }

    fn unclear(&self, why: impl ToString) -> ClientError {
        ClientError::Answer { peer: self.peer, why: why.to_string() }
    }

    /// Asks for an object.
    ///
    /// # Errors
    /// If nobody answers, the other end refuses, or answers something else.
    pub async fn json<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
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
    ) -> Result<(http::response::Parts, Zeroizing<Vec<u8>>), ClientError> {
        let exchange = tokio::time::timeout(ANSWER, self.exchange(method, path)).await;
        let (head, body) = exchange.map_err(|_| self.unclear("it took too long"))??;
        if head.status == StatusCode::OK {
            return Ok((head, body));
        }
        match serde_json::from_slice::<Failed>(&body) {
            Ok(failed) => Err(ClientError::Refused(failed.error)),
            Err(_) => Err(self.unclear(format!("status {}", head.status))),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(http::response::Parts, Zeroizing<Vec<u8>>), ClientError> {
        let connected = UnixStream::connect(&self.socket).await;
        let stream = connected.map_err(|source| self.no_connection(source))?;
        let broke = |error: hyper::Error| self.unclear(error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broke)?;
        let request = Request::builder().method(method).uri(path).header("host", "deputy").body(Empty::<Bytes>::new());
        let request = request.map_err(|error| self.unclear(error))?;
        let answer = async {
            let (head, body) = sender.send_request(request).await.map_err(broke)?.into_parts();
            #[expect(clippy::disallowed_methods, reason = "bounded by `Limited`")]
            let body = Limited::new(body, LONGEST).collect().await;
            let body = body.map_err(|error| self.unclear(error))?.to_bytes();
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

/// A name as a part of a path: what is no name of an instance is not found there either.
pub fn segment(name: &str) -> String {
    name.bytes()
        .map(|b| if b.is_ascii_alphanumeric() || b == b'-' { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
