//! The messages of HBase: `RPC.proto`, `Client.proto`, `Registry.proto`, `HBase.proto` and `Authentication.proto` of HBase,
//! the fields that matter here. Enumerations are numbers, since a server may send any.

use prost::Message;

/// `RegionSpecifierType.REGION_NAME`.
pub(super) const REGION_NAME: i32 = 1;

/// `RegionState.State.OPEN`.
pub(super) const OPEN: i32 = 3;

/// `ConnectionHeader`: which service is called, and for which user.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ConnectionHeader {
    #[prost(message, optional, tag = "1")]
    pub(super) user: Option<HBaseUser>,
    #[prost(string, optional, tag = "2")]
    pub(super) service: Option<String>,
}

/// `UserInformation`. The real user is the principal of the login, so that it is not sent.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct HBaseUser {
    #[prost(string, required, tag = "1")]
    pub(super) effective_user: String,
}

/// `RequestHeader`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct CallHeader {
    #[prost(uint32, optional, tag = "1")]
    pub(super) call_id: Option<u32>,
    #[prost(string, optional, tag = "3")]
    pub(super) method: Option<String>,
    #[prost(bool, optional, tag = "4")]
    pub(super) has_parameter: Option<bool>,
}

/// `ResponseHeader`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct AnswerHeader {
    #[prost(uint32, optional, tag = "1")]
    pub(super) call_id: Option<u32>,
    #[prost(message, optional, tag = "2")]
    pub(super) exception: Option<ExceptionResponse>,
}

/// `ExceptionResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ExceptionResponse {
    #[prost(string, tag = "1")]
    pub(super) class: String,
    #[prost(string, tag = "2")]
    pub(super) stack_trace: String,
}

/// `CoprocessorServiceRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ServiceRequest {
    #[prost(message, required, tag = "1")]
    pub(super) region: RegionSpecifier,
    #[prost(message, required, tag = "2")]
    pub(super) call: ServiceCall,
}

/// `RegionSpecifier`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RegionSpecifier {
    #[prost(int32, required, tag = "1")]
    pub(super) kind: i32,
    #[prost(bytes = "vec", required, tag = "2")]
    pub(super) value: Vec<u8>,
}

/// `CoprocessorServiceCall`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ServiceCall {
    #[prost(bytes = "vec", required, tag = "1")]
    pub(super) row: Vec<u8>,
    #[prost(string, required, tag = "2")]
    pub(super) service: String,
    #[prost(string, required, tag = "3")]
    pub(super) method: String,
    #[prost(bytes = "vec", required, tag = "4")]
    pub(super) request: Vec<u8>,
}

/// `CoprocessorServiceResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ServiceResponse {
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<NamedValue>,
}

/// `NameBytesPair`: the name is that of a Java class.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct NamedValue {
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) value: Option<Vec<u8>>,
}

/// `GetAuthenticationTokenResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TokenResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) token: Option<HBaseTokenMessage>,
}

/// `Token`: without a kind.
#[derive(Clone, PartialEq, Eq, Message)]
#[prost(skip_debug)]
pub(super) struct HBaseTokenMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) identifier: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) password: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(super) service: String,
}

/// Without what makes it a credential.
impl std::fmt::Debug for HBaseTokenMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HBaseTokenMessage").field("service", &self.service).finish_non_exhaustive()
    }
}

/// `GetMetaRegionLocationsRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct MetaRequest {}

/// `GetMetaRegionLocationsResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct MetaResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) locations: Vec<RegionLocation>,
}

/// `RegionLocation`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RegionLocation {
    #[prost(message, optional, tag = "1")]
    pub(super) region: Option<RegionInfo>,
    #[prost(message, optional, tag = "2")]
    pub(super) server: Option<ServerName>,
}

/// `RegionInfo`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RegionInfo {
    /// 0 is the primary replica.
    #[prost(int32, tag = "7")]
    pub(super) replica: i32,
}

/// `ServerName`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ServerName {
    #[prost(string, tag = "1")]
    pub(super) host: String,
    #[prost(uint32, tag = "2")]
    pub(super) port: u32,
}

/// `MetaRegionServer`, which ZooKeeper has.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct MetaRegionServer {
    #[prost(message, optional, tag = "1")]
    pub(super) server: Option<ServerName>,
    #[prost(int32, optional, tag = "3")]
    pub(super) state: Option<i32>,
}
