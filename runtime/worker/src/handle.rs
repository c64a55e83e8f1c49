//! How others speak to a worker that runs: each question goes to its one owner and comes back.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deputy_http_server::{HealthCheck, HttpHandler, probe};
use deputy_local::ControlError;
use deputy_metrics::{WorkerMetrics, WorkerSnapshot};
use deputy_observe::Audit;
use http::{Request, Response};
use tokio::sync::{mpsc, oneshot};

use crate::connection::ConnectionPhase;
use crate::endpoint;
use crate::status::WorkerReport;

/// What comes in to the loop.
pub(crate) enum WorkerCommand {
    Alive(oneshot::Sender<()>),
    Snapshot(oneshot::Sender<WorkerSnapshot>),
    Status(oneshot::Sender<WorkerReport>),
    Stop,
}

/// Speaks to a worker that runs. Cheap to clone.
#[derive(Clone)]
pub struct WorkerHandle {
    inputs: mpsc::Sender<WorkerCommand>,
}

/// The loop has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the worker is stopping")]
pub struct WorkerStopping;

impl WorkerHandle {
    pub(crate) fn new(inputs: mpsc::Sender<WorkerCommand>) -> Self {
        Self { inputs }
    }

    /// All that is held and applied.
    ///
    /// # Errors
    /// If the worker is stopping.
    pub async fn status(&self) -> Result<WorkerReport, WorkerStopping> {
        self.ask(WorkerCommand::Status).await
    }

    /// Asks it to stop. What is published stays.
    ///
    /// # Errors
    /// If it is stopping already.
    pub async fn stop(&self) -> Result<(), WorkerStopping> {
        self.inputs.send(WorkerCommand::Stop).await.map_err(|_| WorkerStopping)
    }

    /// The same as JSON.
    async fn json(&self) -> Result<serde_json::Value, ControlError> {
        let stopping = |error: WorkerStopping| ControlError::new("stopping", &error.to_string());
        let status = self.status().await.map_err(stopping)?;
        serde_json::to_value(status).map_err(|error| ControlError::new("internal", &error.to_string()))
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> WorkerCommand) -> Result<T, WorkerStopping> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(question(reply)).await.map_err(|_| WorkerStopping)?;
        answer.await.map_err(|_| WorkerStopping)
    }
}

#[async_trait]
impl endpoint::StatusSource for WorkerHandle {
    async fn status(&self) -> Result<serde_json::Value, ControlError> {
        self.json().await
    }
}

/// Answers probes and scrapers.
pub struct WorkerHealth {
    handle: WorkerHandle,
    metrics: Arc<WorkerMetrics>,
    audit: Arc<Audit>,
}

impl WorkerHealth {
    /// For a worker.
    pub fn new(handle: WorkerHandle, metrics: Arc<WorkerMetrics>, audit: Arc<Audit>) -> Self {
        Self { handle, metrics, audit }
    }
}

impl HealthCheck for WorkerHealth {
    async fn alive(&self) -> Result<(), String> {
        self.handle.ask(WorkerCommand::Alive).await.map_err(|error| format!("{error}\n"))
    }

    /// One line for each reason not to be ready: a receiver, an instance without a lease or with one that has ended, or that
    /// the coordinator does not let the worker in: what it holds is there then, and nothing newer will come; or an audit log
    /// that can't be written: no receiver runs without it. A workload that was never told of what is there does not keep it
    /// from being ready, and has a line all the same.
    async fn ready(&self) -> Result<String, String> {
        let status = self.handle.status().await.map_err(|error| format!("{error}\n"))?;
        let trouble = self.audit.status().trouble;
        if status.ready && trouble.is_none() {
            let untold = status.receivers.iter().filter_map(|receiver| {
                let error = receiver.hook.as_ref()?.error.as_ref()?;
                Some(format!("{}: the workload was not told: {}\n", receiver.name, harmless(error)))
            });
            return Ok(format!("ready\n{}", untold.collect::<String>()));
        }
        let mut text = String::new();
        if let Some(trouble) = trouble {
            text.push_str(&format!("not ready: {}\n", harmless(&trouble)));
        }
        if status.connection.state == ConnectionPhase::Out.word() {
            let why = status.connection.error.as_deref().unwrap_or_default();
            text.push_str(&format!("not ready: the coordinator does not let this worker in: {}\n", harmless(why)));
        }
        if !status.complete {
            text.push_str("not ready: the coordinator has not sent all that it has for this worker\n");
        }
        if status.group_is_empty {
            let group = &status.connection.group;
            text.push_str(&format!(
                "not ready: no instance has the group {group} in `deliver-to` at the coordinator\n"
            ));
        }
        for absent in &status.absent {
            text.push_str(&format!("{} not ready: {}\n", absent.name, absent.message));
        }
        for name in &status.missing {
            text.push_str(&format!("{name} not ready: the coordinator can't load this receiver: its log says why\n"));
        }
        for receiver in status.receivers.iter().filter(|receiver| !receiver.ready) {
            let reason = receiver.reason.as_deref().unwrap_or_default();
            text.push_str(&format!("{} not ready: {} {}\n", receiver.name, receiver.state, harmless(reason)));
        }
        for instance in status.instances.iter().filter(|instance| instance.valid_for_ms <= 0) {
            text.push_str(&format!("{} not ready: it ended at {}\n", instance.name, instance.valid_until));
        }
        Err(text)
    }

    async fn metrics(&self) -> Result<String, String> {
        let now = self.handle.ask(WorkerCommand::Snapshot).await.map_err(|error| format!("{error}\n"))?;
        self.metrics.set_audit_status(&self.audit.status());
        self.metrics.encode(&now).map_err(|_| "metrics cannot be encoded\n".to_owned())
    }
}

/// In one line, whatever somebody else wrote.
fn harmless(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

impl HttpHandler for WorkerHealth {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        probe(self, &request).await
    }
}
