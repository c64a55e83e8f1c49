//! What the worker knows of a receiver's component: that it can be loaded and called.

use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::schedule::Kind;
use deputy_core::{Delivery, Failure, Outputs, ReceiverName, Services};
use deputy_link::Binding;

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
pub trait Loader: Send + Sync {
    /// The receiver of a binding. It ends by itself.
    async fn load(&self, name: &ReceiverName, binding: &Binding) -> Result<Arc<dyn Receiver>, AcceptError>;
}

/// A receiver did not accept, or can't be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct AcceptError {
    /// When to try again: see [`Kind::is_slow`] and [`Kind::Throttled`].
    pub kind: Kind,
    /// For the operator: short, printable, and without any secret.
    pub message: String,
}

impl From<&Failure> for AcceptError {
    fn from(failure: &Failure) -> Self {
        let (kind, message) = match failure {
            Failure::Denied(message) => (Kind::Denied, message),
            Failure::Misconfigured(message) => (Kind::Misconfigured, message),
            Failure::Throttled { message, retry_after } => (Kind::Throttled(*retry_after), message),
            Failure::Unavailable(message) => (Kind::Unavailable, message),
        };
        Self { kind, message: message.clone() }
    }
}
