//! Takes the lock, restores what is saved, and publishes the leases that are still valid.

use deputy_core::time::{Clock, Now};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;

use deputy_core::schedule::{InitialBudget, LeaseRecord, Schedule};
use deputy_core::{InstanceName, Span};
use deputy_metrics::CoordinatorMetrics;
use deputy_sources::SourceContext;
use deputy_store::{Store, StoreError, StoreKey, StoreLock};
use deputy_support::TrackedTasks;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::Coordinator;
use super::lease_traces::LeaseTraces;
use crate::delivery_traces::DeliveryTraces;
use crate::handle::CoordinatorHandle;
use crate::lease_board::LeaseBoard;
use crate::lease_store::{LeaseStore, RestoredLeases};
use crate::pending_instances::PendingInstances;
use crate::provider::Providers;
use crate::state_keeper::StateKeeper;
use crate::write_queue::WriteQueue;

/// The lock that a coordinator holds while it runs.
pub const LOCK: &str = "lock/coordinator";

/// Damaged records beyond this are counted in the log and not named.
const MAX_DAMAGED_LOGGED: usize = 10;

const COMMAND_QUEUE: usize = 1024;

pub struct CoordinatorOptions {
    pub store: Arc<dyn Store>,
    pub metrics: Arc<CoordinatorMetrics>,
    pub traces: Arc<DeliveryTraces>,
    pub board: Arc<LeaseBoard>,
    pub clock: Arc<dyn Clock>,
    /// What payload files are resolved against.
    pub surroundings: Arc<SourceContext>,
    /// Seeds the jitter.
    pub seed: u64,
    /// How long calls in progress may go on at a stop.
    pub shutdown: Span,
    /// The instances of the configuration that is being prepared. Their saved leases are published meanwhile.
    pub known: BTreeSet<InstanceName>,
}

#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    #[error("cannot open the state")]
    Store(#[from] StoreError),
    #[error("cannot read the saved leases")]
    Restore(#[source] Box<dyn Error + Send + Sync>),
    #[error("cannot read the state that instances keep")]
    RestoreState(#[source] Box<dyn Error + Send + Sync>),
}

impl Coordinator {
    /// Takes the lock, and opens the state. Calls nothing yet.
    ///
    /// # Errors
    /// If another coordinator holds the lock, or the state cannot be read.
    pub async fn open(options: CoordinatorOptions) -> Result<(Self, CoordinatorHandle), CoordinatorError> {
        let lock_name: StoreKey = LOCK.parse().map_err(|error| CoordinatorError::Restore(Box::new(error)))?;
        let lock = options.store.lock(&lock_name).await?;
        Self::open_with(options, lock).await
    }

    /// Opens the state, whose [lock](LOCK) the caller has taken. Calls nothing yet.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub async fn open_with(
        options: CoordinatorOptions,
        lock: StoreLock,
    ) -> Result<(Self, CoordinatorHandle), CoordinatorError> {
        let lock = Arc::new(lock);
        let lease_store = Arc::new(LeaseStore::new(Arc::clone(&options.store), Arc::clone(&lock)));
        let mut restored = lease_store.restore().await.map_err(|error| CoordinatorError::Restore(Box::new(error)))?;
        let state_keeper = Arc::new(StateKeeper::new(Arc::clone(&options.store), Arc::clone(&lock)));
        let kept = state_keeper.restore().await.map_err(|error| CoordinatorError::RestoreState(Box::new(error)))?;
        note_kept_state(&mut restored.records, kept);
        log_damaged(&restored);
        // How much of the budgets an earlier process used is unknown. The first fencing number of a directory is 1; that of etcd is
        // not, so a first start there begins without a budget, too.
        let budget = if lock.fencing() > 1 { InitialBudget::Empty } else { InitialBudget::Full };
        tracing::info!(leases = restored.records.len(), fencing = lock.fencing(), "state restored");
        let started_at = options.clock.now();
        let pending = publish_restored(&options, restored.records, started_at);
        let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
        let configured = watch::Sender::new(false);
        let handle =
            CoordinatorHandle::new(command_sender.clone(), Arc::clone(&options.surroundings), configured.subscribe());
        let coordinator = Self {
            schedule: Schedule::new(budget, options.seed),
            traces: LeaseTraces::new(Arc::clone(&options.traces)),
            options,
            lease_store,
            state_keeper,
            started_at,
            commands,
            command_sender,
            providers: Providers::default(),
            tasks: TrackedTasks::default(),
            calls: BTreeMap::new(),
            write_queue: WriteQueue::default(),
            file_observations: BTreeMap::new(),
            file_watches: JoinSet::new(),
            leftovers: restored.leftovers,
            configuration: None,
            generation: 0,
            pending,
            configured,
            workers: None,
            deliveries: watch::Sender::new(Arc::default()),
            stop_at: None,
            lock,
            is_lock_lost: false,
        };
        Ok((coordinator, handle))
    }
}

/// Notes which instances keep state, also those that have no lease record: what one of them saved before its first lease
/// is kept as long as a lease would be.
fn note_kept_state(records: &mut Vec<(InstanceName, LeaseRecord)>, mut kept: BTreeSet<InstanceName>) {
    for (name, record) in records.iter_mut() {
        record.keeps_state = kept.remove(name);
    }
    records.extend(kept.into_iter().map(|name| (name, LeaseRecord { keeps_state: true, ..LeaseRecord::default() })));
}

fn log_damaged(restored: &RestoredLeases) {
    for error in restored.damaged.iter().take(MAX_DAMAGED_LOGGED) {
        tracing::error!(%error, "lease record unusable; obtaining a new lease");
    }
    if restored.damaged.len() > MAX_DAMAGED_LOGGED {
        tracing::error!(damaged = restored.damaged.len(), "lease records unusable; obtaining new leases");
    }
}

/// Publishes the valid leases of known instances at once: loading components may take minutes after an upgrade.
fn publish_restored(
    options: &CoordinatorOptions,
    records: Vec<(InstanceName, LeaseRecord)>,
    now: Now,
) -> PendingInstances {
    let mut pending = PendingInstances::default();
    for (name, record) in records {
        let is_known = options.known.contains(&name) && record.removed.is_none();
        let lease = record.lease.as_ref().filter(|lease| is_known && lease.is_valid(now.wall));
        if let Some(lease) = lease {
            options.board.publish(name.clone(), lease.clone());
        }
        let is_published = lease.is_some();
        pending.restore(name, record, is_published);
    }
    pending
}
