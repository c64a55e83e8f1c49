//! Takes the lock, restores what is saved, and publishes the leases that are still valid.

use deputy_core::time::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deputy_core::schedule::{InitialBudget, LeaseRecord, Schedule};
use deputy_core::{InstanceName, Span};
use deputy_metrics::CoordinatorMetrics;
use deputy_sources::SourceContext;
use deputy_store::{Store, StoreError, StoreKey, StoreKeyError, StoreLock};
use deputy_support::TrackedTasks;
use tokio::task::JoinSet;

use super::Coordinator;
use super::lease_traces::LeaseTraces;
use crate::delivery_traces::DeliveryTraces;
use crate::file_watcher::FileWatcher;
use crate::handle::CoordinatorHandle;
use crate::lease_board::LeaseBoard;
use crate::lease_store::{LeaseStore, LeaseStoreError, RestoredLeases};
use crate::pending_instances::PendingInstances;
use crate::provider::Providers;
use crate::replica::Replica;
use crate::state_keeper::StateKeeperError;
use crate::users::InstanceUsers;
use crate::write_queue::WriteQueue;

/// The lock that a coordinator holds while it runs.
pub const LOCK: &str = "lock/coordinator";

/// Damaged records beyond this are counted in the log and not named.
const MAX_DAMAGED_LOGGED: usize = 10;

pub struct CoordinatorOptions {
    /// The machine's name, for others that use the same state.
    pub name: String,
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
    /// Whether other coordinators use the same state.
    pub is_shared: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    #[error("cannot open the state")]
    Store(#[from] StoreError),
    #[error("cannot read the saved leases")]
    Restore(#[source] LeaseStoreError),
    #[error("cannot read the state that instances keep")]
    RestoreState(#[source] StateKeeperError),
    #[error(transparent)]
    Key(#[from] StoreKeyError),
}

impl CoordinatorError {
    /// Whether etcd may answer the next time.
    pub fn is_temporary(&self) -> bool {
        let error = match self {
            Self::Store(error) => error,
            Self::Restore(LeaseStoreError::Store(error)) => error,
            Self::RestoreState(StateKeeperError::Store(error)) => error,
            Self::Restore(_) | Self::RestoreState(_) | Self::Key(_) => return false,
        };
        error.is_temporary() || error.is_lock_lost()
    }
}

/// What is saved, as the holder of the lock reads it.
pub struct RestoredState {
    lock: Arc<StoreLock>,
    lease_store: Arc<LeaseStore>,
    restored: RestoredLeases,
}

impl RestoredState {
    /// Reads what is saved.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub async fn read(replica: &Replica, lock: Arc<StoreLock>) -> Result<Self, CoordinatorError> {
        let lease_store = Arc::new(LeaseStore::new(Arc::clone(&replica.options.store), Arc::clone(&lock)));
        let mut restored = lease_store.restore().await.map_err(CoordinatorError::Restore)?;
        replica.state_keeper.lead(Arc::clone(&lock));
        let kept = replica.state_keeper.restore().await.map_err(CoordinatorError::RestoreState)?;
        note_kept_state(&mut restored.records, kept);
        log_damaged(&restored);
        tracing::info!(leases = restored.records.len(), fencing = lock.fencing(), "state restored");
        Ok(Self { lock, lease_store, restored })
    }
}

impl Coordinator {
    /// Takes the lock, and opens the state. Calls nothing yet.
    ///
    /// # Errors
    /// If another coordinator holds the lock, or the state cannot be read.
    pub async fn open(options: CoordinatorOptions) -> Result<(Self, CoordinatorHandle), CoordinatorError> {
        let lock = Arc::new(options.store.lock(&LOCK.parse::<StoreKey>()?).await?);
        let (replica, handle) = Replica::new(options);
        let state = RestoredState::read(&replica, lock).await?;
        Ok((Self::lead(replica, state).await, handle))
    }

    /// Leads: the configuration of the replica, if it has one by now, takes effect at once.
    pub async fn lead(replica: Replica, state: RestoredState) -> Self {
        let RestoredState { lock, lease_store, mut restored } = state;
        let options = &replica.options;
        let pending = publish_restored(&replica, std::mem::take(&mut restored.records));
        let mut coordinator = Self {
            schedule: new_schedule(options.is_shared, &lock, options.seed),
            traces: LeaseTraces::new(Arc::clone(&options.traces)),
            lease_store,
            providers: Providers::default(),
            tasks: TrackedTasks::default(),
            calls: BTreeMap::new(),
            write_queue: WriteQueue::default(),
            file_observations: BTreeMap::new(),
            file_watches: JoinSet::new(),
            leftovers: restored.leftovers,
            pending,
            users: InstanceUsers::default(),
            left: BTreeSet::new(),
            stop_at: None,
            is_lock_lost: false,
            replica,
            lock,
        };
        if let Some(config) = coordinator.replica.configuration.clone() {
            let files = FileWatcher::open(config.files.clone(), &coordinator.replica.options.surroundings).await;
            coordinator.apply(&config, files);
        }
        coordinator.replica.set_leading(Some(Arc::clone(&coordinator.lock)));
        coordinator
    }
}

/// The schedule of a process that has taken the lock.
pub(crate) fn new_schedule(is_shared: bool, lock: &StoreLock, seed: u64) -> Schedule {
    // How much of the budgets an earlier process used is unknown. The first fencing number of a directory is 1; that of etcd is
    // not, so a first start there begins without a budget, too.
    let budget = if lock.fencing() > 1 { InitialBudget::Empty } else { InitialBudget::Full };
    let schedule = Schedule::new(budget, seed);
    if is_shared { schedule.saving_first() } else { schedule }
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

/// Publishes the valid leases of known instances at once: loading components may take minutes after an upgrade. What this
/// process served before and is no longer there is withdrawn.
fn publish_restored(replica: &Replica, records: Vec<(InstanceName, LeaseRecord)>) -> PendingInstances {
    let options = &replica.options;
    let known: BTreeSet<InstanceName> = match &replica.configuration {
        Some(_) => replica.instances().cloned().collect(),
        None => options.known.clone(),
    };
    let now = options.clock.now().wall;
    let mut unpublished = options.board.instances();
    let mut pending = PendingInstances::default();
    for (name, record) in records {
        let is_known = known.contains(&name) && record.removed.is_none();
        let lease = record.lease.as_ref().filter(|lease| is_known && lease.is_valid(now));
        if let Some(lease) = lease {
            unpublished.remove(&name);
            options.board.publish_new(&name, lease);
        }
        let is_published = lease.is_some();
        pending.restore(name, record, is_published);
    }
    unpublished.iter().for_each(|name| options.board.withdraw(name));
    options.board.mark_read();
    pending
}
