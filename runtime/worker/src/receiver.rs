//! A receiver as the worker sees it: it can be loaded and called.

use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::failure::FailureKind;
use deputy_core::{Delivery, Outputs, ProviderFailure, ReceiverName, Services};
use deputy_link::ReceiverBinding;

/// Turns deliveries into files.
#[async_trait]
pub trait Receiver: Send + Sync {
    /// The services whose payloads it accepts.
    fn services(&self) -> &Services;

    /// Turns all current deliveries of its instances into all files of the unit. Returns within the call's limits.
    async fn accept(&self, deliveries: &[Delivery]) -> Result<Outputs, AcceptError>;
}

/// Loads the component of a binding: fetches it by its digest, checks and compiles it.
#[async_trait]
pub trait ReceiverLoader: Send + Sync {
    /// Returns in bounded time.
    async fn load(&self, name: &ReceiverName, binding: &ReceiverBinding) -> Result<Arc<dyn Receiver>, AcceptError>;
}

/// A receiver failed, or could not be loaded or published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct AcceptError {
    /// It decides when the run is retried.
    pub kind: FailureKind,
    /// For the operator: short, printable, and without any secret.
    pub message: String,
}

impl From<&ProviderFailure> for AcceptError {
    fn from(failure: &ProviderFailure) -> Self {
        let (kind, message) = match failure {
            ProviderFailure::Denied(message) => (FailureKind::Denied, message),
            ProviderFailure::Misconfigured(message) => (FailureKind::Misconfigured, message),
            ProviderFailure::Throttled { message, retry_after } => (FailureKind::Throttled(*retry_after), message),
            ProviderFailure::Unavailable(message) => (FailureKind::Unavailable, message),
        };
        Self { kind, message: message.clone() }
    }
}
