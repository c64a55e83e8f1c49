//! HBase's RPC, the client's side, with a login by Kerberos: where `hbase:meta` is, and an authentication token.
//!
//! Source: `org.apache.hadoop.hbase.ipc.RpcConnection` and `NettyRpcConnection`, `security.HBaseSaslRpcClient`,
//! `security.token.ClientTokenUtil`, and `RPC.proto` of HBase 2.6.

mod login;
mod messages;
mod meta;
mod token;
pub mod zookeeper;

pub use token::HBASE_KIND;

use crate::frames::{FrameBuffer, FramedStream, MAX_FRAME, split_delimited, with_length};
use crate::rpc::{RemoteError, RpcError};
use crate::sasl::{ContextError, Qualities, Quality, SecurityContext, SecurityLayer};
use messages::{AnswerHeader, CallHeader, ConnectionHeader, HBaseUser};
use prost::Message;
use std::io::{Read, Write};

/// What this protocol is called in errors.
const PROTOCOL_NAME: &str = "HBase's RPC";

/// A service of HBase's servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Where things are: masters, and region servers since HBase 2.5.
    Registry,
    /// Regions: region servers.
    Regions,
}

impl Service {
    /// Its name in a connection's header.
    fn name(self) -> &'static str {
        match self {
            Self::Registry => "ClientMetaService",
            Self::Regions => "ClientService",
        }
    }
}

/// Who speaks to which service, and how.
#[derive(Clone, Copy, Debug)]
pub struct HBaseOptions<'a> {
    /// The service.
    pub service: Service,
    /// The server's principal, such as `hbase/rs1.example.com@EXAMPLE.COM`.
    pub principal: &'a str,
    /// The qualities of protection to accept. The strongest that the server offers is taken.
    pub qualities: Qualities,
    /// The user on whose behalf the calls are made, if it is not the principal of the login itself.
    pub effective_user: Option<&'a str>,
}

/// A connection that is logged in.
pub struct HBaseClient<S, C> {
    frames: FramedStream<S>,
    layer: SecurityLayer<C>,
    next_call: u32,
    /// Wrapped messages are pieces of a stream of frames.
    unwrapped: FrameBuffer,
}

impl<S: Read + Write, C: SecurityContext> HBaseClient<S, C> {
    /// Logs in over a fresh connection. `open` opens a security context with the principal that it gets.
    ///
    /// # Errors
    /// If the connection or the login fails.
    pub fn connect(
        stream: S,
        options: &HBaseOptions<'_>,
        open: impl FnOnce(&str) -> Result<C, ContextError>,
    ) -> Result<Self, RpcError> {
        let mut frames = FramedStream::new(stream);
        let layer = login::login(&mut frames, open(options.principal)?, options.qualities)?;
        let mut client = Self { frames, layer, next_call: 0, unwrapped: FrameBuffer::default() };
        let user = options.effective_user.map(|user| HBaseUser { effective_user: user.to_owned() });
        let header = ConnectionHeader { user, service: Some(options.service.name().to_owned()) };
        client.send(&header.encode_to_vec())?;
        Ok(client)
    }

    /// What protects the messages.
    #[must_use]
    pub fn quality(&self) -> Quality {
        self.layer.quality()
    }

    /// Calls a method and waits for its answer.
    fn call<Q: Message, A: Message + Default>(&mut self, method: &str, request: &Q) -> Result<A, RpcError> {
        let call_id = self.next_call;
        self.next_call += 1;
        let header = CallHeader { call_id: Some(call_id), method: Some(method.to_owned()), has_parameter: Some(true) };
        self.send(&[header.encode_length_delimited_to_vec(), request.encode_length_delimited_to_vec()].concat())?;
        let frame = self.receive()?;
        A::decode(answer(&frame, call_id)?).map_err(|_| malformed("an answer cannot be read"))
    }

    fn send(&mut self, message: &[u8]) -> Result<(), RpcError> {
        if self.layer.quality() == Quality::Authentication {
            return Ok(self.frames.send(message)?);
        }
        let token = self.layer.protect(&with_length(message)?)?;
        Ok(self.frames.send(&token)?)
    }

    fn receive(&mut self) -> Result<Vec<u8>, RpcError> {
        if self.layer.quality() == Quality::Authentication {
            return Ok(self.frames.receive(MAX_FRAME)?);
        }
        loop {
            if let Some(frame) = self.unwrapped.take(MAX_FRAME)? {
                return Ok(frame);
            }
            let token = self.frames.receive(MAX_FRAME)?;
            self.unwrapped.push(&self.layer.open(&token)?)?;
        }
    }
}

/// The body of an answer to this call, if the call succeeded. A server that closes the connection because of an error
/// answers with another call id.
fn answer(mut frame: &[u8], call_id: u32) -> Result<&[u8], RpcError> {
    let header = AnswerHeader::decode(split_delimited(&mut frame)?)
        .map_err(|_| malformed("the header of an answer cannot be read"))?;
    if let Some(exception) = header.exception {
        // The stack begins with the class and the text.
        let text = exception.stack_trace.trim_start();
        let text = text.strip_prefix(&exception.class).map_or(text, |text| text.trim_start_matches([':', ' ']));
        return Err(RemoteError::new(&exception.class, text).into());
    }
    if header.call_id != Some(call_id) {
        return Err(malformed("it answers another call"));
    }
    Ok(split_delimited(&mut frame)?)
}

fn malformed(problem: &'static str) -> RpcError {
    RpcError::Protocol(PROTOCOL_NAME, problem)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
