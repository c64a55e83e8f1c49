//! The way to the coordinator's loop.

use std::sync::Arc;

use deputy_core::InstanceName;
use deputy_core::schedule::ScheduleEvent;
use deputy_metrics::CoordinatorSnapshot;
use deputy_sources::SourceContext;
use deputy_support::Mailbox;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::command::CoordinatorCommand;
use crate::configuration::{CoordinatorConfig, LoadedInstances, ReloadSummary};
use crate::file_watcher::FileWatcher;
use crate::request_error::ControlRequestError;
use crate::status::{CoordinatorStatus, InstanceStatus, StatusQuery};

/// Who does what was asked for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Performer {
    /// The coordinator that was asked.
    #[default]
    Own,
    /// The one that leads, which the other one asks through the state.
    Leader,
}

/// Sends commands to a running coordinator. Cheap to clone.
#[derive(Clone)]
pub struct CoordinatorHandle {
    commands: Mailbox<CoordinatorCommand>,
    /// What payload files are resolved against.
    file_context: Arc<SourceContext>,
    configured: watch::Receiver<bool>,
}

impl CoordinatorHandle {
    pub(crate) fn new(
        commands: mpsc::Sender<CoordinatorCommand>,
        file_context: Arc<SourceContext>,
        configured: watch::Receiver<bool>,
    ) -> Self {
        Self { commands: Mailbox::new(commands), file_context, configured }
    }

    /// Whether a configuration was applied.
    pub(crate) fn is_configured(&self) -> bool {
        *self.configured.borrow()
    }

    /// Waits for the first configuration, or for the end of the loop.
    pub(crate) async fn wait_until_configured(&self) {
        // Without a sender the loop has ended, and the next request says so.
        self.configured.clone().wait_for(|configured| *configured).await.ok();
    }

    /// A page of the selected instances.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn status(&self, query: StatusQuery) -> Result<CoordinatorStatus, ControlRequestError> {
        Ok(self.commands.ask(|reply| CoordinatorCommand::Status(query, reply)).await?)
    }

    /// Completes once the loop has gone round.
    pub(crate) async fn alive(&self) -> Result<(), ControlRequestError> {
        Ok(self.commands.ask(CoordinatorCommand::Alive).await?)
    }

    pub(crate) async fn metrics(&self) -> Result<CoordinatorSnapshot, ControlRequestError> {
        Ok(self.commands.ask(CoordinatorCommand::Metrics).await?)
    }

    /// # Errors
    /// If there is no such instance, or the coordinator is stopping.
    pub async fn instance(&self, name: &str) -> Result<InstanceStatus, ControlRequestError> {
        let instance = parse_instance(name)?;
        self.commands.ask(|reply| CoordinatorCommand::Instance(instance, reply)).await?
    }

    /// Obtains another lease now, or asks the coordinator that leads to do so. The current one stays published until then.
    ///
    /// # Errors
    /// If the instance is unknown, is being loaded, or has no component, or if the coordinator that leads cannot be asked.
    pub async fn renew(&self, name: &str) -> Result<Performer, ControlRequestError> {
        let (instance, _) = self.callable_instance(name).await?;
        self.request(ScheduleEvent::Renew(instance)).await
    }

    /// Revokes all leases of an instance, and then obtains another one.
    ///
    /// # Errors
    /// As [`renew`](Self::renew), or if the component exports no revocation.
    pub async fn revoke(&self, name: &str) -> Result<Performer, ControlRequestError> {
        let (instance, status) = self.callable_instance(name).await?;
        if !status.revokes {
            return Err(ControlRequestError::CannotRevoke(instance));
        }
        self.request(ScheduleEvent::Revoke(instance)).await
    }

    /// Reports that a client requests the lease of an instance.
    ///
    /// # Errors
    /// If there is no such instance, or the coordinator is stopping; or if only the one that leads can obtain a lease, and
    /// cannot be asked.
    pub async fn request_lease(&self, name: &str) -> Result<InstanceName, ControlRequestError> {
        let status = self.instance(name).await?;
        let instance = parse_instance(&status.name)?;
        self.request(ScheduleEvent::LeaseRequested(instance.clone())).await?;
        Ok(instance)
    }

    /// Reports how many workers use an instance.
    pub(crate) async fn set_users(&self, instance: InstanceName, users: u32) -> Result<(), ControlRequestError> {
        self.send(ScheduleEvent::Used(instance, users)).await
    }

    /// # Errors
    /// If the coordinator has stopped.
    pub async fn stop(&self) -> Result<(), ControlRequestError> {
        self.send(ScheduleEvent::Stop).await
    }

    /// Applies a configuration: the first one and every later one.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn configure(&self, config: CoordinatorConfig) -> Result<ReloadSummary, ControlRequestError> {
        // Here and not in the loop, since a network file system may hang.
        let files = FileWatcher::open(config.files.clone(), &self.file_context).await;
        let config = Box::new(config);
        Ok(self.commands.ask(|reply| CoordinatorCommand::Configure { config, files, reply }).await?)
    }

    /// Adds what was loaded for the configuration of a generation. Returns false, and does nothing, if another one was
    /// applied meanwhile.
    ///
    /// # Errors
    /// If the coordinator is stopping.
    pub async fn loaded(&self, generation: u64, loaded: LoadedInstances) -> Result<bool, ControlRequestError> {
        let loaded = Box::new(loaded);
        Ok(self.commands.ask(|reply| CoordinatorCommand::Loaded { generation, loaded, reply }).await?)
    }

    async fn callable_instance(&self, name: &str) -> Result<(InstanceName, InstanceStatus), ControlRequestError> {
        let status = self.instance(name).await?;
        let instance = parse_instance(&status.name)?;
        if status.is_loading() {
            Err(ControlRequestError::Loading(instance))
        } else if status.component {
            Ok((instance, status))
        } else {
            Err(ControlRequestError::FileOnly(instance))
        }
    }

    async fn request(&self, event: ScheduleEvent) -> Result<Performer, ControlRequestError> {
        self.commands.ask(|reply| CoordinatorCommand::Request(Box::new(event), reply)).await?
    }

    async fn send(&self, event: ScheduleEvent) -> Result<(), ControlRequestError> {
        Ok(self.commands.send(CoordinatorCommand::Event(Box::new(event))).await?)
    }
}

fn parse_instance(name: &str) -> Result<InstanceName, ControlRequestError> {
    name.parse().map_err(|_| ControlRequestError::Unknown(name.to_owned()))
}
