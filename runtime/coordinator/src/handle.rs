//! How others speak to the coordinator: each question goes to its one owner and comes back.

use std::sync::Arc;

use deputy_core::InstanceName;
use deputy_core::schedule::ScheduleEvent;
use deputy_metrics::{LeaseMetrics, UpstreamMetrics};
use deputy_sources::SourceContext;
use tokio::sync::{mpsc, oneshot, watch};

use crate::coordinator::CoordinatorConfig;
use crate::file_watcher::{FileObservation, FileWatcher};
use crate::loading::Loaded;
use crate::status::{CoordinatorStatus, InstanceStatus};

/// What comes in to the loop.
pub(crate) enum CoordinatorCommand {
    Event(ScheduleEvent),
    Configure(Box<Configure>, oneshot::Sender<ReloadSummary>),
    /// For the configuration of this generation.
    Loaded(u64, Box<Loaded>, oneshot::Sender<bool>),
    /// Of the files of this generation.
    File(u64, InstanceName, FileObservation),
    Instance(InstanceName, oneshot::Sender<Result<InstanceStatus, RequestError>>),
    Alive(oneshot::Sender<()>),
    Leases(oneshot::Sender<HeldMetrics>),
    Status(oneshot::Sender<CoordinatorStatus>),
}

/// A configuration that is ready to be used.
pub(crate) struct Configure {
    pub(crate) setup: CoordinatorConfig,
    pub(crate) files: FileWatcher,
}

/// What the metrics show of what is held.
pub(crate) type HeldMetrics = (Vec<LeaseMetrics>, Vec<UpstreamMetrics>);

/// What another configuration changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadSummary {
    /// Instances that are new.
    pub added: Vec<InstanceName>,
    /// Instances of which something changed.
    pub changed: Vec<InstanceName>,
    /// Instances that are gone.
    pub removed: Vec<InstanceName>,
    /// How many are as they were.
    pub unchanged: usize,
    /// The number of the configuration, for [`Handle::loaded`].
    pub generation: u64,
}

/// Speaks to a coordinator that runs. Cheap to clone.
#[derive(Clone)]
pub struct CoordinatorHandle {
    inputs: mpsc::Sender<CoordinatorCommand>,
    /// Where the places of files are found from.
    here: Arc<SourceContext>,
    /// Whether there is a configuration.
    started: watch::Receiver<bool>,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Its component can't.
    #[error(
        "{0} can't be revoked: its component exports no revocation; what it holds expires by itself, and `deputy renew {0}` replaces it now"
    )]
    CannotRevoke(InstanceName),
    /// It has no component.
    #[error("{0} has no component to call: its tokens come from a file")]
    FileOnly(InstanceName),
    /// Its component is not there yet.
    #[error("the component of {0} is being loaded: `deputy status {0}` shows when it is")]
    Loading(InstanceName),
    /// There is no configuration yet.
    #[error("the coordinator is starting: components are being loaded")]
    Starting,
    /// The loop has ended.
    #[error("the coordinator is stopping")]
    Stopping,
    /// No such instance.
    #[error("there is no instance {0:?}: `deputy status` lists those that are enabled")]
    Unknown(String),
}

impl Configure {
    pub(crate) async fn new(mut setup: CoordinatorConfig, here: &Arc<SourceContext>) -> Self {
        let files = FileWatcher::first(std::mem::take(&mut setup.files), here).await;
        Self { setup, files }
    }
}

impl CoordinatorHandle {
    pub(crate) fn new(
        inputs: mpsc::Sender<CoordinatorCommand>,
        here: Arc<SourceContext>,
        started: watch::Receiver<bool>,
    ) -> Self {
        Self { inputs, here, started }
    }

    /// Whether there is a configuration.
    pub(crate) fn has_started(&self) -> bool {
        *self.started.borrow()
    }

    /// Comes back when there is a configuration, or never will be one.
    pub(crate) async fn started(&self) {
        // If the sender is gone, the loop has ended, and the next question says so.
        drop(self.started.clone().wait_for(|started| *started).await);
    }

    /// All that is held.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn status(&self) -> Result<CoordinatorStatus, RequestError> {
        self.ask(CoordinatorCommand::Status).await
    }

    /// Comes back when the loop has gone round.
    pub(crate) async fn alive(&self) -> Result<(), RequestError> {
        self.ask(CoordinatorCommand::Alive).await
    }

    /// What is held, for the metrics.
    pub(crate) async fn leases(&self) -> Result<HeldMetrics, RequestError> {
        self.ask(CoordinatorCommand::Leases).await
    }

    /// One instance.
    ///
    /// # Errors
    /// If there is none, or the coordinator is stopping.
    pub async fn instance(&self, name: &str) -> Result<InstanceStatus, RequestError> {
        let unknown = || RequestError::Unknown(name.to_owned());
        let parsed: InstanceName = name.parse().map_err(|_| unknown())?;
        self.ask(|reply| CoordinatorCommand::Instance(parsed, reply)).await?
    }

    /// Obtains another lease now; the one that is held stays good until then.
    ///
    /// # Errors
    /// If it can't be.
    pub async fn renew(&self, name: &str) -> Result<(), RequestError> {
        let (instance, _) = self.with_component(name).await?;
        self.send(ScheduleEvent::Renew(instance)).await
    }

    /// Revokes all that an instance holds now, and then obtains another lease.
    ///
    /// # Errors
    /// If it can't be.
    pub async fn revoke(&self, name: &str) -> Result<(), RequestError> {
        let (instance, status) = self.with_component(name).await?;
        if !status.revokes {
            return Err(RequestError::CannotRevoke(instance));
        }
        self.send(ScheduleEvent::Revoke(instance)).await
    }

    /// Says that somebody wants the lease of an instance.
    ///
    /// # Errors
    /// If there is none, or the coordinator is stopping.
    pub async fn asked(&self, name: &str) -> Result<InstanceName, RequestError> {
        let unknown = |_| RequestError::Unknown(name.to_owned());
        let status = self.instance(name).await?;
        let instance: InstanceName = status.name.parse().map_err(unknown)?;
        self.send(ScheduleEvent::LeaseRequested(instance.clone())).await?;
        Ok(instance)
    }

    /// Says how many workers use an instance.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub(crate) async fn used(&self, instance: InstanceName, users: u32) -> Result<(), RequestError> {
        self.send(ScheduleEvent::Used(instance, users)).await
    }

    /// Asks it to stop.
    ///
    /// # Errors
    /// If it is stopping already.
    pub async fn stop(&self) -> Result<(), RequestError> {
        self.send(ScheduleEvent::Stop).await
    }

    /// Takes another configuration.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn configure(&self, setup: CoordinatorConfig) -> Result<ReloadSummary, RequestError> {
        let configure = Configure::new(setup, &self.here).await;
        self.ask(|reply| CoordinatorCommand::Configure(Box::new(configure), reply)).await
    }

    /// Says what was loaded for the configuration of this number. False if another configuration was applied meanwhile:
    /// then it is not used.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn loaded(&self, generation: u64, loaded: Loaded) -> Result<bool, RequestError> {
        self.ask(|reply| CoordinatorCommand::Loaded(generation, Box::new(loaded), reply)).await
    }

    async fn with_component(&self, name: &str) -> Result<(InstanceName, InstanceStatus), RequestError> {
        let status = self.instance(name).await?;
        let instance: InstanceName = status.name.parse().map_err(|_| RequestError::Unknown(name.to_owned()))?;
        if status.is_loading() {
            Err(RequestError::Loading(instance))
        } else if status.component {
            Ok((instance, status))
        } else {
            Err(RequestError::FileOnly(instance))
        }
    }

    async fn send(&self, event: ScheduleEvent) -> Result<(), RequestError> {
        self.inputs.send(CoordinatorCommand::Event(event)).await.map_err(|_| RequestError::Stopping)
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> CoordinatorCommand) -> Result<T, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(question(reply)).await.map_err(|_| RequestError::Stopping)?;
        answer.await.map_err(|_| RequestError::Stopping)
    }
}
