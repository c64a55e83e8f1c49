//! A receiver as the worker sees it: it can be loaded and called.

use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::failure::FailureKind;
use deputy_core::{Accepted, CallFailure, Delivery, Kinds, ReceiverName};
use deputy_link::ReceiverBinding;

/// Turns deliveries into files.
#[async_trait]
pub trait Receiver: Send + Sync {
    /// The kinds of payload that it takes.
    fn kinds(&self) -> &Kinds;

    /// Turns all current deliveries of its instances into all files of the unit, or rejects some. Returns within the
    /// call's limits.
    async fn accept(&self, deliveries: &[Delivery]) -> Result<Accepted, AcceptError>;
}

/// Loads the component of a binding: fetches it by its digest, checks and compiles it.
#[async_trait]
pub trait ReceiverLoader: Send + Sync {
    /// Returns in bounded time.
    async fn load(&self, name: &ReceiverName, binding: &ReceiverBinding) -> Result<Arc<dyn Receiver>, AcceptError>;
}

/// A receiver failed, or could not be loaded or published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", .0.kind, .0.message)]
pub struct AcceptError(pub CallFailure);

impl AcceptError {
    /// A failure of the host's. The message is short, printable, and without any secret.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self(CallFailure::new(kind, message))
    }
}
