//! The calls for delegation tokens, which HDFS (`ClientNamenodeProtocol`) and YARN (`ApplicationClientProtocol`) name and
//! number alike: `GetDelegationTokenRequestProto` and its like in Hadoop's `Security.proto` and `yarn_service_protos.proto`.

use super::{PROTOCOL_NAME, RpcClient, RpcError};
use crate::lifecycle::TokenCalls;
use crate::sasl::SecurityContext;
use crate::token::HadoopToken;
use crate::token_file::TokenMessage;
use prost::Message;
use std::io::{Read, Write};

impl<S: Read + Write, C: SecurityContext> RpcClient<S, C> {
    /// A new token, which `renewer` may renew: a principal, which the server shortens.
    ///
    /// # Errors
    /// If the call fails, or the answer has no token with identifier and password.
    pub fn obtain_token(&mut self, renewer: &str) -> Result<HadoopToken, RpcError> {
        let answer: ObtainAnswer = self.call("getDelegationToken", &ObtainRequest { renewer: renewer.to_owned() })?;
        let token: HadoopToken = answer.token.ok_or(RpcError::NoToken)?.into();
        if token.is_empty() { Err(RpcError::NoToken) } else { Ok(token) }
    }
}

impl<S: Read + Write, C: SecurityContext> TokenCalls for RpcClient<S, C> {
    type Error = RpcError;

    fn renew_token(&mut self, token: &HadoopToken) -> Result<u64, RpcError> {
        let answer: RenewAnswer =
            self.call("renewDelegationToken", &TokenRequest { token: Some(token.clone().into()) })?;
        match answer.expiry {
            0 => Err(RpcError::Protocol(PROTOCOL_NAME, "a renewed token has no expiry")),
            expiry => Ok(expiry),
        }
    }

    fn cancel_token(&mut self, token: &HadoopToken) -> Result<(), RpcError> {
        let _: Empty = self.call("cancelDelegationToken", &TokenRequest { token: Some(token.clone().into()) })?;
        Ok(())
    }
}

/// `GetDelegationTokenRequestProto`.
#[derive(Clone, PartialEq, Eq, Message)]
struct ObtainRequest {
    #[prost(string, required, tag = "1")]
    renewer: String,
}

/// `GetDelegationTokenResponseProto`.
#[derive(Clone, PartialEq, Message)]
struct ObtainAnswer {
    #[prost(message, optional, tag = "1")]
    token: Option<TokenMessage>,
}

/// `RenewDelegationTokenRequestProto` and `CancelDelegationTokenRequestProto`.
#[derive(Clone, PartialEq, Message)]
struct TokenRequest {
    #[prost(message, optional, tag = "1")]
    token: Option<TokenMessage>,
}

/// `RenewDelegationTokenResponseProto`. HDFS has a `uint64`, YARN an `int64`: the same on the wire.
#[derive(Clone, PartialEq, Eq, Message)]
struct RenewAnswer {
    #[prost(uint64, required, tag = "1")]
    expiry: u64,
}

/// `CancelDelegationTokenResponseProto`.
#[derive(Clone, PartialEq, Eq, Message)]
struct Empty {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, unhex, vector};

    fn token() -> HadoopToken {
        HadoopToken {
            identifier: vec![9],
            password: vec![1, 2, 3, 4],
            kind: "HDFS_DELEGATION_TOKEN".to_owned(),
            service: String::new(),
        }
    }

    #[test]
    fn delegation_messages_are_those_of_hadoop() {
        let request = ObtainRequest { renewer: "alice".to_owned() };
        assert_eq!(hex(&request.encode_length_delimited_to_vec()), vector("rpc-get-request"));
        let request = TokenRequest { token: Some(token().into()) };
        for name in ["rpc-renew-request", "rpc-cancel-request"] {
            assert_eq!(hex(&request.encode_length_delimited_to_vec()), vector(name));
        }
        let answer = ObtainAnswer::decode_length_delimited(unhex(vector("rpc-get-response")).as_slice()).unwrap();
        assert!(answer.token.map(HadoopToken::from) == Some(token()));
        let answer = RenewAnswer::decode_length_delimited(unhex(vector("rpc-renew-response")).as_slice()).unwrap();
        assert_eq!(answer.expiry, 1_700_086_400_000);
    }
}
