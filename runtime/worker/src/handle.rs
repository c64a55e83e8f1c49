//! How other tasks reach a running worker: each request goes to the loop and is answered by it.

use async_trait::async_trait;
use deputy_local::ControlError;
use deputy_metrics::WorkerSnapshot;
use deputy_support::Mailbox;
use tokio::sync::{mpsc, oneshot};

use crate::endpoint;
use crate::status::WorkerReport;

pub(crate) enum WorkerRequest {
    Alive(oneshot::Sender<()>),
    Metrics(oneshot::Sender<WorkerSnapshot>),
    Status(oneshot::Sender<WorkerReport>),
    Stop,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct WorkerHandle {
    requests: Mailbox<WorkerRequest>,
}

/// The loop has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the worker is stopping")]
pub struct WorkerStopping;

impl WorkerHandle {
    pub(crate) fn new(requests: mpsc::Sender<WorkerRequest>) -> Self {
        Self { requests: Mailbox::new(requests) }
    }

    pub async fn status(&self) -> Result<WorkerReport, WorkerStopping> {
        self.ask(WorkerRequest::Status).await
    }

    /// Stops the worker. What is published stays.
    pub async fn stop(&self) -> Result<(), WorkerStopping> {
        self.requests.send(WorkerRequest::Stop).await.map_err(|_| WorkerStopping)
    }

    pub(crate) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> WorkerRequest,
    ) -> Result<T, WorkerStopping> {
        self.requests.ask(request).await.map_err(|_| WorkerStopping)
    }
}

#[async_trait]
impl endpoint::StatusSource for WorkerHandle {
    async fn status(&self) -> Result<serde_json::Value, ControlError> {
        let status = Self::status(self).await.map_err(|error| ControlError::new("stopping", &error.to_string()))?;
        serde_json::to_value(status).map_err(|error| ControlError::new("internal", &error.to_string()))
    }
}
