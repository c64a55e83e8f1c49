//! The receivers and endpoints of this process, as status, probes and metrics see them.

use async_trait::async_trait;

/// What a coordinator publishes and serves itself.
#[async_trait]
pub trait LocalWorkerView: Send + Sync {
    /// The status of a worker, and whether it is ready; `None` while it stops.
    async fn status(&self) -> Option<(serde_json::Value, bool)>;

    /// Why it is not ready, a line for each reason.
    async fn ready(&self) -> Result<String, String>;

    /// Its metrics, as Prometheus reads them.
    async fn metrics(&self) -> Result<String, String>;
}
