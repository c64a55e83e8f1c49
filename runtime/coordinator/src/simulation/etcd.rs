//! etcd, as far as a store uses it: keys with revisions, transactions, and leases that end.

use std::collections::BTreeMap;

use deputy_etcd::message::{
    Compare, DeleteRangeResponse, KeyValue, PutResponse, RangeResponse, RequestOp, Requested, Responded, ResponseOp,
    StoreHeader, TargetUnion, TxnRequest, TxnResponse,
};
use deputy_store::LockKeeper;

/// What a member is asked for.
#[derive(Clone)]
pub(super) enum EtcdCall {
    Read(Vec<u8>),
    /// The names of all keys.
    List,
    Change(TxnRequest),
    Grant,
    KeepAlive(i64),
    Revoke(i64),
}

pub(super) enum EtcdAnswer {
    Read(Option<KeyValue>),
    Listed(Vec<Vec<u8>>),
    Changed(TxnResponse),
    Granted(i64),
    /// Whether the lease had not ended.
    Kept(bool),
    /// With an error, after which nothing is repeated. It may have been carried out.
    Failed,
}

pub(super) struct Etcd {
    revision: i64,
    keys: BTreeMap<Vec<u8>, KeyValue>,
    /// When each lease ends.
    leases: BTreeMap<i64, u64>,
    last_lease: i64,
}

impl Etcd {
    /// One that was used before.
    pub(super) fn new() -> Self {
        Self { revision: 10, keys: BTreeMap::new(), leases: BTreeMap::new(), last_lease: 0 }
    }

    /// Carries out a call. A lease ends `late` milliseconds after its time, never before.
    pub(super) fn carry_out(&mut self, call: &EtcdCall, now: u64, late: u64) -> EtcdAnswer {
        self.end_leases(now);
        let end = now + u64::try_from(LockKeeper::LEASE.as_millis()).unwrap() + late;
        match call {
            EtcdCall::Read(key) => EtcdAnswer::Read(self.keys.get(key).cloned()),
            EtcdCall::List => EtcdAnswer::Listed(self.keys.keys().cloned().collect()),
            EtcdCall::Change(request) => self.change(request).map_or(EtcdAnswer::Failed, EtcdAnswer::Changed),
            EtcdCall::Grant => {
                self.last_lease += 1;
                self.leases.insert(self.last_lease, end);
                EtcdAnswer::Granted(self.last_lease)
            }
            EtcdCall::KeepAlive(lease) => {
                let kept = self.leases.get_mut(lease).map(|ends| *ends = end);
                EtcdAnswer::Kept(kept.is_some())
            }
            EtcdCall::Revoke(lease) => EtcdAnswer::Kept(self.end_lease(*lease)),
        }
    }

    /// What a key holds now.
    pub(super) fn value(&mut self, key: &[u8], now: u64) -> Option<&KeyValue> {
        self.end_leases(now);
        self.keys.get(key)
    }

    fn change(&mut self, request: &TxnRequest) -> Option<TxnResponse> {
        let succeeded = request.compare.iter().all(|compare| self.holds(compare));
        let operations = if succeeded { &request.success } else { &request.failure };
        let is_write = |operation: &RequestOp| !matches!(operation.requested, Some(Requested::RequestRange(_)));
        if operations.iter().any(|operation| self.names_ended_lease(operation)) {
            return None;
        }
        self.revision += i64::from(operations.iter().any(is_write));
        let responses = operations.iter().map(|operation| self.operate(operation)).collect();
        Some(TxnResponse {
            header: Some(StoreHeader { revision: self.revision, ..StoreHeader::default() }),
            succeeded,
            responses,
        })
    }

    fn names_ended_lease(&self, operation: &RequestOp) -> bool {
        let Some(Requested::RequestPut(put)) = &operation.requested else { return false };
        put.lease != 0 && !self.leases.contains_key(&put.lease)
    }

    fn holds(&self, compare: &Compare) -> bool {
        let found = self.keys.get(&compare.key);
        match compare.target_union.as_ref().unwrap() {
            TargetUnion::ModRevision(revision) => found.map_or(0, |found| found.mod_revision) == *revision,
            TargetUnion::CreateRevision(revision) => found.map_or(0, |found| found.create_revision) == *revision,
            TargetUnion::Value(value) => found.is_some_and(|found| found.value == *value),
            _ => panic!("the store compares something else"),
        }
    }

    fn operate(&mut self, operation: &RequestOp) -> ResponseOp {
        let responded = match operation.requested.as_ref().unwrap() {
            Requested::RequestRange(range) => {
                let kvs = self.keys.get(&range.key).cloned().into_iter().collect();
                Responded::ResponseRange(RangeResponse { kvs, ..RangeResponse::default() })
            }
            Requested::RequestPut(put) => {
                let created = self.keys.get(&put.key).map_or(self.revision, |found| found.create_revision);
                let written = KeyValue {
                    key: put.key.clone(),
                    create_revision: created,
                    mod_revision: self.revision,
                    value: put.value.clone(),
                    lease: put.lease,
                    ..KeyValue::default()
                };
                self.keys.insert(put.key.clone(), written);
                Responded::ResponsePut(PutResponse::default())
            }
            Requested::RequestDeleteRange(range) => {
                let deleted = i64::from(self.keys.remove(&range.key).is_some());
                Responded::ResponseDeleteRange(DeleteRangeResponse { deleted, ..DeleteRangeResponse::default() })
            }
        };
        ResponseOp { responded: Some(responded) }
    }

    fn end_leases(&mut self, now: u64) {
        let ended: Vec<i64> = self.leases.iter().filter(|(_, ends)| **ends <= now).map(|(lease, _)| *lease).collect();
        for lease in ended {
            self.end_lease(lease);
        }
    }

    fn end_lease(&mut self, lease: i64) -> bool {
        let before = self.keys.len();
        self.keys.retain(|_, value| value.lease != lease);
        self.revision += i64::from(self.keys.len() < before);
        self.leases.remove(&lease).is_some()
    }
}
