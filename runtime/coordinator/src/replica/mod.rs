//! What a coordinator is in both of its roles: its commands, its configuration, its workers.
//!
//! It follows while another coordinator on the same state leads: it serves that one's leases. Then it [leads](Coordinator): it
//! obtains them itself, until it stops or loses the lock. What is here goes from one role to the next, so that no worker and
//! no command notices more than a pause.

mod commands;
mod lease_follower;
mod requests;
mod unsaved;

use std::sync::Arc;

use deputy_core::InstanceName;
use deputy_core::schedule::Lease;
use deputy_core::time::Now;
use deputy_store::StoreLock;
use tokio::sync::{mpsc, watch};

use crate::command::CoordinatorCommand;
use crate::configuration::{CoordinatorConfig, LoadedInstances};
use crate::coordinator::CoordinatorOptions;
use crate::deliveries::Deliveries;
use crate::handle::CoordinatorHandle;
use crate::state_keeper::StateKeeper;
use crate::workers::Workers;

#[cfg(test)]
pub(crate) use lease_follower::LeaseFollower;
use requests::RequestSender;
use unsaved::UnsavedSender;

pub(crate) use requests::{INTEREST, REQUEST, RequestReader};
#[cfg(test)]
pub(crate) use unsaved::{LeaveError, UNSAVED, leave_lease};
pub(crate) use unsaved::{LeftLease, UnsavedReader};

/// The lock, while this coordinator leads.
pub type Leading = watch::Receiver<Option<Arc<StoreLock>>>;

const COMMAND_QUEUE: usize = 1024;

/// A coordinator that does not lead at the moment.
pub struct Replica {
    pub(crate) options: CoordinatorOptions,
    pub(crate) commands: mpsc::Receiver<CoordinatorCommand>,
    pub(crate) command_sender: mpsc::Sender<CoordinatorCommand>,
    /// The configuration in use, with what of it is loaded.
    pub(crate) configuration: Option<CoordinatorConfig>,
    /// How many configurations were applied.
    pub(crate) generation: u64,
    /// Whether a configuration was applied.
    pub(crate) configured: watch::Sender<bool>,
    /// The deliveries of each configuration, for what this process publishes itself.
    deliveries: watch::Sender<Arc<Deliveries>>,
    /// What identifies the configuration. `None` until it is loaded.
    digest: watch::Sender<Option<String>>,
    /// `None` without `listen` in the configuration.
    pub(crate) workers: Option<Workers>,
    pub(crate) state_keeper: Arc<StateKeeper>,
    pub(crate) started_at: Now,
    leading: watch::Sender<Option<Arc<StoreLock>>>,
    requests: RequestSender,
    unsaved: UnsavedSender,
}

impl Replica {
    pub fn new(options: CoordinatorOptions) -> (Self, CoordinatorHandle) {
        let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
        let configured = watch::Sender::new(false);
        let requests = RequestSender::new(&options.name, Arc::clone(&options.store), Arc::clone(&options.clock));
        let unsaved = UnsavedSender::new(Arc::clone(&options.store), Arc::clone(&options.clock));
        let handle =
            CoordinatorHandle::new(command_sender.clone(), Arc::clone(&options.surroundings), configured.subscribe());
        let replica = Self {
            state_keeper: Arc::new(StateKeeper::new(Arc::clone(&options.store))),
            started_at: options.clock.now(),
            options,
            commands,
            command_sender,
            configuration: None,
            generation: 0,
            configured,
            deliveries: watch::Sender::new(Arc::default()),
            digest: watch::Sender::new(None),
            workers: None,
            leading: watch::Sender::new(None),
            requests,
            unsaved,
        };
        (replica, handle)
    }

    /// Adds the service for workers, which gets the deliveries of each configuration.
    #[must_use]
    pub fn with_workers(self, workers: Option<Workers>) -> Self {
        Self { workers, ..self }
    }

    /// Follows the deliveries of each configuration.
    pub fn deliveries(&self) -> watch::Receiver<Arc<Deliveries>> {
        self.deliveries.subscribe()
    }

    /// Follows what identifies the configuration in use, for a comparison with that of other coordinators.
    pub(crate) fn digest(&self) -> watch::Receiver<Option<String>> {
        self.digest.subscribe()
    }

    /// Follows whether this coordinator leads.
    pub fn leading(&self) -> Leading {
        self.leading.subscribe()
    }

    /// Keeps the state of instances while this coordinator leads.
    pub fn state_keeper(&self) -> &Arc<StateKeeper> {
        &self.state_keeper
    }

    /// Tells all that write under the lock that this coordinator leads, or does not.
    pub(crate) fn set_leading(&self, lock: Option<Arc<StoreLock>>) {
        self.leading.send_replace(lock);
    }

    /// Leaves leases of a leadership that has ended to the coordinator that leads: they may be unsaved.
    pub(crate) fn leave_unsaved(&mut self, fencing: u64, leases: Vec<(InstanceName, Lease)>) {
        self.unsaved.leave(fencing, leases);
    }

    /// Takes over a configuration. Its deliveries are still to be [passed on](Self::deliver).
    pub(crate) fn adopt(&mut self, config: CoordinatorConfig) {
        self.generation += 1;
        self.configuration = Some(config);
    }

    /// Passes on the deliveries of the configuration.
    pub(crate) fn deliver(&self) {
        let Some(config) = &self.configuration else { return };
        self.deliveries.send_replace(Arc::new(config.deliveries.clone()));
        let digest = config.deliveries.digest();
        self.digest.send_if_modified(|present| {
            let is_other = *present != digest;
            *present = digest;
            is_other
        });
        if let Some(workers) = &self.workers {
            workers.deliver(config.deliveries.clone());
        }
        self.configured.send_replace(true);
    }

    /// Adds what was loaded for the configuration of a generation. Returns false if another one is in use by now. Deliveries
    /// are still to be [passed on](Self::deliver).
    pub(crate) fn add_loaded(&mut self, generation: u64, loaded: LoadedInstances) -> bool {
        let Some(config) = self.configuration.as_mut().filter(|_| generation == self.generation) else { return false };
        config.loading.retain(|name| !loaded.plans.contains_key(name));
        config.configuration.plans.extend(loaded.plans);
        config.providers.extend(loaded.providers);
        if let Some(deliveries) = loaded.deliveries {
            config.deliveries = deliveries;
        }
        true
    }

    /// The instances of the configuration. Those that are being loaded are among them.
    pub(crate) fn instances(&self) -> impl Iterator<Item = &InstanceName> {
        self.configuration.iter().flat_map(|config| config.configuration.plans.keys().chain(&config.loading))
    }
}
