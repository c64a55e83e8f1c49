//! The leases of the coordinator that leads, on the board of one that follows.

use std::sync::Arc;
use std::time::Duration;

use deputy_core::in_one_line;
use deputy_core::schedule::Lease;
use deputy_core::time::Clock;
use deputy_store::{Changes, KeyPrefix, Store, StoreError, StoreKey};
use deputy_support::pause;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::coordinator::CoordinatorOptions;
use crate::lease_board::LeaseBoard;
use crate::lease_record;
use crate::lease_store::LEASE;

/// How soon an expired lease is withdrawn.
const EXPIRY_CHECK: Duration = Duration::from_secs(1);

/// After a failure of the store. What is on the board stays meanwhile.
const RETRY: Duration = Duration::from_secs(1);

const CONCURRENT_READS: usize = 16;

pub(super) struct LeaseFollower {
    store: Arc<dyn Store>,
    board: Arc<LeaseBoard>,
    clock: Arc<dyn Clock>,
}

impl LeaseFollower {
    pub(super) fn new(options: &CoordinatorOptions) -> Self {
        Self { store: Arc::clone(&options.store), board: Arc::clone(&options.board), clock: Arc::clone(&options.clock) }
    }

    /// Never ends.
    pub(super) async fn run(&self) {
        tokio::join!(self.follow(), self.withdraw_expired());
    }

    /// Never ends.
    async fn follow(&self) {
        let mut is_failing = false;
        loop {
            let (begun, followed) = self.follow_once().await;
            is_failing &= !begun;
            if let Err(error) = followed
                && !std::mem::replace(&mut is_failing, true)
            {
                tracing::warn!(error = %in_one_line(&error), "reading leases from the state failed; what is held is served");
            }
            pause(RETRY).await;
        }
    }

    /// Returns whether all leases were read, and why no more are.
    async fn follow_once(&self) -> (bool, Result<(), StoreError>) {
        match self.read_all().await {
            Ok(mut changes) => (true, self.apply_changes(&mut changes).await),
            Err(error) => (false, Err(error)),
        }
    }

    async fn read_all(&self) -> Result<Changes, StoreError> {
        // Before the listing, so that no change is missed.
        let changes = self.store.watch(KeyPrefix::Namespace(LEASE)).await?;
        let keys = self.store.list(&KeyPrefix::Namespace(LEASE)).await?;
        let gone =
            self.board.instances().into_iter().filter(|name| !keys.iter().any(|key| key.name() == name.as_str()));
        gone.for_each(|name| self.board.withdraw(&name));
        let reads = stream::iter(keys).map(|key| async move { self.read(&key).await });
        reads.buffer_unordered(CONCURRENT_READS).try_collect::<()>().await?;
        self.board.mark_read();
        Ok(changes)
    }

    async fn apply_changes(&self, changes: &mut Changes) -> Result<(), StoreError> {
        while let Some(change) = changes.next().await {
            self.read(&change.key).await?;
        }
        Ok(())
    }

    /// Publishes what a key holds, or withdraws what it held.
    async fn read(&self, key: &StoreKey) -> Result<(), StoreError> {
        let Ok(name) = key.name().parse() else { return Ok(()) };
        let lease = match self.store.get(key).await {
            Ok(found) => found.and_then(|found| self.valid_lease(key, found.value.expose())),
            // The leader obtains another one.
            Err(StoreError::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        match lease {
            None => self.board.withdraw(&name),
            Some(lease) => {
                if self.board.publish_new(&name, &lease) {
                    tracing::info!(instance = %name, revision = %lease.revision, valid_until = %lease.valid_until, "lease received from the state");
                }
            }
        }
        Ok(())
    }

    fn valid_lease(&self, key: &StoreKey, record: &[u8]) -> Option<Lease> {
        match lease_record::decode(record) {
            Ok(decoded) => {
                let record = Some(decoded.record).filter(|record| record.removed.is_none());
                record?.lease.filter(|lease| lease.is_valid(self.clock.now().wall))
            }
            Err(error) => {
                tracing::error!(%key, %error, "lease record unusable; its lease is not served here");
                None
            }
        }
    }

    /// Never ends.
    async fn withdraw_expired(&self) {
        loop {
            pause(EXPIRY_CHECK).await;
            let now = self.clock.now().wall;
            for name in self.board.instances() {
                if self.board.lease(&name).is_some_and(|lease| !lease.is_valid(now)) {
                    tracing::info!(instance = %name, "lease expired; the leader has not replaced it");
                    self.board.withdraw(&name);
                }
            }
        }
    }
}
