//! Which of several coordinators on one state leads: the one that holds its lock. The others follow it.

use std::sync::Arc;
use std::time::Duration;

use deputy_audit::Audit;
use deputy_config::CoordinatorFile;
use deputy_coordinator::{
    Coordinator, CoordinatorError, Deliveries, LOCK, Leader, LeaderView, Replica, RestoredState, waiting_for,
};
use deputy_core::in_one_line;
use deputy_core::time::Clock as _;
use deputy_store::{Store, StoreError, StoreKey, StoreLock};
use deputy_support::{RepeatedError, SystemClock, pause};
use tokio::sync::watch;

use super::listeners::Listeners;
use super::removal;
use crate::error::ProcessError;

/// After a failure of etcd.
const RETRY: Duration = Duration::from_secs(1);

/// How often a coordinator that follows asks who leads, and whether etcd answers.
const LOOK: Duration = Duration::from_secs(1);

/// Takes the lock of a state in a directory, which has one user, or fails at once.
pub(super) async fn lock(store: &dyn Store) -> Result<StoreLock, ProcessError> {
    store.lock(&lock_name()?).await.map_err(failed)
}

/// Waits until the state in etcd has what a coordinator needs that follows, or takes the lock and returns it: then this one
/// begins the state.
pub(super) async fn wait_until_begun(
    store: &dyn Store,
    begun_by: &StoreKey,
    listeners: &Listeners,
) -> Result<Option<StoreLock>, ProcessError> {
    let (leader, known) = watch::channel(LeaderView::default());
    tokio::select! {
        begun = wait(store, begun_by, &leader) => begun,
        () = listeners.answer_waiting(&known) => Err(failed(StoreError::Locked { name: lock_name()?, pid: None })),
    }
}

async fn wait(
    store: &dyn Store,
    begun_by: &StoreKey,
    leader: &watch::Sender<LeaderView>,
) -> Result<Option<StoreLock>, ProcessError> {
    loop {
        if store.get(begun_by).await.map_err(failed)?.is_some() {
            return Ok(None);
        }
        match store.lock(&lock_name()?).await {
            // It has waited some seconds.
            Err(StoreError::Locked { .. }) => {
                leader.send_replace(Leader::look(store).await);
                tracing::info!("{}", waiting_for(&leader.borrow()));
            }
            locked => return locked.map(Some).map_err(failed),
        }
    }
}

/// Leads whenever it has the lock, and follows in between.
pub(super) struct Leadership {
    pub(super) store: Arc<dyn Store>,
    /// Whether other coordinators use the same state. Alone, the first loss of the lock is an error.
    pub(super) is_shared: bool,
    /// The lock, if it is held already.
    pub(super) first: Option<Arc<StoreLock>>,
    /// The configuration in effect.
    pub(super) config: watch::Receiver<Arc<CoordinatorFile>>,
    pub(super) clock: Arc<SystemClock>,
    pub(super) audit: Arc<Audit>,
}

impl Leadership {
    /// Runs until the coordinator is stopped.
    ///
    /// # Errors
    /// If the lock on a state in a directory is lost, or a state cannot be read that another start would not read either.
    pub(super) async fn run(mut self, mut replica: Replica) -> Result<(), ProcessError> {
        loop {
            let lock = match self.first.take() {
                Some(lock) => lock,
                None => match self.follow(&mut replica).await? {
                    Some(lock) => lock,
                    None => return Ok(()),
                },
            };
            match self.begin(&replica, &lock).await {
                Ok(state) => {
                    self.audit.set_term(Some(lock.fencing()));
                    let (after, ended) = Coordinator::lead(replica, state).await.run_term().await;
                    self.audit.set_term(None);
                    replica = after;
                    match ended {
                        Ok(()) => return Ok(()),
                        Err(lost) if !self.is_shared => return Err(lost.into()),
                        Err(_) => tracing::error!(
                            "lost the lock on the state: etcd did not answer for 5 seconds, or another coordinator leads; \
                             serving what is held"
                        ),
                    }
                }
                Err(error) if self.is_shared && error.is_temporary() => {
                    tracing::warn!(error = %in_one_line(&error), "cannot lead: reading the state failed; trying again");
                    lock.release().await;
                    pause(RETRY).await;
                }
                Err(error) => return Err(ProcessError::Coordinator(error)),
            }
        }
    }

    /// Serves what another coordinator obtains, until this one has the lock. `None` if it was stopped before.
    async fn follow(&self, replica: &mut Replica) -> Result<Option<Arc<StoreLock>>, ProcessError> {
        let (leader, known) = watch::channel(Leader::look(&*self.store).await);
        let lock = tokio::select! {
            lock = self.wait_for_lock(&leader) => lock?,
            () = replica.follow(&known) => return Ok(None),
        };
        tracing::info!(fencing = lock.fencing(), "this coordinator leads now");
        Ok(Some(Arc::new(lock)))
    }

    async fn wait_for_lock(&self, leader: &watch::Sender<LeaderView>) -> Result<StoreLock, ProcessError> {
        let look = async {
            let mut last = None;
            loop {
                pause(LOOK).await;
                let view = Leader::look(&*self.store).await;
                // Another configuration is not another leader.
                let known = (view.leader.as_ref().map(Leader::leadership), view.trouble.is_some());
                if last.as_ref() != Some(&known) {
                    match &view.trouble {
                        None => tracing::info!("following: {}", view.words()),
                        Some(error) => tracing::warn!(error, "the state in etcd cannot be read; serving what is held"),
                    }
                    last = Some(known);
                }
                leader.send_replace(view);
            }
        };
        let lock = async {
            let mut last = RepeatedError::default();
            loop {
                match self.store.lock(&lock_name()?).await {
                    Ok(lock) => return Ok(lock),
                    Err(StoreError::Locked { .. }) => {}
                    // Even one that a person has to mend: the workers here have what is held meanwhile.
                    Err(error) => {
                        let error = in_one_line(&error);
                        if last.is_new(&error) {
                            tracing::warn!(
                                error,
                                "asking etcd for the lock failed; trying again, and serving what is held"
                            );
                        }
                        pause(RETRY).await;
                    }
                }
            }
        };
        tokio::select! {
            locked = lock => locked,
            () = look => Err(failed(StoreError::Locked { name: lock_name()?, pid: None })),
        }
    }

    /// Reads what is saved.
    async fn begin(&self, replica: &Replica, lock: &Arc<StoreLock>) -> Result<RestoredState, CoordinatorError> {
        let store = &*self.store;
        // Before there is a lease of this configuration.
        let config = Arc::clone(&self.config.borrow());
        removal::save_names(&config, &Deliveries::default(), store, lock, self.clock.now().wall).await;
        RestoredState::read(replica, Arc::clone(lock)).await
    }
}

/// The name of this machine, for others that use the same state.
pub(super) fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn lock_name() -> Result<StoreKey, ProcessError> {
    Ok(LOCK.parse::<StoreKey>()?)
}

fn failed(error: StoreError) -> ProcessError {
    ProcessError::Coordinator(CoordinatorError::Store(error))
}
