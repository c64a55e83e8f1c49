//! Probes and metrics of a coordinator.

use std::sync::Arc;

use deputy_audit::Audit;
use deputy_http_server::HealthCheck;
use deputy_metrics::CoordinatorMetrics;
use deputy_support::single_line;
use deputy_traces::Tracer;

use crate::handle::CoordinatorHandle;
use crate::local_worker_view::LocalWorkerView;
use crate::status::{CoordinatorStatus, InstanceStatus, StatusQuery};
use crate::workers::Workers;

pub struct CoordinatorHealth {
    handle: CoordinatorHandle,
    metrics: Arc<CoordinatorMetrics>,
    audit: Arc<Audit>,
    /// `None` without receivers and endpoints in the configuration.
    local: Option<Arc<dyn LocalWorkerView>>,
    /// `None` if it serves no workers.
    workers: Option<Workers>,
    tracer: Tracer,
}

impl CoordinatorHealth {
    pub fn new(handle: CoordinatorHandle, metrics: Arc<CoordinatorMetrics>, audit: Arc<Audit>) -> Self {
        Self { handle, metrics, audit, local: None, workers: None, tracer: Tracer::default() }
    }

    /// Has the counts of these traces in the metrics.
    #[must_use]
    pub fn with_traces(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// Also answers for what this process publishes itself.
    #[must_use]
    pub fn with_local(self, local: Option<Arc<dyn LocalWorkerView>>) -> Self {
        Self { local, ..self }
    }

    /// Also counts which workers are behind.
    #[must_use]
    pub fn with_workers(self, workers: Option<Workers>) -> Self {
        Self { workers, ..self }
    }

    async fn local_ready(&self) -> Result<String, String> {
        match &self.local {
            Some(local) => local.ready().await,
            None => Ok(String::new()),
        }
    }

    async fn status(&self, query: StatusQuery) -> Result<CoordinatorStatus, String> {
        self.handle.status(query).await.map_err(|error| format!("{error}\n"))
    }
}

impl HealthCheck for CoordinatorHealth {
    async fn alive(&self) -> Result<(), String> {
        self.handle.alive().await.map_err(|error| format!("{error}\n"))
    }

    /// One line for each instance; of more than a page, only those that are not ready, and their number. One more line for
    /// an audit log that cannot be written: then everything that has to be recorded is refused.
    async fn ready(&self) -> Result<String, String> {
        let mut status = self.status(StatusQuery::default()).await?;
        if status.starting {
            return Err("starting: components are being loaded\n".to_owned());
        }
        let is_listed_in_full = status.next.is_none();
        if !is_listed_in_full {
            status = self.status(StatusQuery { ready: Some(false), ..StatusQuery::default() }).await?;
        }
        let mut text: String = status.instances.iter().map(readiness_line).collect();
        if !is_listed_in_full {
            text.push_str(&format!("{} of {} instances are ready\n", status.ready_count, status.instance_count));
        }
        if let Some(trouble) = &status.state_trouble {
            text.push_str(&format!(
                "state not ready: no worker can join or renew its certificate here: {}\n",
                single_line(trouble)
            ));
        } else if let Some(leadership) = status.leadership() {
            text.push_str(&format!("{}\n", single_line(&leadership)));
        }
        let trouble = self.audit.status().trouble;
        if let Some(trouble) = &trouble {
            text.push_str(&format!("audit log not ready: {}\n", single_line(trouble)));
        }
        let local = self.local_ready().await;
        let is_ready = status.ready && trouble.is_none() && local.is_ok();
        text.push_str(&local.unwrap_or_else(|reasons| reasons));
        if is_ready { Ok(text) } else { Err(text) }
    }

    async fn metrics(&self) -> Result<String, String> {
        let mut held = self.handle.metrics().await.map_err(|error| format!("{error}\n"))?;
        self.metrics.set_audit_status(&self.audit.status());
        if let Some(counts) = self.tracer.counts() {
            self.metrics.set_traces(counts.exported(), counts.dropped());
        }
        if let Some(workers) = &self.workers {
            held.behind = workers.behind().await;
        }
        let text = self.metrics.encode(&held);
        let text = text.map_err(|_| "metrics cannot be encoded\n".to_owned())?;
        match &self.local {
            // One end for both.
            Some(local) => Ok(text.replace("# EOF\n", "") + &local.metrics().await?),
            None => Ok(text),
        }
    }
}

fn readiness_line(instance: &InstanceStatus) -> String {
    let word = if instance.ready { "ready" } else { "not ready" };
    format!("{} {word}: {}\n", instance.name, single_line(&instance.reason))
}
