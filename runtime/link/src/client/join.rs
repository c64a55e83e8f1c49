//! From a join string to an identity.

use std::io;
use std::time::Duration;

use deputy_core::{Span, in_one_line};
use deputy_support::Backoff;
use fastrand::Rng;
use rustls::pki_types::UnixTime;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{CONNECTING, ConnectionLost, dial};
use crate::certificate;
use crate::frame::{FROM_STRANGER, Frames, encode};
use crate::identity::{IdentityError, WorkerIdentity, WorkerKey};
use crate::join::JoinString;
use crate::message::{ClientMessage, ClientMessageKind, Join, ServerMessage, ServerMessageKind};
use crate::protocol_error::ProtocolError;
use deputy_support::pause;

/// The delay between two attempts to join, at first and at most.
const FIRST_RETRY: Span = Span::millis(200);
const LAST_RETRY: Span = Span::secs(10);

/// A worker could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinFailure {
    /// Try again: the coordinator is away. A token is not spent by this.
    #[error("cannot reach the coordinator at {0}: {1}")]
    Away(String, String),
    /// Try again: one of the two clocks is wrong.
    #[error("cannot join the coordinator at {0} by the clock of this machine, {1}: compare the clocks of both")]
    Clock(String, &'static str),
    /// Somebody else answers there.
    #[error(
        "who answers at {0} is not the coordinator of this join string: its certificate authority is another; ask for a \
         new string (`deputy token create`), and compare the address"
    )]
    Stranger(String),
    /// The coordinator's word.
    #[error("{0}")]
    Refused(ProtocolError),
    /// What came back makes no sense, or no key can be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl JoinFailure {
    /// Whether it may be different the next time.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Away(..) | Self::Clock(..) => true,
            Self::Refused(refusal) => !refusal.code.is_final(),
            Self::Stranger(_) | Self::Identity(_) => false,
        }
    }
}

/// Becomes a worker. The key is to be written down before: who is interrupted and asks again with the same key gets the
/// same answer, and no second use of the token is spent.
///
/// # Errors
/// If the coordinator is away, or is another one, or says no.
pub async fn join(string: &JoinString, key: WorkerKey) -> Result<WorkerIdentity, JoinFailure> {
    let tls = certificate::stranger(string.authority).map_err(IdentityError::from)?;
    let address = &string.address;
    let stream = dial(address, TlsConnector::from(tls)).await;
    let mut stream = stream.map_err(|lost| failed(address, &lost))?;
    let join = Join {
        token: string.token.as_bytes().to_vec(),
        secret: string.secret.expose().to_vec(),
        request: key.request()?,
    };
    let mut up = ClientMessage::from(ClientMessageKind::Join(join));
    let frame = encode(&up);
    if let Some(ClientMessageKind::Join(join)) = &mut up.kind {
        zeroize::Zeroize::zeroize(&mut join.secret);
    }
    let asking = async {
        stream.write_all(&frame).await?;
        stream.flush().await?;
        Ok::<_, ConnectionLost>(Frames::default().next::<ServerMessage>(&mut stream, FROM_STRANGER).await?)
    };
    let answer = timeout(CONNECTING, asking).await.unwrap_or_else(|_| Err(ConnectionLost::Timeout(address.clone())));
    match answer.map_err(|lost| failed(address, &lost))?.and_then(|down| down.kind) {
        Some(ServerMessageKind::Certified(certified)) => {
            joined(string, WorkerIdentity::new(certified, key, address.clone())?)
        }
        Some(ServerMessageKind::Refusal(refused)) => Err(JoinFailure::Refused(refused.into())),
        Some(_) => Err(IdentityError::Certified.into()),
        None => Err(JoinFailure::Away(address.clone(), "it closed the connection".to_owned())),
    }
}

/// [Joins](join), and tries again with the same key after each [transient](JoinFailure::is_transient) failure, which
/// `on_retry` gets. The delay between attempts grows to 10 s; `seed` randomises it. With a `limit` it gives up after that
/// time, without one it never does.
///
/// Both kinds of worker use it: [`Engine`](super::Engine) with a limit, `deputy worker` without one.
///
/// # Errors
/// The first failure that is not transient, or the last one before the limit.
pub async fn join_until(
    string: &JoinString,
    key: &WorkerKey,
    limit: Option<Duration>,
    seed: u64,
    on_retry: impl Fn(&JoinFailure),
) -> Result<WorkerIdentity, JoinFailure> {
    let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
    let mut rng = Rng::with_seed(seed);
    let mut last = None;
    let attempts = async {
        loop {
            match join(string, key.clone()).await {
                Err(error) if error.is_transient() => {
                    on_retry(&error);
                    last = Some(error);
                }
                result => return result,
            }
            pause(backoff.fail(rng.u16(..)).duration()).await;
        }
    };
    let Some(limit) = limit else { return attempts.await };
    match timeout(limit, attempts).await {
        Ok(result) => result,
        Err(_) => {
            Err(last.unwrap_or_else(|| JoinFailure::Away(string.address.clone(), "it does not answer".to_owned())))
        }
    }
}

/// An identity with which the worker can come back.
fn joined(string: &JoinString, identity: WorkerIdentity) -> Result<WorkerIdentity, JoinFailure> {
    if !identity.knows(string.authority) {
        return Err(IdentityError::Certified.into());
    }
    if identity.begins().as_secs() > UnixTime::now().as_secs() {
        return Err(JoinFailure::Clock(string.address.clone(), "the worker's certificate is not valid yet"));
    }
    Ok(identity)
}

fn failed(address: &str, lost: &ConnectionLost) -> JoinFailure {
    let tls = |error: &io::Error| error.get_ref().is_some_and(|error| error.is::<rustls::Error>());
    match lost {
        ConnectionLost::Clock(_) => {
            JoinFailure::Clock(address.to_owned(), "the coordinator's certificate is not valid")
        }
        ConnectionLost::Connect(_, error) if tls(error) => JoinFailure::Stranger(address.to_owned()),
        lost => JoinFailure::Away(address.to_owned(), in_one_line(lost)),
    }
}
