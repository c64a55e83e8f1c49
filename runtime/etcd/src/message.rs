//! etcd's messages.

#[allow(clippy::all, unreachable_pub, unused_qualifications, reason = "generated")]
mod generated;

use std::fmt;

pub use generated::compare::{CompareResult, CompareTarget, TargetUnion};
pub use generated::event::EventType;
pub use generated::request_op::Requested;
pub use generated::response_op::Responded;
pub use generated::watch_request::RequestUnion;
pub use generated::{
    AuthenticateRequest, AuthenticateResponse, Compare, DeleteRangeRequest, DeleteRangeResponse, Event, KeyValue,
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseRevokeRequest,
    LeaseRevokeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, ResponseOp, StoreHeader,
    TxnRequest, TxnResponse, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};

/// What these hold is not printed.
macro_rules! opaque {
    ($($message:ident),+) => {
        $(impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($message))
            }
        })+
    };
}

opaque!(
    AuthenticateRequest,
    AuthenticateResponse,
    Compare,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    RangeRequest,
    WatchCreateRequest
);

impl Compare {
    /// The key exists with this revision of its last write; 0: it does not exist.
    pub fn mod_revision(key: &[u8], revision: i64) -> Self {
        let target = TargetUnion::ModRevision(revision);
        Self::equal(key, CompareTarget::Mod, target)
    }

    /// The key exists since this revision; 0: it does not exist.
    pub fn create_revision(key: &[u8], revision: i64) -> Self {
        Self::equal(key, CompareTarget::Create, TargetUnion::CreateRevision(revision))
    }

    pub fn value(key: &[u8], value: &[u8]) -> Self {
        Self::equal(key, CompareTarget::Value, TargetUnion::Value(value.to_vec()))
    }

    fn equal(key: &[u8], target: CompareTarget, value: TargetUnion) -> Self {
        Self {
            result: CompareResult::Equal.into(),
            target: target.into(),
            key: key.to_vec(),
            target_union: Some(value),
        }
    }
}

impl RequestOp {
    pub fn get(key: &[u8]) -> Self {
        let range = RangeRequest { key: key.to_vec(), ..RangeRequest::default() };
        Self { requested: Some(Requested::RequestRange(range)) }
    }

    pub fn put(key: &[u8], value: Vec<u8>, lease: i64) -> Self {
        Self { requested: Some(Requested::RequestPut(PutRequest { key: key.to_vec(), value, lease })) }
    }

    pub fn delete(key: &[u8]) -> Self {
        let range = DeleteRangeRequest { key: key.to_vec(), range_end: Vec::new() };
        Self { requested: Some(Requested::RequestDeleteRange(range)) }
    }
}

impl TxnResponse {
    /// The revision at which it was applied.
    pub fn revision(&self) -> i64 {
        self.header.as_ref().map_or(0, |header| header.revision)
    }

    /// What the reading request at this place found.
    pub fn found(&self, at: usize) -> Option<&KeyValue> {
        match self.responses.get(at)?.responded.as_ref()? {
            Responded::ResponseRange(range) => range.kvs.first(),
            Responded::ResponsePut(_) | Responded::ResponseDeleteRange(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_messages_are_generated_from_the_present_proto() {
        let digest = deputy_support::sha256(include_bytes!("../etcd.proto")).to_string();
        assert!(include_str!("message/generated.rs").contains(&digest), "run `cargo xtask proto`");
    }

    #[test]
    fn etcd_messages_with_values_print_their_names_alone() {
        let request = AuthenticateRequest { name: "deputy".to_owned(), password: "hunter2".to_owned() };
        assert_eq!(format!("{request:?}"), "AuthenticateRequest");
        let put = RequestOp::put(b"key", b"hunter2".to_vec(), 0);
        assert!(!format!("{put:?}").contains("104"), "{put:?}");
    }
}
