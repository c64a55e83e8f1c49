//! Enrolling with a join string.

use std::time::Duration;

use deputy_core::{HostPort, Span, in_one_line};
use deputy_support::Backoff;
use fastrand::Rng;
use rustls::pki_types::UnixTime;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connection_lost::ConnectionLost;
use super::dial::{CONNECT_TIMEOUT, Others, dial, tls_error};
use super::engine::random_seed;
use crate::frame::{Frames, MAX_UNAUTHENTICATED_FRAME, encode};
use crate::identity::{IdentityError, WorkerIdentity, WorkerKey};
use crate::join::JoinString;
use crate::message::{ClientMessage, ClientMessageKind, Join, ServerMessage, ServerMessageKind};
use crate::protocol_error::ProtocolError;
use deputy_support::pause;

/// The bounds of the delay between two attempts to join.
const MIN_DELAY: Span = Span::millis(200);
const MAX_DELAY: Span = Span::secs(10);

/// A worker could not enrol.
#[derive(Debug, thiserror::Error)]
pub enum JoinFailure {
    /// The coordinator is not reachable. Retry: the token is not spent.
    #[error("cannot reach the coordinator at {0}: {1}")]
    Unreachable(String, String),
    /// One of the two clocks is wrong. Retry.
    #[error("cannot join the coordinator at {0}: by the clock of this machine, {1}; compare the clocks of both")]
    Clock(HostPort, &'static str),
    /// The server has another authority.
    #[error(
        "the server at {0} is not the coordinator of this join string: it has another certificate authority; check the \
         address, or create a new join string with `deputy token create`"
    )]
    WrongAuthority(HostPort),
    /// The coordinator refuses.
    #[error("{0}")]
    Refused(ProtocolError),
    /// The answer is invalid, or no key can be created.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl JoinFailure {
    /// Whether another attempt may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(..) | Self::Clock(..) => true,
            Self::Refused(refusal) => !refusal.code.is_final(),
            Self::WrongAuthority(_) | Self::Identity(_) => false,
        }
    }

    /// Whether another address may do better at once.
    fn is_of_one_address(&self) -> bool {
        self.is_transient() || matches!(self, Self::WrongAuthority(_))
    }
}

/// Enrols with a join string. Tries its addresses in a random order. Save the key first: a repetition with the same key gets
/// the same answer and spends no second use of the token.
///
/// # Errors
/// If the coordinator is not reachable, is another one, or refuses.
pub async fn join(string: &JoinString, key: WorkerKey) -> Result<WorkerIdentity, JoinFailure> {
    join_once(string, &key, &mut Rng::with_seed(random_seed())).await
}

async fn join_once(string: &JoinString, key: &WorkerKey, rng: &mut Rng) -> Result<WorkerIdentity, JoinFailure> {
    let mut round = string.addresses.as_slice().to_vec();
    rng.shuffle(&mut round);
    let mut last = None;
    while let Some(address) = round.pop() {
        let others = if round.is_empty() { Others::None } else { Others::Left };
        match join_at(&address, string, key.clone(), others).await {
            Err(failure) if failure.is_of_one_address() => {
                if others == Others::Left {
                    tracing::info!("trying the next address: {failure}");
                }
                // One that may pass is worth another round, whatever another address is.
                if failure.is_transient() || last.is_none() {
                    last = Some(failure);
                }
            }
            result => return result,
        }
    }
    Err(last.unwrap_or(IdentityError::Mismatch.into()))
}

async fn join_at(
    address: &HostPort,
    string: &JoinString,
    key: WorkerKey,
    others: Others,
) -> Result<WorkerIdentity, JoinFailure> {
    let config = crate::tls::unauthenticated_client(string.authority).map_err(IdentityError::from)?;
    let stream = dial(address, TlsConnector::from(config), others).await;
    let mut stream = stream.map_err(|lost| failure(address, &lost))?;
    let join = Join {
        token: string.token.as_bytes().to_vec(),
        secret: string.secret.expose().to_vec(),
        request: key.request()?,
    };
    let mut message = ClientMessage::from(ClientMessageKind::Join(join));
    let frame = encode(&message);
    if let Some(ClientMessageKind::Join(join)) = &mut message.kind {
        zeroize::Zeroize::zeroize(&mut join.secret);
    }
    let exchange = async {
        stream.write_all(&frame).await?;
        stream.flush().await?;
        Ok::<_, ConnectionLost>(Frames::default().next::<ServerMessage>(&mut stream, MAX_UNAUTHENTICATED_FRAME).await?)
    };
    let answer =
        timeout(CONNECT_TIMEOUT, exchange).await.unwrap_or_else(|_| Err(ConnectionLost::Timeout(address.clone())));
    match answer.map_err(|lost| failure(address, &lost))?.and_then(|message| message.kind) {
        Some(ServerMessageKind::Certified(certified)) => {
            checked(address, string, WorkerIdentity::new(certified, key, string.addresses.clone())?)
        }
        Some(ServerMessageKind::Refusal(refusal)) => Err(JoinFailure::Refused(refusal.into())),
        Some(_) => Err(IdentityError::Mismatch.into()),
        None => Err(JoinFailure::Unreachable(address.to_string(), "it closed the connection".to_owned())),
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
    let mut backoff = Backoff::new(MIN_DELAY, MAX_DELAY);
    let mut rng = Rng::with_seed(seed);
    let mut last = None;
    let attempts = async {
        loop {
            match join_once(string, key, &mut rng).await {
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
            let unreachable =
                || JoinFailure::Unreachable(string.addresses.to_string(), "it does not answer".to_owned());
            Err(last.unwrap_or_else(unreachable))
        }
    }
}

/// Returns the identity if the worker can reconnect with it.
fn checked(address: &HostPort, string: &JoinString, identity: WorkerIdentity) -> Result<WorkerIdentity, JoinFailure> {
    if !identity.trusts_authority(string.authority) {
        return Err(IdentityError::Mismatch.into());
    }
    if identity.begins().as_secs() > UnixTime::now().as_secs() {
        return Err(JoinFailure::Clock(address.clone(), "the worker's certificate is not valid yet"));
    }
    Ok(identity)
}

fn failure(address: &HostPort, lost: &ConnectionLost) -> JoinFailure {
    match lost {
        ConnectionLost::Clock(_) => JoinFailure::Clock(address.clone(), "the coordinator's certificate is not valid"),
        ConnectionLost::Connect(_, error) if tls_error(error).is_some() => JoinFailure::WrongAuthority(address.clone()),
        lost => JoinFailure::Unreachable(address.to_string(), in_one_line(lost)),
    }
}
