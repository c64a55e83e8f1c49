//! Hadoop RPC, version 9, the client's side, with a login by Kerberos: HDFS and YARN speak it.
//!
//! Source: `org.apache.hadoop.ipc.Client` and `SaslRpcClient`, `RpcHeader.proto`.

mod delegation;
mod error;
mod login;
mod messages;
mod server_name;

pub use error::{RemoteError, RpcError};
pub use server_name::ExpectedServer;

use crate::frames::{FrameBuffer, FramedStream, MAX_FRAME, with_length};
use crate::sasl::{ContextError, Qualities, Quality, SecurityContext, SecurityLayer};
use messages::{CALL_CONTEXT, ConnectionContext, MethodHeader, SaslMessage, UserInformation, state};
use prost::Message;
use std::io::{Read, Write};

/// What this protocol is called in errors.
const PROTOCOL_NAME: &str = "Hadoop RPC 9";

/// Who speaks to which service, and how.
#[derive(Clone, Copy, Debug)]
pub struct RpcOptions<'a> {
    /// The Java interface of the service, such as `org.apache.hadoop.hdfs.protocol.ClientProtocol`.
    pub protocol: &'a str,
    /// Which server may answer.
    pub server: ExpectedServer<'a>,
    /// The qualities of protection to accept. The strongest that the server offers is taken.
    pub qualities: Qualities,
    /// The user on whose behalf the calls are made, if it is not the principal itself.
    pub effective_user: Option<&'a str>,
    /// Random bytes by which the server knows repeated calls of this client.
    pub client_id: [u8; 16],
}

/// A connection that is logged in.
pub struct RpcClient<S, C> {
    frames: FramedStream<S>,
    layer: SecurityLayer<C>,
    protocol: String,
    client_id: [u8; 16],
    next_call: i32,
    /// Wrapped messages are pieces of a stream of frames.
    unwrapped: FrameBuffer,
}

impl<S: Read + Write, C: SecurityContext> RpcClient<S, C> {
    /// Logs in over a fresh connection. `open` opens a security context with the principal that it gets.
    ///
    /// # Errors
    /// If the connection or the login fails.
    pub fn connect(
        stream: S,
        options: &RpcOptions<'_>,
        open: impl FnOnce(&str) -> Result<C, ContextError>,
    ) -> Result<Self, RpcError> {
        let mut frames = FramedStream::new(stream);
        let layer = login::login(&mut frames, options.server, options.qualities, open)?;
        let (protocol, client_id) = (options.protocol.to_owned(), options.client_id);
        let mut client = Self { frames, layer, protocol, client_id, next_call: 0, unwrapped: FrameBuffer::default() };
        let user = options.effective_user.map(|user| UserInformation { effective_user: Some(user.to_owned()) });
        let context = ConnectionContext { user, protocol: Some(client.protocol.clone()) };
        client.send(CALL_CONTEXT, &context.encode_length_delimited_to_vec())?;
        Ok(client)
    }

    /// What protects the messages.
    #[must_use]
    pub fn quality(&self) -> Quality {
        self.layer.quality()
    }

    /// The connection.
    #[must_use]
    pub fn stream(&self) -> &S {
        self.frames.stream()
    }

    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// If the connection fails or the server refuses.
    pub fn call<Q: Message, A: Message + Default>(&mut self, method: &str, request: &Q) -> Result<A, RpcError> {
        let call_id = self.next_call;
        self.next_call += 1;
        let header = MethodHeader { method: method.to_owned(), protocol: self.protocol.clone(), version: 1 };
        let body = [header.encode_length_delimited_to_vec(), request.encode_length_delimited_to_vec()].concat();
        self.send(call_id, &body)?;
        let frame = self.receive()?;
        A::decode(login::answer(&frame, call_id)?)
            .map_err(|_| RpcError::Protocol(PROTOCOL_NAME, "an answer cannot be read"))
    }

    fn send(&mut self, call_id: i32, body: &[u8]) -> Result<(), RpcError> {
        let message = [login::request_header(call_id, &self.client_id).as_slice(), body].concat();
        if self.layer.quality() == Quality::Authentication {
            return Ok(self.frames.send(&message)?);
        }
        let token = Some(self.layer.protect(&with_length(&message)?)?);
        login::send(&mut self.frames, &SaslMessage { state: state::WRAP, token, auths: Vec::new() })
    }

    fn receive(&mut self) -> Result<Vec<u8>, RpcError> {
        if self.layer.quality() == Quality::Authentication {
            return Ok(self.frames.receive(MAX_FRAME)?);
        }
        loop {
            if let Some(frame) = self.unwrapped.take(MAX_FRAME)? {
                return Ok(frame);
            }
            let message = login::sasl_message(&self.frames.receive(MAX_FRAME)?)?;
            if message.state != state::WRAP {
                return Err(RpcError::Protocol(PROTOCOL_NAME, "a message is not wrapped, though it was agreed"));
            }
            self.unwrapped.push(&self.layer.open(&message.token.unwrap_or_default())?)?;
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
