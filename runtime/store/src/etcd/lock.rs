//! Locks: keys under a lease of etcd's, which ends if its holder does not keep it alive.
//!
//! The fencing number is the revision at which the lock's key was created. What the holder writes compares it within etcd,
//! so a holder that was paused changes nothing, whatever its clock says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deputy_core::in_one_line;
use deputy_etcd::{EtcdClient, Repeat};
use deputy_support::{pause, time_since_boot, timer_now};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::EtcdState;
use super::lock_keeper::{KeepAliveResult, LockKeeper};
use crate::{LockGuard, StoreError, StoreKey, StoreLock};

/// How long a lock is waited for: the lock of a holder that was killed has ended by then.
const WAIT: Duration = Duration::from_secs(7);

const WAIT_STEP: Duration = Duration::from_millis(500);

/// Ending the lease is a courtesy: it ends by itself.
const RELEASE: Duration = Duration::from_secs(2);

struct HeldLock {
    client: Arc<EtcdClient>,
    lease: i64,
    /// When it may have ended.
    end: watch::Receiver<Duration>,
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
        // Without a lease if it is held anyway.
        if !self.client.range(&self.requests.holder(name)).await?.kvs.is_empty() {
            return Ok(None);
        }
        let id = self.requests.write_id()?;
        let asked_at = time_since_boot();
        let lease = self.client.grant(i64::try_from(LockKeeper::LEASE.as_secs()).unwrap_or(i64::MAX)).await?;
        let answer = self.client.txn(&self.requests.take(name, id, lease), Repeat::Always).await?;
        let Some(fencing) = self.requests.taken(id, &answer) else {
            // Nothing is under the lease: whether it ends now or by itself, the lock is another one's.
            timeout(RELEASE, self.client.revoke(lease)).await.ok();
            return Ok(None);
        };
        let held = HeldLock::keep(Arc::clone(&self.client), lease, asked_at, name);
        Ok(Some(StoreLock::new(name.clone(), fencing, id, Box::new(held))))
    }
}

impl HeldLock {
    fn keep(client: Arc<EtcdClient>, lease: i64, asked_at: Duration, name: &StoreKey) -> Self {
        let times = LockKeeper::new(asked_at);
        let (noted, end) = watch::channel(times.end());
        let mut keeper = JoinSet::new();
        let name = name.clone();
        let kept = Arc::clone(&client);
        keeper.spawn(async move {
            keep_alive(&kept, lease, times, &noted).await;
            tracing::error!(lock = %name, "lock in etcd lost");
            noted.send_replace(Duration::ZERO);
        });
        Self { client, lease, end, keeper: tokio::sync::Mutex::new(keeper) }
    }
}

/// Keeps a lease alive until it may have ended. The clock counts the time for which the machine was suspended, as etcd's does:
/// timers do not.
async fn keep_alive(client: &EtcdClient, lease: i64, mut times: LockKeeper, noted: &watch::Sender<Duration>) {
    while let Some(wait) = times.wait(time_since_boot()) {
        pause(wait).await;
        let sent_at = time_since_boot();
        let Some(limit) = times.answer_limit(sent_at) else { return };
        let was_failing = times.is_failing();
        let result = match client.keep_alive(lease, limit).await {
            Ok(true) => KeepAliveResult::Kept,
            Ok(false) => KeepAliveResult::Ended,
            Err(error) => {
                if !was_failing {
                    let error = in_one_line(&error);
                    let seconds = times.end().saturating_sub(sent_at).as_secs();
                    tracing::warn!(error, "etcd does not answer; the lock is given up in {seconds} s");
                }
                KeepAliveResult::Failed
            }
        };
        times.answered(sent_at, result);
        noted.send_replace(times.end());
        if was_failing && result == KeepAliveResult::Kept {
            tracing::info!("etcd answers again, and the lock is kept");
        }
    }
}

#[async_trait]
impl LockGuard for HeldLock {
    async fn lost(&self) {
        // The sender is gone if the lock was released.
        self.end.clone().wait_for(Duration::is_zero).await.ok();
    }

    fn is_lost(&self) -> bool {
        time_since_boot() >= *self.end.borrow()
    }

    async fn release(&self) {
        self.keeper.lock().await.abort_all();
        // What was lost is not there to be given back.
        if self.is_lost() {
            return;
        }
        let revoked = timeout(RELEASE, self.client.revoke(self.lease)).await;
        if !matches!(revoked, Ok(Ok(()))) {
            tracing::warn!("releasing the lock in etcd failed; it ends in {} s", LockKeeper::LEASE.as_secs());
        }
    }
}
