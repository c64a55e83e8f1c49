//! Which of several coordinators on one state leads: the one that holds its lock. The others stand by.

use std::time::Duration;

use deputy_coordinator::{CoordinatorError, LOCK, Leader, standing_by};
use deputy_core::in_one_line;
use deputy_etcd::EtcdError;
use deputy_store::{Store, StoreError, StoreKey, StoreLock};
use deputy_support::pause;
use tokio::sync::watch;

use super::listeners::Listeners;
use crate::error::ProcessError;

/// After a failure of etcd.
const RETRY: Duration = Duration::from_secs(1);

/// Takes the lock of a state in a directory, which has one user, or fails at once.
pub(super) async fn lock(store: &dyn Store) -> Result<StoreLock, ProcessError> {
    store.lock(&lock_name()?).await.map_err(failed)
}

/// Waits for the lock of a state in etcd, for as long as it takes, and writes that this machine leads.
pub(super) async fn wait_for_lock(store: &dyn Store, listeners: &Listeners) -> Result<StoreLock, ProcessError> {
    let name = lock_name()?;
    let lock = match store.lock(&name).await {
        Err(StoreError::Locked { .. }) => stand_by(store, &name, listeners).await?,
        locked => locked.map_err(failed)?,
    };
    let machine = rustix::system::uname();
    Leader::new(&machine.nodename().to_string_lossy()).save(store, &lock).await.map_err(failed)?;
    Ok(lock)
}

async fn stand_by(store: &dyn Store, name: &StoreKey, listeners: &Listeners) -> Result<StoreLock, ProcessError> {
    let (leader, known) = watch::channel(Leader::load(store).await);
    tracing::info!(socket = %listeners.control_path.display(), "{}", standing_by(known.borrow().as_ref()));
    let lock = tokio::select! {
        locked = wait(store, name, &leader) => locked?,
        () = listeners.stand_by(&known) => return Err(failed(StoreError::Locked { name: name.clone(), pid: None })),
    };
    tracing::info!(fencing = lock.fencing(), "taking over: the other coordinator no longer holds the lock");
    Ok(lock)
}

async fn wait(
    store: &dyn Store,
    name: &StoreKey,
    leader: &watch::Sender<Option<Leader>>,
) -> Result<StoreLock, ProcessError> {
    loop {
        match store.lock(name).await {
            // It has waited some seconds.
            Err(StoreError::Locked { .. }) => drop(leader.send_replace(Leader::load(store).await)),
            Err(StoreError::Etcd(error)) if error.is_temporary() => {
                log_failure(&error);
                pause(RETRY).await;
            }
            locked => return locked.map_err(failed),
        }
    }
}

fn log_failure(error: &EtcdError) {
    tracing::warn!(error = %in_one_line(error), "standing by: asking etcd for the lock failed; trying again");
}

fn lock_name() -> Result<StoreKey, ProcessError> {
    Ok(LOCK.parse::<StoreKey>()?)
}

fn failed(error: StoreError) -> ProcessError {
    ProcessError::Coordinator(CoordinatorError::Store(error))
}
