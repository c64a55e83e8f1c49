//! From a join string to an identity.

use std::io;

use deputy_core::in_one_line;
use rustls::pki_types::UnixTime;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{CONNECTING, Lost, dial};
use crate::certificate;
use crate::frame::{FROM_STRANGER, Frames, encode};
use crate::identity::{Identity, IdentityError, Key};
use crate::join::JoinString;
use crate::message::{Down, Join, Reply, Request, Up};
use crate::refusal::Refusal;

/// A worker could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinFailed {
    /// Try again: the coordinator is away. A token is not spent by this.
    #[error("the coordinator at {0} can't be reached: {1}")]
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
    Refused(Refusal),
    /// What came back makes no sense, or no key can be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl JoinFailed {
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
pub async fn join(string: &JoinString, key: Key) -> Result<Identity, JoinFailed> {
    let tls = certificate::stranger(string.authority).map_err(IdentityError::from)?;
    let address = &string.address;
    let stream = dial(address, TlsConnector::from(tls)).await;
    let mut stream = stream.map_err(|lost| failed(address, &lost))?;
    let join = Join {
        token: string.token.as_bytes().to_vec(),
        secret: string.secret.expose().to_vec(),
        request: key.request()?,
    };
    let mut up = Up::from(Request::Join(join));
    let frame = encode(&up);
    if let Some(Request::Join(join)) = &mut up.request {
        zeroize::Zeroize::zeroize(&mut join.secret);
    }
    let asking = async {
        stream.write_all(&frame).await?;
        stream.flush().await?;
        Ok::<_, Lost>(Frames::default().next::<Down>(&mut stream, FROM_STRANGER).await?)
    };
    let answer = timeout(CONNECTING, asking).await.unwrap_or_else(|_| Err(Lost::Timeout(address.clone())));
    match answer.map_err(|lost| failed(address, &lost))?.and_then(|down| down.reply) {
        Some(Reply::Certified(certified)) => joined(string, Identity::new(certified, key, address.clone())?),
        Some(Reply::Refused(refused)) => Err(JoinFailed::Refused(refused.into())),
        Some(_) => Err(IdentityError::Certified.into()),
        None => Err(JoinFailed::Away(address.clone(), "it closed the connection".to_owned())),
    }
}

/// An identity with which the worker can come back.
fn joined(string: &JoinString, identity: Identity) -> Result<Identity, JoinFailed> {
    if !identity.knows(string.authority) {
        return Err(IdentityError::Certified.into());
    }
    if identity.begins().as_secs() > UnixTime::now().as_secs() {
        return Err(JoinFailed::Clock(string.address.clone(), "the worker's certificate is not valid yet"));
    }
    Ok(identity)
}

fn failed(address: &str, lost: &Lost) -> JoinFailed {
    let tls = |error: &io::Error| error.get_ref().is_some_and(|error| error.is::<rustls::Error>());
    match lost {
        Lost::Clock(_) => JoinFailed::Clock(address.to_owned(), "the coordinator's certificate is not valid"),
        Lost::Connect(_, error) if tls(error) => JoinFailed::Stranger(address.to_owned()),
        lost => JoinFailed::Away(address.to_owned(), in_one_line(lost)),
    }
}
