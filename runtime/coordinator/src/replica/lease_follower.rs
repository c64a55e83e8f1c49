//! The leases of the coordinator that leads, on the board of one that follows.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deputy_core::schedule::Lease;
use deputy_core::time::Clock;
use deputy_core::{InstanceName, LeaseVersion, Timestamp, in_one_line};
use deputy_store::{Changes, KeyPrefix, Store, StoreError, StoreKey};
use deputy_support::{LockUnpoisoned as _, RepeatedError, pause};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::lease_board::LeaseBoard;
use crate::lease_record;
use crate::lease_store::LEASE;

/// How soon an expired lease is withdrawn.
const EXPIRY_CHECK: Duration = Duration::from_secs(1);

/// After a failure of the store. What is on the board stays meanwhile.
const RETRY: Duration = Duration::from_secs(1);

const CONCURRENT_READS: usize = 16;

pub(crate) struct LeaseFollower {
    store: Arc<dyn Store>,
    board: Arc<LeaseBoard>,
    clock: Arc<dyn Clock>,
    /// Until when leases were valid that the clock ended. It may have been wrong: they are read again if it goes back.
    expired: Mutex<BTreeMap<InstanceName, Timestamp>>,
}

impl LeaseFollower {
    pub(crate) fn new(store: Arc<dyn Store>, board: Arc<LeaseBoard>, clock: Arc<dyn Clock>) -> Self {
        Self { store, board, clock, expired: Mutex::default() }
    }

    /// Never ends.
    pub(super) async fn run(&self) {
        tokio::join!(self.follow(), self.look_for_expired());
    }

    /// Never ends.
    async fn follow(&self) {
        let mut last = RepeatedError::default();
        loop {
            if let Err(error) = self.follow_once().await {
                let error = in_one_line(&error);
                if last.is_new(&error) {
                    tracing::warn!(error, "reading leases from the state failed; what is held is served");
                }
            }
            pause(RETRY).await;
        }
    }

    async fn follow_once(&self) -> Result<(), StoreError> {
        // Before the listing, so that no change is missed.
        let mut changes = self.store.watch(KeyPrefix::Namespace(LEASE)).await?;
        self.read_all().await?;
        self.apply_changes(&mut changes).await
    }

    pub(crate) async fn read_all(&self) -> Result<(), StoreError> {
        let keys = self.store.list(&KeyPrefix::Namespace(LEASE)).await?;
        let gone =
            self.board.instances().into_iter().filter(|name| !keys.iter().any(|key| key.name() == name.as_str()));
        gone.for_each(|name| self.board.withdraw(&name));
        // All of them are read.
        self.expired.lock_unpoisoned().clear();
        let reads = stream::iter(keys).map(|key| async move { self.read(&key).await });
        reads.buffer_unordered(CONCURRENT_READS).try_collect::<()>().await?;
        self.board.mark_read();
        Ok(())
    }

    async fn apply_changes(&self, changes: &mut Changes) -> Result<(), StoreError> {
        // Outlives the turns of the loop: changes that keep coming must not put it off.
        let mut look = pin!(pause(EXPIRY_CHECK));
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(change) => self.read(&change.key).await?,
                    None => return Ok(()),
                },
                () = &mut look => {
                    look.set(pause(EXPIRY_CHECK));
                    self.read_valid_again().await?;
                }
            }
        }
    }

    /// Reads leases that had expired by a clock that has gone back since. One after the other with the changes, so that no read
    /// brings back what a later one withdrew.
    pub(crate) async fn read_valid_again(&self) -> Result<(), StoreError> {
        let now = self.clock.now().wall;
        let valid: Vec<InstanceName> = {
            let expired = self.expired.lock_unpoisoned();
            expired.iter().filter(|(_, end)| now < **end).map(|(name, _)| name.clone()).collect()
        };
        for name in valid {
            self.read(&StoreKey::of_instance(&LEASE, &name)).await?;
        }
        Ok(())
    }

    /// Publishes what a key holds, or withdraws what it held.
    pub(crate) async fn read(&self, key: &StoreKey) -> Result<(), StoreError> {
        let Ok(name) = key.name().parse() else { return Ok(()) };
        let lease = match self.store.get(key).await {
            Ok(found) => found.and_then(|found| lease_of(key, found.value.expose())),
            // The leader obtains another one.
            Err(StoreError::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        self.expired.lock_unpoisoned().remove(&name);
        match lease {
            None => self.board.withdraw(&name),
            Some(lease) if self.is_replaced(&name, &lease) => tracing::warn!(
                instance = %name,
                revision = %lease.revision,
                "the state has an older lease than the one that is served (restored from a backup?); the newer one stays"
            ),
            Some(lease) if !lease.is_valid(self.clock.now().wall) => self.expire(&name, &lease),
            Some(lease) => {
                if self.board.publish_new(&name, &lease) {
                    tracing::info!(instance = %name, revision = %lease.revision, valid_until = %lease.valid_until, "lease received from the state");
                }
            }
        }
        Ok(())
    }

    /// Withdraws a lease that the clock has ended.
    fn expire(&self, name: &InstanceName, lease: &Lease) {
        self.expired.lock_unpoisoned().insert(name.clone(), lease.valid_until);
        self.board.withdraw(name);
    }

    /// Whether a newer lease is served. Write access to etcd forges no lease, but may bring back one that was
    /// replaced.
    fn is_replaced(&self, name: &InstanceName, lease: &Lease) -> bool {
        let served = self.board.lease(name).filter(|served| served.is_valid(self.clock.now().wall));
        served.is_some_and(|served| version(lease).is_older_than(version(&served)))
    }

    /// Never ends.
    async fn look_for_expired(&self) {
        loop {
            pause(EXPIRY_CHECK).await;
            self.withdraw_expired();
        }
    }

    /// When the last lease of an instance expired, if the leader has not replaced it since.
    pub(super) fn expired_at(&self, name: &InstanceName) -> Option<Timestamp> {
        self.expired.lock_unpoisoned().get(name).copied()
    }

    pub(crate) fn withdraw_expired(&self) {
        let now = self.clock.now().wall;
        for name in self.board.instances() {
            if let Some(lease) = self.board.lease(&name).filter(|lease| !lease.is_valid(now)) {
                tracing::info!(instance = %name, "lease expired; the leader has not replaced it");
                self.expire(&name, &lease);
            }
        }
    }
}

fn version(lease: &Lease) -> LeaseVersion {
    LeaseVersion { revision: lease.revision, obtained_at: lease.obtained_at }
}

/// The lease in a record, unless its instance was removed.
fn lease_of(key: &StoreKey, record: &[u8]) -> Option<Lease> {
    match lease_record::decode(record) {
        Ok(decoded) => Some(decoded.record).filter(|record| record.removed.is_none())?.lease,
        Err(error) => {
            tracing::error!(%key, %error, "lease record unusable; its lease is not served here");
            None
        }
    }
}

#[cfg(test)]
mod tests;
