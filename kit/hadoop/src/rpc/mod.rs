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

use crate::frames::{FramedStream, MAX_FRAME, with_length};
use crate::sasl::{ContextError, Qualities, Quality, SecurityContext, SecurityLayer};
use messages::{CALL_CONTEXT, ConnectionContext, MethodHeader, SaslMessage, UserInformation, state};
use prost::Message;
use std::io::{Read, Write};

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
    /// What was unwrapped and not yet taken: wrapped messages are pieces of a stream of frames.
    unwrapped: Vec<u8>,
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
        let mut client = Self { frames, layer, protocol, client_id, next_call: 0, unwrapped: Vec::new() };
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
        A::decode(login::answer(&frame, call_id)?).map_err(|_| RpcError::Protocol("an answer cannot be read"))
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
        let length = self.unwrap_at_least(4)?.first_chunk::<4>().map_or(0, |bytes| i32::from_be_bytes(*bytes));
        let size = crate::frames::check_length(length, MAX_FRAME)?;
        self.unwrap_at_least(4 + size)?;
        let rest = self.unwrapped.split_off(4 + size);
        let frame = std::mem::replace(&mut self.unwrapped, rest);
        Ok(frame.get(4..).unwrap_or_default().to_owned())
    }

    /// Unwraps messages until there are `size` bytes.
    fn unwrap_at_least(&mut self, size: usize) -> Result<&[u8], RpcError> {
        while self.unwrapped.len() < size {
            let message = login::sasl_message(&self.frames.receive(MAX_FRAME)?)?;
            if message.state != state::WRAP {
                return Err(RpcError::Protocol("a message is not wrapped, though it was agreed"));
            }
            let piece = self.layer.open(&message.token.unwrap_or_default())?;
            if piece.is_empty() {
                return Err(RpcError::Protocol("a wrapped message is empty"));
            }
            self.unwrapped.extend(piece);
        }
        Ok(&self.unwrapped)
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
