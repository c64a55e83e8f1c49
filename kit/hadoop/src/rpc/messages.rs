//! The messages of Hadoop RPC: `RpcHeader.proto`, `IpcConnectionContext.proto` and `ProtobufRpcEngine2.proto` of Hadoop, the
//! fields that matter here. Enumerations are numbers, since a server may send any.

use prost::Message;

/// `RpcKindProto.RPC_PROTOCOL_BUFFER`.
pub(super) const KIND_PROTOBUF: i32 = 2;

/// `OperationProto.RPC_FINAL_PACKET`.
pub(super) const FINAL_PACKET: i32 = 0;

/// `RpcConstants.INVALID_RETRY_COUNT`.
pub(super) const NO_RETRY: i32 = -1;

/// The call id of messages of SASL: `AuthProtocol.SASL.callId`.
pub(super) const CALL_SASL: i32 = -33;

/// The call id of the connection context: `RpcConstants.CONNECTION_CONTEXT_CALL_ID`.
pub(super) const CALL_CONTEXT: i32 = -3;

/// `RpcStatusProto.SUCCESS`. What is not success is an error.
pub(super) const STATUS_SUCCESS: i32 = 0;

/// `RpcRequestHeaderProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RequestHeader {
    #[prost(int32, optional, tag = "1")]
    pub(super) kind: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub(super) operation: Option<i32>,
    #[prost(sint32, required, tag = "3")]
    pub(super) call_id: i32,
    #[prost(bytes = "vec", required, tag = "4")]
    pub(super) client_id: Vec<u8>,
    #[prost(sint32, optional, tag = "5")]
    pub(super) retry_count: Option<i32>,
}

/// `RpcResponseHeaderProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ResponseHeader {
    /// Here it is no `sint32`, so that a negative one is a large number.
    #[prost(uint32, required, tag = "1")]
    pub(super) call_id: u32,
    #[prost(int32, required, tag = "2")]
    pub(super) status: i32,
    #[prost(string, tag = "4")]
    pub(super) exception: String,
    #[prost(string, tag = "5")]
    pub(super) text: String,
}

/// `RpcSaslProto.SaslState`.
pub(super) mod state {
    pub(in crate::rpc) const SUCCESS: i32 = 0;
    pub(in crate::rpc) const NEGOTIATE: i32 = 1;
    pub(in crate::rpc) const INITIATE: i32 = 2;
    pub(in crate::rpc) const CHALLENGE: i32 = 3;
    pub(in crate::rpc) const RESPONSE: i32 = 4;
    pub(in crate::rpc) const WRAP: i32 = 5;
}

/// `RpcSaslProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SaslMessage {
    #[prost(int32, required, tag = "2")]
    pub(super) state: i32,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) token: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "4")]
    pub(super) auths: Vec<SaslAuth>,
}

/// `RpcSaslProto.SaslAuth`: one way to log in.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct SaslAuth {
    #[prost(string, required, tag = "1")]
    pub(super) method: String,
    #[prost(string, required, tag = "2")]
    pub(super) mechanism: String,
    #[prost(string, optional, tag = "3")]
    pub(super) protocol: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(super) server_id: Option<String>,
}

/// `IpcConnectionContextProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ConnectionContext {
    #[prost(message, optional, tag = "2")]
    pub(super) user: Option<UserInformation>,
    #[prost(string, optional, tag = "3")]
    pub(super) protocol: Option<String>,
}

/// `UserInformationProto`. The real user is the principal of the login, so that it is not sent.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct UserInformation {
    #[prost(string, optional, tag = "1")]
    pub(super) effective_user: Option<String>,
}

/// `RequestHeaderProto` of `ProtobufRpcEngine2`: which method.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct MethodHeader {
    #[prost(string, required, tag = "1")]
    pub(super) method: String,
    #[prost(string, required, tag = "2")]
    pub(super) protocol: String,
    #[prost(uint64, required, tag = "3")]
    pub(super) version: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, unhex, vector};

    const CLIENT: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";

    #[track_caller]
    fn is_written<M: Message>(name: &str, message: &M) {
        assert_eq!(hex(&message.encode_length_delimited_to_vec()), vector(name), "{name}");
    }

    fn read<M: Message + Default>(name: &str) -> M {
        M::decode_length_delimited(unhex(vector(name)).as_slice()).unwrap()
    }

    fn header(call_id: i32, client_id: &[u8]) -> RequestHeader {
        RequestHeader {
            kind: Some(KIND_PROTOBUF),
            operation: Some(FINAL_PACKET),
            call_id,
            client_id: client_id.to_owned(),
            retry_count: Some(NO_RETRY),
        }
    }

    #[test]
    fn rpc_requests_are_those_of_hadoop() {
        is_written("rpc-request-header-sasl", &header(CALL_SASL, b""));
        is_written("rpc-request-header-context", &header(CALL_CONTEXT, b"0123456789abcdef"));
        let bare = SaslMessage { state: state::NEGOTIATE, ..SaslMessage::default() };
        is_written("rpc-negotiate", &bare);
        let kerberos = SaslAuth {
            method: "KERBEROS".to_owned(),
            mechanism: "GSSAPI".to_owned(),
            protocol: Some("hdfs".to_owned()),
            server_id: Some("nn1.example.com".to_owned()),
        };
        let initiate = SaslMessage { state: state::INITIATE, token: Some(b"ap-req".to_vec()), auths: vec![kerberos] };
        is_written("rpc-initiate", &initiate);
        let user = UserInformation { effective_user: Some("bob".to_owned()) };
        let context = ConnectionContext { user: None, protocol: Some(CLIENT.to_owned()) };
        is_written("rpc-context", &context);
        is_written("rpc-context-proxy", &ConnectionContext { user: Some(user), ..context });
        let method = MethodHeader { method: "getDelegationToken".to_owned(), protocol: CLIENT.to_owned(), version: 1 };
        is_written("rpc-request", &method);
    }

    #[test]
    fn rpc_answers_of_hadoop_are_read() {
        let offer: SaslMessage = read("rpc-offer");
        assert_eq!((offer.state, offer.auths.len()), (state::NEGOTIATE, 2));
        assert_eq!(offer.auths[1].server_id.as_deref(), Some("nn1.example.com"));
        let header: ResponseHeader = read("rpc-response-sasl");
        assert_eq!((header.call_id.cast_signed(), header.status), (CALL_SASL, STATUS_SUCCESS));
        let header: ResponseHeader = read("rpc-response-error");
        assert_eq!((header.call_id, header.status), (0, 1));
        assert_eq!(header.exception, "org.apache.hadoop.security.AccessControlException");
    }
}
