//! The login of a connection: a preamble, then the bare messages of SASL with their length in front. The server's have a
//! status before that. Nothing follows the client's last message.

use crate::frames::{FramedStream, check_length};
use crate::rpc::{RemoteError, RpcError};
use crate::sasl::{MAX_LOGIN, Qualities, SaslClient, SecurityContext, SecurityLayer};
use std::io::{Read, Write};

/// The longest class and text of an error, in bytes.
const MAX_ERROR: usize = 64 * 1024;

/// What is at the beginning of a connection: version 0, Kerberos (`AuthMethod.KERBEROS`).
const PREAMBLE: &[u8] = b"HBas\x00\x51";

/// The largest status.
const MAX_STATUS: usize = 255;

/// `SaslStatus.SUCCESS`.
const SUCCESS: i32 = 0;

/// In place of a length: the server has no security (`SaslUtil.SWITCH_TO_SIMPLE_AUTH`).
const SIMPLE: i32 = -88;

/// Logs in, and returns what protects the rest of the connection.
pub(super) fn login<S: Read + Write, C: SecurityContext>(
    frames: &mut FramedStream<S>,
    context: C,
    qualities: Qualities,
) -> Result<SecurityLayer<C>, RpcError> {
    let mut sasl = SaslClient::new(context, qualities);
    let token = sasl.step(b"")?;
    frames.send_bare(PREAMBLE)?;
    frames.send(&token)?;
    while !sasl.is_complete() {
        let token = sasl.step(&receive(frames)?)?;
        frames.send(&token)?;
    }
    Ok(sasl.finish()?)
}

/// The next message of the server.
fn receive<S: Read + Write>(frames: &mut FramedStream<S>) -> Result<Vec<u8>, RpcError> {
    let status = frames.read_int()?;
    if status != SUCCESS {
        // Another service answers with something else than a status.
        check_length(status, MAX_STATUS)?;
        let class = frames.receive(MAX_ERROR)?;
        let text = frames.receive(MAX_ERROR)?;
        return Err(RemoteError::new(&String::from_utf8_lossy(&class), &String::from_utf8_lossy(&text)).into());
    }
    match frames.read_int()? {
        SIMPLE => Err(RpcError::NoSecurity),
        length => Ok(frames.read_exactly(length, MAX_LOGIN)?),
    }
}
