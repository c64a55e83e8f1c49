//! What the worker knows of a receiver's component: that it can be loaded and called.

use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::failure::FailureKind;
use deputy_core::{Delivery, Outputs, ProviderFailure, ReceiverName, Services};
use deputy_link::ReceiverBinding;

/// Turns deliveries into files.
#[async_trait]
pub trait Receiver: Send + Sync {
    /// The services whose payloads it understands.
    fn services(&self) -> &Services;

    /// All current deliveries that are bound to it, into all files that the workload is to find. It ends by itself, within
    /// its limits.
    async fn accept(&self, deliveries: &[Delivery]) -> Result<Outputs, AcceptError>;
}

/// Makes receivers of their bindings: has the component brought by its digest, checks and loads it.
#[async_trait]
pub trait ReceiverLoader: Send + Sync {
    /// The receiver of a binding. It ends by itself.
    async fn load(&self, name: &ReceiverName, binding: &ReceiverBinding) -> Result<Arc<dyn Receiver>, AcceptError>;
}

/// A receiver did not accept, or can't be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct AcceptError {
    /// When to try again: see [`Kind::is_slow`] and [`Kind::Throttled`].
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
