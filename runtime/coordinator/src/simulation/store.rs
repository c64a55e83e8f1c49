//! The store of one process: its own requests and judgements of answers, sent through a network that is simulated.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use deputy_core::{ByteSize, SecretBytes};
use deputy_etcd::{EtcdError, Repeat};
use deputy_store::{
    Changes, EtcdRequests, ExpectedVersion, KeyPrefix, LockGuard, MAX_VALUE, Store, StoreError, StoreKey, StoreLock,
    StoredValue, Version, WriteId, WriteRight,
};
use deputy_support::LockUnpoisoned as _;

use super::etcd::{EtcdAnswer, EtcdCall};

/// What a process wants from etcd, and what came of it.
#[derive(Default)]
pub(super) struct EtcdMailbox {
    last: u64,
    pub(super) outgoing: Vec<(u64, EtcdCall, Repeat)>,
    /// `None`: no answer came.
    answers: BTreeMap<u64, Option<EtcdAnswer>>,
    waiting: BTreeMap<u64, Waker>,
}

impl EtcdMailbox {
    pub(super) fn answer(&mut self, id: u64, answer: Option<EtcdAnswer>) {
        self.answers.insert(id, answer);
        if let Some(waker) = self.waiting.remove(&id) {
            waker.wake();
        }
    }

    fn poll(&mut self, id: u64, context: &Context<'_>) -> Poll<Option<EtcdAnswer>> {
        match self.answers.remove(&id) {
            Some(answer) => Poll::Ready(answer),
            None => {
                self.waiting.insert(id, context.waker().clone());
                Poll::Pending
            }
        }
    }
}

pub(super) struct SimulatedStore {
    pub(super) requests: Arc<EtcdRequests>,
    pub(super) mailbox: Arc<Mutex<EtcdMailbox>>,
}

/// Released with its lease, by the process.
pub(super) struct SimulatedGuard;

#[async_trait]
impl LockGuard for SimulatedGuard {
    async fn release(&self) {}
}

impl SimulatedStore {
    pub(super) async fn call(&self, call: EtcdCall, repeat: Repeat) -> Result<EtcdAnswer, StoreError> {
        let id = {
            let mut mailbox = self.mailbox.lock_unpoisoned();
            mailbox.last += 1;
            let id = mailbox.last;
            mailbox.outgoing.push((id, call, repeat));
            id
        };
        match poll_fn(|context| self.mailbox.lock_unpoisoned().poll(id, context)).await {
            None | Some(EtcdAnswer::Failed) => Err(StoreError::Etcd(EtcdError::Unreachable)),
            Some(answer) => Ok(answer),
        }
    }

    /// Takes the lock, as [`Store::lock`] in etcd does; `None` if it is held. With the lease.
    pub(super) async fn take(&self, name: &StoreKey) -> Result<Option<(StoreLock, i64)>, StoreError> {
        let holder = EtcdCall::Read(self.requests.holder(name).key);
        if !matches!(self.call(holder, Repeat::Always).await?, EtcdAnswer::Read(None)) {
            return Ok(None);
        }
        let id = self.requests.write_id()?;
        let EtcdAnswer::Granted(lease) = self.call(EtcdCall::Grant, Repeat::Always).await? else { panic!("no lease") };
        let take = EtcdCall::Change(self.requests.take(name, id, lease));
        let EtcdAnswer::Changed(answer) = self.call(take, Repeat::Always).await? else { panic!("no transaction") };
        let Some(fencing) = self.requests.taken(id, &answer) else {
            self.call(EtcdCall::Revoke(lease), Repeat::Always).await.ok();
            return Ok(None);
        };
        Ok(Some((StoreLock::new(name.clone(), fencing, id, Box::new(SimulatedGuard)), lease)))
    }
}

#[async_trait]
impl Store for SimulatedStore {
    async fn list(&self, prefix: &KeyPrefix) -> Result<Vec<StoreKey>, StoreError> {
        let EtcdAnswer::Listed(names) = self.call(EtcdCall::List, Repeat::Always).await? else { panic!("no list") };
        let keys = names.iter().filter_map(|name| self.requests.key(name));
        Ok(keys.filter(|key| prefix.contains(key)).collect())
    }

    async fn get(&self, key: &StoreKey) -> Result<Option<StoredValue>, StoreError> {
        let read = EtcdCall::Read(self.requests.value(key).key);
        let EtcdAnswer::Read(found) = self.call(read, Repeat::Always).await? else { panic!("no value") };
        found.map(|found| self.requests.opened(key, found)).transpose()
    }

    async fn put(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<Version, StoreError> {
        let (request, repeat) = self.requests.put(key, value, expected, by)?;
        let EtcdAnswer::Changed(answer) = self.call(EtcdCall::Change(request), repeat).await? else { panic!("no put") };
        self.requests.written(key, by, &answer)
    }

    async fn delete(&self, key: &StoreKey, expected: Version, by: WriteRight<'_>) -> Result<(), StoreError> {
        let request = EtcdCall::Change(self.requests.delete(key, expected, by));
        let EtcdAnswer::Changed(answer) = self.call(request, Repeat::Always).await? else { panic!("no deletion") };
        self.requests.deleted(key, by, &answer)
    }

    async fn quarantine(&self, key: &StoreKey) -> Result<(), StoreError> {
        panic!("{key} is not damaged")
    }

    async fn watch(&self, _: KeyPrefix) -> Result<Changes, StoreError> {
        panic!("a leader watches nothing")
    }

    async fn lock(&self, name: &StoreKey) -> Result<StoreLock, StoreError> {
        panic!("{name} is taken with its lease")
    }

    fn write_id(&self) -> Result<WriteId, StoreError> {
        self.requests.write_id()
    }

    fn max_value(&self) -> ByteSize {
        MAX_VALUE
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};

    use deputy_core::schedule::{Lease, LeaseOrigin, LeaseRecord, RetiredLease};
    use deputy_core::{InstanceName, Revision, Timestamp, TokenExpiry};
    use deputy_store::MasterKey;

    use super::super::etcd::Etcd;
    use super::*;
    use crate::lease_store::LeaseStore;

    fn lease(revision: u64) -> Lease {
        let bytes = Arc::new(SecretBytes::new(revision.to_be_bytes().to_vec()));
        Lease {
            revision: Revision(revision),
            service: None,
            kind: Some("test/1".parse().unwrap()),
            payload: Arc::clone(&bytes),
            handle: bytes,
            obtained_at: Timestamp::from_millis(1),
            issued_at: Timestamp::from_millis(1),
            stated: TokenExpiry::Never,
            valid_until: Timestamp::FOREVER,
            next_at: None,
            renewable_until: None,
            facts: Vec::new(),
            origin: LeaseOrigin::Component,
            fingerprint: deputy_core::schedule::ConfigFingerprint([1; 16]),
        }
    }

    /// Holds 2, and 1 waits to be revoked.
    fn record() -> LeaseRecord {
        let retired = vec![RetiredLease { lease: lease(1), revoke_at: Timestamp::from_millis(9) }];
        LeaseRecord { revision: Revision(2), lease: Some(lease(2)), retired, ..LeaseRecord::default() }
    }

    /// Another process takes the lock. With its lease.
    fn lead(requests: &Arc<EtcdRequests>, etcd: &mut Etcd) -> (LeaseStore, Arc<SimulatedStore>, i64) {
        let store = Arc::new(SimulatedStore { requests: Arc::clone(requests), mailbox: Arc::default() });
        let name: StoreKey = "lock/coordinator".parse().unwrap();
        let (lock, lease) = run(&store, etcd, &[], store.take(&name)).unwrap().unwrap();
        (LeaseStore::new(Arc::clone(&store) as _, Arc::new(lock)), store, lease)
    }

    fn is_ready(future: Pin<&mut impl Future>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Carries out what a future wants from etcd. The changes of these numbers fail.
    fn run<T>(store: &SimulatedStore, etcd: &mut Etcd, failing: &[usize], future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut changes = 0;
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return output;
            }
            let mut mailbox = store.mailbox.lock_unpoisoned();
            for (id, call, _) in std::mem::take(&mut mailbox.outgoing) {
                changes += usize::from(matches!(call, EtcdCall::Change(_)));
                let fails = matches!(call, EtcdCall::Change(_)) && failing.contains(&changes);
                let answer = if fails { EtcdAnswer::Failed } else { etcd.carry_out(&call, 0, 0) };
                mailbox.answer(id, Some(answer));
            }
        }
    }

    /// The lease that a coordinator wrote and did not name in its record is cleared by the next one, which writes it again.
    #[test]
    fn retired_lease_is_written_again_if_that_failed() {
        #[expect(clippy::disallowed_methods, reason = "a test's own chance")]
        let random = Arc::new(aws_lc_rs::rand::SystemRandom::new());
        let master = MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
        let requests = Arc::new(EtcdRequests::new("deputy/".parse().unwrap(), master, random));
        let name: InstanceName = "a".parse().unwrap();
        let mut etcd = Etcd::new();
        let (first, store, lease) = lead(&requests, &mut etcd);
        run(&store, &mut etcd, &[2], first.save(&name, &record())).unwrap_err();
        etcd.carry_out(&EtcdCall::Revoke(lease), 0, 0);

        let (second, store, lease) = lead(&requests, &mut etcd);
        let restored = run(&store, &mut etcd, &[], second.restore()).unwrap();
        assert_eq!(restored.leftovers.len(), 1, "the first one's");
        let mut clearing = pin!(second.clear(restored.leftovers));
        assert!(!is_ready(clearing.as_mut()));
        let (id, read, _) = store.mailbox.lock_unpoisoned().outgoing.pop().unwrap();
        let found = etcd.carry_out(&read, 0, 0);
        store.mailbox.lock_unpoisoned().answer(id, Some(found));
        assert!(!is_ready(clearing.as_mut()));
        // Its deletion is under way.
        let (id, deletion, _) = store.mailbox.lock_unpoisoned().outgoing.pop().unwrap();
        run(&store, &mut etcd, &[2], second.save(&name, &record())).unwrap_err();
        let deleted = etcd.carry_out(&deletion, 0, 0);
        store.mailbox.lock_unpoisoned().answer(id, Some(deleted));
        assert!(is_ready(clearing.as_mut()));
        run(&store, &mut etcd, &[], second.save(&name, &record())).unwrap();
        etcd.carry_out(&EtcdCall::Revoke(lease), 0, 0);

        let (third, store, _) = lead(&requests, &mut etcd);
        let restored = run(&store, &mut etcd, &[], third.restore()).unwrap();
        assert!(restored.damaged.is_empty(), "{:?}", restored.damaged);
        assert_eq!(restored.records[0].1.retired.len(), 1);
    }
}
