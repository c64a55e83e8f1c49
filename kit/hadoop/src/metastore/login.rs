//! The login of a connection: messages of SASL, each with a status and a length in front (`TSaslTransport` of Thrift).

use super::malformed;
use crate::frames::FramedStream;
use crate::rpc::{RemoteError, RpcError};
use crate::sasl::{MAX_LOGIN, Qualities, SaslClient, SecurityContext, SecurityLayer};
use std::io::{Read, Write};

/// `NegotiationStatus`.
mod status {
    pub(super) const START: u8 = 1;
    pub(super) const OK: u8 = 2;
    pub(super) const BAD: u8 = 3;
    pub(super) const ERROR: u8 = 4;
    pub(super) const COMPLETE: u8 = 5;
}

/// Logs in, and returns what protects the rest of the connection.
pub(super) fn login<S: Read + Write, C: SecurityContext>(
    frames: &mut FramedStream<S>,
    context: C,
    qualities: Qualities,
) -> Result<SecurityLayer<C>, RpcError> {
    let mut sasl = SaslClient::new(context, qualities);
    let token = sasl.step(b"")?;
    send(frames, status::START, b"GSSAPI")?;
    send(frames, status::OK, &token)?;
    loop {
        let (status, message) = receive(frames)?;
        match status {
            status::OK => {
                let token = sasl.step(&message)?;
                send(frames, if sasl.is_complete() { status::COMPLETE } else { status::OK }, &token)?;
            }
            status::COMPLETE => return Ok(sasl.finish()?),
            status::BAD | status::ERROR => {
                return Err(RemoteError::new("SaslException", &String::from_utf8_lossy(&message)).into());
            }
            _ => return Err(malformed("a message of the login has another status")),
        }
    }
}

fn send<S: Read + Write>(frames: &mut FramedStream<S>, status: u8, message: &[u8]) -> Result<(), RpcError> {
    let framed = crate::frames::with_length(message)?;
    Ok(frames.send_bare(&[&[status], framed.as_slice()].concat())?)
}

fn receive<S: Read + Write>(frames: &mut FramedStream<S>) -> Result<(u8, Vec<u8>), RpcError> {
    let status = frames.read_byte()?;
    if !(status::START..=status::COMPLETE).contains(&status) {
        return Err(malformed("a message of the login has another status"));
    }
    Ok((status, frames.receive(MAX_LOGIN)?))
}
