//! The other end of the control socket: what `deputy status` and its siblings ask.

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

use crate::control::{ControlError, Reloaded};
use crate::status::{InstanceStatus, Status};

/// The longest answer: the status of some ten thousand instances.
const LONGEST: usize = 64 << 20;

/// How long an answer may take that has nothing to wait for: a reload compiles components.
const ANSWER: Duration = Duration::from_secs(300);

/// Asks a coordinator over its control socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
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
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no coordinator answers at {}: start one with `deputy run`, or name its socket with --socket", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody listens, and not to us.
    #[error(
        "the coordinator's socket {} is not open to this user: become its user, or, with control-mode = \"0660\" in \
         [coordinator], one of its group",
        socket.display()
    )]
    Forbidden {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The coordinator's own error.
    #[error(transparent)]
    Refused(ControlError),
    /// The answer broke off, or is not one.
    #[error("the coordinator's answer can't be understood: {0}; is it of another version?")]
    Answer(String),
}

#[derive(Deserialize)]
struct Failed {
    error: ControlError,
}

impl Client {
    /// Of the coordinator that listens there.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// What is held and why.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.json(Method::GET, "/v1/status").await
    }

    /// The same of one instance.
    ///
    /// # Errors
    /// If nobody answers, or there is no such instance.
    pub async fn instance(&self, name: &str) -> Result<InstanceStatus, ClientError> {
        self.json(Method::GET, &format!("/v1/instances/{}", segment(name))).await
    }

    /// Obtains another lease now.
    ///
    /// # Errors
    /// If nobody answers, or it can't be.
    pub async fn renew(&self, name: &str) -> Result<(), ClientError> {
        self.send(Method::POST, &format!("/v1/instances/{}/renew", segment(name))).await.map(drop)
    }

    /// Revokes what is held.
    ///
    /// # Errors
    /// If nobody answers, or it can't be.
    pub async fn revoke(&self, name: &str) -> Result<(), ClientError> {
        self.send(Method::POST, &format!("/v1/instances/{}/revoke", segment(name))).await.map(drop)
    }

    /// Reads the configuration again.
    ///
    /// # Errors
    /// If nobody answers, or something in it is wrong.
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.json(Method::POST, "/v1/reload").await
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
        })
    }

    fn no_connection(&self, source: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::Forbidden { socket, source },
            _ => ClientError::Connect { socket, source },
        }
    }

    async fn json<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
        let (_, body) = self.send(method, path).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Answer(error.to_string()))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(http::response::Parts, Zeroizing<Vec<u8>>), ClientError> {
        let exchange = tokio::time::timeout(ANSWER, self.exchange(method, path)).await;
        let (head, body) = exchange.map_err(|_| ClientError::Answer("it took too long".to_owned()))??;
        if head.status == StatusCode::OK {
            return Ok((head, body));
        }
        match serde_json::from_slice::<Failed>(&body) {
            Ok(failed) => Err(ClientError::Refused(failed.error)),
            Err(_) => Err(ClientError::Answer(format!("status {}", head.status))),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(http::response::Parts, Zeroizing<Vec<u8>>), ClientError> {
        let connected = UnixStream::connect(&self.socket).await;
        let stream = connected.map_err(|source| self.no_connection(source))?;
        let broke = |error: hyper::Error| ClientError::Answer(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broke)?;
        let request = Request::builder().method(method).uri(path).header("host", "deputy").body(Empty::<Bytes>::new());
        let request = request.map_err(|error| ClientError::Answer(error.to_string()))?;
        let answer = async {
            let (head, body) = sender.send_request(request).await.map_err(broke)?.into_parts();
            #[expect(clippy::disallowed_methods, reason = "bounded by `Limited`")]
            let body = Limited::new(body, LONGEST).collect().await;
            let body = body.map_err(|error| ClientError::Answer(error.to_string()))?.to_bytes();
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
fn segment(name: &str) -> String {
    name.bytes()
        .map(|b| if b.is_ascii_alphanumeric() || b == b'-' { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
