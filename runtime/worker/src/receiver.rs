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
#[error("{}: {}", .failure.kind, .failure.message)]
pub struct AcceptError {
    pub failure: CallFailure,
    pub origin: FailureOrigin,
}

/// Whose failure it is, which decides when the receiver runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureOrigin {
    /// The component's own: it would fail again with the same inputs, unless it asked for a delay.
    Component,
    /// The host's: it may be over by the next try.
    Host,
}

impl AcceptError {
    /// A failure that the component returned.
    pub fn component(failure: CallFailure) -> Self {
        Self { failure, origin: FailureOrigin::Component }
    }

    /// A failure of the host's. The message is short, printable, and without any secret.
    pub fn host(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { failure: CallFailure::new(kind, message), origin: FailureOrigin::Host }
    }
}
