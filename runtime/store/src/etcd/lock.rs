//! Locks: keys under a lease of etcd's, which ends if its holder does not keep it alive.
//!
//! The fencing number is the revision at which the lock's key was created. What the holder writes compares it within etcd,
//! so a holder that was paused changes nothing, whatever its clock says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deputy_core::in_one_line;
use deputy_etcd::message::{Compare, RequestOp, TxnRequest};
use deputy_etcd::{EtcdClient, Repeat};
use deputy_support::{pause, time_since_boot, timer_now};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::EtcdState;
use crate::{LockGuard, StoreError, StoreKey, StoreLock, WriteId};

/// How long a lock outlives its holder.
const LEASE: Duration = Duration::from_secs(5);

const KEEP_ALIVE: Duration = Duration::from_secs(1).saturating_add(Duration::from_millis(500));

/// How long a member may take to answer.
const ANSWER: Duration = Duration::from_secs(1);

/// After a failure.
const RETRY: Duration = Duration::from_millis(200);

/// The holder gives up this long before etcd may.
const MARGIN: Duration = Duration::from_millis(500);

/// How long a lock is waited for: the lock of a holder that was killed has ended by then.
const WAIT: Duration = Duration::from_secs(7);

const WAIT_STEP: Duration = Duration::from_millis(500);

/// Ending the lease is a courtesy: it ends by itself.
const RELEASE: Duration = Duration::from_secs(2);

struct HeldLock {
    client: Arc<EtcdClient>,
    lease: i64,
    lost: watch::Receiver<bool>,
    keeper: tokio::sync::Mutex<JoinSet<()>>,
}

impl EtcdState {
    pub(super) async fn lock(&self, name: &StoreKey) -> Result<StoreLock, StoreError> {
        let end = timer_now() + WAIT;
        loop {
            if let Some(lock) = self.try_lock(name).await? {
                return Ok(lock);
            }
            if timer_now() >= end {
                return Err(StoreError::Locked { name: name.clone(), pid: None });
            }
            pause(WAIT_STEP).await;
        }
    }

    async fn try_lock(&self, name: &StoreKey) -> Result<Option<StoreLock>, StoreError> {
        let key = self.prefix.lock(name);
        // Without a lease if it is held anyway.
        if self.raw(&key).await?.is_some() {
            return Ok(None);
        }
        let id = WriteId::random(&self.random)?;
        let asked_at = time_since_boot();
        let lease = self.client.grant(i64::try_from(LEASE.as_secs()).unwrap_or(i64::MAX)).await?;
        let transaction = TxnRequest {
            compare: vec![Compare::create_revision(&key, 0)],
            success: vec![RequestOp::put(&key, id.as_bytes().to_vec(), lease)],
            failure: vec![RequestOp::get(&key)],
        };
        let answer = self.client.txn(&transaction, Repeat::Always).await?;
        let fencing = match answer.found(0) {
            _ if answer.succeeded => answer.revision(),
            // A repetition finds what the first request wrote.
            Some(found) if found.value == id.as_bytes() => found.create_revision,
            _ => {
                self.client.revoke(lease).await?;
                return Ok(None);
            }
        };
        let held = HeldLock::keep(Arc::clone(&self.client), lease, asked_at, name);
        Ok(Some(StoreLock::new(name.clone(), u64::try_from(fencing).unwrap_or(0), id, Box::new(held))))
    }
}

impl HeldLock {
    fn keep(client: Arc<EtcdClient>, lease: i64, asked_at: Duration, name: &StoreKey) -> Self {
        let (lose, lost) = watch::channel(false);
        let mut keeper = JoinSet::new();
        let name = name.clone();
        let kept = Arc::clone(&client);
        keeper.spawn(async move {
            keep_alive(&kept, lease, asked_at).await;
            tracing::error!(lock = %name, "lock in etcd lost");
            lose.send_replace(true);
        });
        Self { client, lease, lost, keeper: tokio::sync::Mutex::new(keeper) }
    }
}

/// Keeps a lease alive until it may have ended. The clock counts the time for which the machine was suspended, as etcd's does:
/// timers do not.
async fn keep_alive(client: &EtcdClient, lease: i64, asked_at: Duration) {
    // Counted from when the request was sent: etcd counts from a later time.
    let mut end = asked_at + LEASE.saturating_sub(MARGIN);
    let mut next = KEEP_ALIVE;
    let mut is_failing = false;
    loop {
        let left = end.saturating_sub(time_since_boot());
        if left.is_zero() {
            return;
        }
        pause(next.min(left)).await;
        let sent_at = time_since_boot();
        let left = end.saturating_sub(sent_at);
        if left.is_zero() {
            return;
        }
        match client.keep_alive(lease, ANSWER.min(left)).await {
            Ok(true) => {
                end = sent_at + LEASE.saturating_sub(MARGIN);
                next = KEEP_ALIVE;
                if std::mem::take(&mut is_failing) {
                    tracing::info!("etcd answers again, and the lock is kept");
                }
            }
            Ok(false) => return,
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    let error = in_one_line(&error);
                    let seconds = left.as_secs();
                    tracing::warn!(error, seconds, "etcd does not answer; the lock is given up unless it does in time");
                }
                next = RETRY;
            }
        }
    }
}

#[async_trait]
impl LockGuard for HeldLock {
    async fn lost(&self) {
        // The sender is gone if the lock was released.
        self.lost.clone().wait_for(|is_lost| *is_lost).await.ok();
    }

    async fn release(&self) {
        self.keeper.lock().await.abort_all();
        // What was lost is not there to be given back.
        if *self.lost.borrow() {
            return;
        }
        let revoked = tokio::time::timeout(RELEASE, self.client.revoke(self.lease)).await;
        if !matches!(revoked, Ok(Ok(()))) {
            tracing::warn!("releasing the lock in etcd failed; it ends in {} s", LEASE.as_secs());
        }
    }
}
