//! Hive's metastore, the client's side: Thrift over SASL with a login by Kerberos, and the calls for delegation tokens.
//!
//! Source: `hive_metastore.thrift` and `HiveMetaStoreClient` of Hive, `TSaslTransport` and `TBinaryProtocol` of Thrift.

mod login;
mod thrift;

use crate::frames::{FramedStream, MAX_FRAME};
use crate::lifecycle::TokenCalls;
use crate::rpc::{RemoteError, RpcError};
use crate::sasl::{ContextError, Qualities, Quality, SecurityContext, SecurityLayer};
use crate::token::HadoopToken;
use std::io::{Read, Write};
use thrift::{Answer, PROTOCOL_NAME, Value};

/// A connection that is logged in.
pub struct MetastoreClient<S, C> {
    frames: FramedStream<S>,
    layer: SecurityLayer<C>,
    next_call: i32,
}

impl<S: Read + Write, C: SecurityContext> MetastoreClient<S, C> {
    /// Logs in over a fresh connection, with a security context for the metastore's principal.
    ///
    /// # Errors
    /// If the connection or the login fails.
    pub fn connect(stream: S, context: Result<C, ContextError>, qualities: Qualities) -> Result<Self, RpcError> {
        let mut frames = FramedStream::new(stream);
        let layer = login::login(&mut frames, context?, qualities)?;
        Ok(Self { frames, layer, next_call: 1 })
    }

    /// What protects the messages.
    #[must_use]
    pub fn quality(&self) -> Quality {
        self.layer.quality()
    }

    /// A new token for a user, which `renewer` may renew. For another user than the login's, that one must be a proxy user.
    ///
    /// # Errors
    /// If the call fails, or the answer has no token.
    pub fn obtain_token(&mut self, owner: &str, renewer: &str) -> Result<HadoopToken, RpcError> {
        let token = self.call("get_delegation_token", &[owner, renewer], |value| match value {
            // A metastore without security returns none.
            None | Some(Value::Text(b"")) => Err(RpcError::NoToken),
            Some(Value::Text(text)) => {
                let text = str::from_utf8(text).map_err(|_| malformed("the token is no text"))?;
                HadoopToken::from_url_string(text).map_err(|_| malformed("the token cannot be read"))
            }
            Some(Value::Number(_)) => Err(malformed("the token is no text")),
        })?;
        Ok(token)
    }

    /// Calls a method with strings. `read` takes its result.
    fn call<T>(
        &mut self,
        method: &str,
        arguments: &[&str],
        read: impl FnOnce(Option<Value<'_>>) -> Result<T, RpcError>,
    ) -> Result<T, RpcError> {
        let number = self.next_call;
        self.next_call += 1;
        let message = self.layer.protect(&thrift::call(method, number, arguments))?;
        self.frames.send(&message)?;
        let answer = self.layer.open(&self.frames.receive(MAX_FRAME)?)?;
        let answer = thrift::read_answer(&answer, method, number);
        match answer.map_err(|_| malformed("an answer cannot be read"))? {
            Answer::Result(value) => read(value),
            Answer::Declared(text) => Err(exception("MetaException", text)),
            Answer::Failed(text) => Err(exception("TApplicationException", text)),
        }
    }
}

impl<S: Read + Write, C: SecurityContext> TokenCalls for MetastoreClient<S, C> {
    type Error = RpcError;

    fn renew_token(&mut self, token: &HadoopToken) -> Result<u64, RpcError> {
        self.call("renew_delegation_token", &[&bare(token)], |value| match value {
            Some(Value::Number(expiry @ 1..)) => Ok(expiry.cast_unsigned()),
            _ => Err(malformed("a renewed token has no expiry")),
        })
    }

    fn cancel_token(&mut self, token: &HadoopToken) -> Result<(), RpcError> {
        self.call("cancel_delegation_token", &[&bare(token)], |_| Ok(()))
    }
}

/// The token as the metastore made it: the service is the clients'.
fn bare(token: &HadoopToken) -> String {
    HadoopToken { service: String::new(), ..token.clone() }.to_url_string()
}

fn exception(class: &str, text: &[u8]) -> RpcError {
    RemoteError::new(class, &String::from_utf8_lossy(text)).into()
}

fn malformed(problem: &'static str) -> RpcError {
    RpcError::Protocol(PROTOCOL_NAME, problem)
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
