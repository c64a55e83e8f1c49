//! Leases of etcd's for values that end by themselves.
//!
//! Values that are written at about the same time share one, for a lease costs etcd more than a key. It is never kept alive:
//! what is written again is under a later one.

use std::time::Duration;

use deputy_core::Span;
use deputy_etcd::{EtcdClient, EtcdError};
use deputy_support::time_since_boot;
use tokio::sync::Mutex;

/// The last part of its time, in which a lease is not used any more, is the lifetime of its values. The first part is this
/// fraction of that.
const SHARED: u32 = 10;

/// The lease that values are put under now.
#[derive(Debug, Default)]
pub(super) struct LifetimeLeases(Mutex<Option<SharedLease>>);

#[derive(Debug, Clone, Copy)]
struct SharedLease {
    id: i64,
    lifetime: Span,
    /// Until when a value that is put under it has its lifetime.
    until: Duration,
}

impl LifetimeLeases {
    /// A lease that lasts at least this long from now.
    pub(super) async fn lease(&self, client: &EtcdClient, lifetime: Span) -> Result<i64, EtcdError> {
        // Held during the request: others wait for the same lease.
        let mut shared = self.0.lock().await;
        let now = time_since_boot();
        if let Some(lease) = shared.filter(|lease| lease.lifetime == lifetime && now < lease.until) {
            return Ok(lease.id);
        }
        let first = lifetime.duration() / SHARED;
        let seconds = (lifetime.duration() + first).as_secs().saturating_add(1);
        let id = client.grant(i64::try_from(seconds).unwrap_or(i64::MAX)).await?;
        *shared = Some(SharedLease { id, lifetime, until: now + first });
        Ok(id)
    }

    /// Uses a lease no more.
    pub(super) async fn forget(&self, id: i64) {
        self.0.lock().await.take_if(|lease| lease.id == id);
    }
}
