//! The call for an authentication token, to the coprocessor `TokenProvider` of the region `hbase:meta`.

use super::messages::{
    HBaseTokenMessage, REGION_NAME, RegionSpecifier, ServiceCall, ServiceRequest, ServiceResponse, TokenResponse,
};
use super::{HBaseClient, malformed};
use crate::rpc::RpcError;
use crate::sasl::SecurityContext;
use crate::token::HadoopToken;
use prost::Message;
use std::io::{Read, Write};

/// The kind of the tokens, which the server does not say (`AuthenticationTokenIdentifier.AUTH_TOKEN_TYPE`).
pub const HBASE_KIND: &str = "HBASE_AUTH_TOKEN";

/// The name of the region.
const META: &[u8] = b"hbase:meta,,1";

impl<S: Read + Write, C: SecurityContext> HBaseClient<S, C> {
    /// A new token for the user of the connection, from a connection to [`super::Service::Regions`].
    ///
    /// # Errors
    /// If the call fails, or the answer has no token with identifier, password and cluster.
    pub fn obtain_token(&mut self) -> Result<HadoopToken, RpcError> {
        let answer: ServiceResponse = self.call("ExecService", &token_request())?;
        let value = answer.value.and_then(|named| named.value).ok_or(RpcError::NoToken)?;
        let answer =
            TokenResponse::decode(value.as_slice()).map_err(|_| malformed("the answer of the token cannot be read"))?;
        let HBaseTokenMessage { identifier, password, service } = answer.token.ok_or(RpcError::NoToken)?;
        let token = HadoopToken { identifier, password, kind: HBASE_KIND.to_owned(), service };
        if token.is_empty() {
            return Err(RpcError::NoToken);
        }
        // Clients look for it by the cluster's id.
        if token.service.is_empty() { Err(malformed("the token names no cluster")) } else { Ok(token) }
    }
}

pub(super) fn token_request() -> ServiceRequest {
    ServiceRequest {
        region: RegionSpecifier { kind: REGION_NAME, value: META.to_owned() },
        call: ServiceCall {
            row: Vec::new(),
            service: "AuthenticationService".to_owned(),
            method: "GetAuthenticationToken".to_owned(),
            request: Vec::new(),
        },
    }
}
