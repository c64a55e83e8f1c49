//! The login of Hadoop RPC: NEGOTIATE, INITIATE, CHALLENGE and RESPONSE until SUCCESS (`SaslRpcClient` in Hadoop).

use super::PROTOCOL_NAME;
use super::error::{RemoteError, RpcError};
use super::messages::{
    CALL_SASL, FINAL_PACKET, KIND_PROTOBUF, NO_RETRY, RequestHeader, ResponseHeader, STATUS_SUCCESS, SaslAuth,
    SaslMessage, state,
};
use super::server_name::ExpectedServer;
use crate::frames::{FramedStream, split_delimited};
use crate::sasl::{ContextError, MAX_LOGIN, Qualities, SaslClient, SecurityContext, SecurityLayer};
use deputy_kit::text::one_line;
use prost::Message;
use std::io::{Read, Write};

/// What is at the beginning of a connection: version 9, service class 0, SASL.
const PREAMBLE: &[u8] = b"hrpc\x09\x00\xdf";

/// Logs in, and returns what protects the rest of the connection. `open` opens a security context with a principal.
pub(super) fn login<S: Read + Write, C: SecurityContext>(
    frames: &mut FramedStream<S>,
    server: ExpectedServer<'_>,
    qualities: Qualities,
    open: impl FnOnce(&str) -> Result<C, ContextError>,
) -> Result<SecurityLayer<C>, RpcError> {
    frames.send_bare(PREAMBLE)?;
    send(frames, &SaslMessage { state: state::NEGOTIATE, ..SaslMessage::default() })?;
    let auth = kerberos(receive(frames)?)?;
    let target = server.target(auth.protocol.as_deref().unwrap_or(""), auth.server_id.as_deref().unwrap_or(""))?;
    let mut sasl = SaslClient::new(open(&target)?, qualities);
    let token = Some(sasl.step(b"")?);
    send(frames, &SaslMessage { state: state::INITIATE, token, auths: vec![auth] })?;
    loop {
        let message = receive(frames)?;
        match message.state {
            state::CHALLENGE => {
                let token = Some(sasl.step(&message.token.unwrap_or_default())?);
                send(frames, &SaslMessage { state: state::RESPONSE, token, auths: Vec::new() })?;
            }
            state::SUCCESS => return Ok(sasl.finish()?),
            _ => return Err(RpcError::Protocol(PROTOCOL_NAME, "a message of the login has another state")),
        }
    }
}

/// The offer of a login by Kerberos.
fn kerberos(offer: SaslMessage) -> Result<SaslAuth, RpcError> {
    match offer.state {
        state::NEGOTIATE => {}
        state::SUCCESS => return Err(RpcError::NoSecurity),
        _ => return Err(RpcError::Protocol(PROTOCOL_NAME, "its offer of logins is none")),
    }
    let methods: Vec<_> = offer.auths.iter().take(8).map(|auth| one_line(&auth.method, 20)).collect();
    let is_kerberos = |auth: &SaslAuth| auth.method == "KERBEROS" && auth.mechanism == "GSSAPI";
    offer.auths.into_iter().find(is_kerberos).ok_or_else(|| RpcError::NoKerberos(one_line(&methods.join(", "), 200)))
}

/// Sends a message of SASL.
pub(super) fn send<S: Read + Write>(frames: &mut FramedStream<S>, message: &SaslMessage) -> Result<(), RpcError> {
    let header = request_header(CALL_SASL, b"");
    frames.send(&[header, message.encode_length_delimited_to_vec()].concat())?;
    Ok(())
}

/// The next message of SASL.
fn receive<S: Read + Write>(frames: &mut FramedStream<S>) -> Result<SaslMessage, RpcError> {
    sasl_message(&frames.receive(MAX_LOGIN)?)
}

/// Reads a frame that has a message of SASL.
pub(super) fn sasl_message(frame: &[u8]) -> Result<SaslMessage, RpcError> {
    let body = answer(frame, CALL_SASL)?;
    SaslMessage::decode(body).map_err(|_| RpcError::Protocol(PROTOCOL_NAME, "a message of the login cannot be read"))
}

/// The header of a request, with its length in front.
pub(super) fn request_header(call_id: i32, client_id: &[u8]) -> Vec<u8> {
    let header = RequestHeader {
        kind: Some(KIND_PROTOBUF),
        operation: Some(FINAL_PACKET),
        call_id,
        client_id: client_id.to_owned(),
        retry_count: Some(NO_RETRY),
    };
    header.encode_length_delimited_to_vec()
}

/// The body of an answer to this call, if the call succeeded. A server that closes the connection because of an error may
/// answer with another call id.
pub(super) fn answer(mut frame: &[u8], call_id: i32) -> Result<&[u8], RpcError> {
    let header = split_delimited(&mut frame)?;
    let header = ResponseHeader::decode(header)
        .map_err(|_| RpcError::Protocol(PROTOCOL_NAME, "the header of an answer cannot be read"))?;
    if header.status != STATUS_SUCCESS {
        return Err(RemoteError::new(&header.exception, &header.text).into());
    }
    if header.call_id.cast_signed() != call_id {
        return Err(RpcError::Protocol(PROTOCOL_NAME, "it answers another call"));
    }
    Ok(split_delimited(&mut frame)?)
}

/// Reads a frame of the client that has a message of SASL.
#[cfg(test)]
pub(super) fn sasl_message_of_client(mut frame: &[u8]) -> SaslMessage {
    split_delimited(&mut frame).unwrap();
    SaslMessage::decode(split_delimited(&mut frame).unwrap()).unwrap()
}
