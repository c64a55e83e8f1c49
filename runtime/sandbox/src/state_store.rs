//! How the capability `state` gets and keeps a value, without knowledge of where that is.

use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::{PolicyDenial, SecretBytes};

/// Keeps the state of one instance, for one [identity](deputy_core::StateIdentity).
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Waits until no other call of the instance has a turn at its state, also one under an earlier configuration.
    async fn turn(&self) -> Box<dyn StateTurn>;
}

/// A call's turn at the state of its instance, which ends when this is dropped.
#[async_trait]
pub trait StateTurn: Send {
    /// The value that was saved last.
    async fn load(&mut self) -> Result<Option<Arc<SecretBytes>>, StateStoreError>;

    /// Replaces the value, which survives a power cut after this call; an empty one removes it. If it fails, the value
    /// before it is kept.
    async fn save(&mut self, value: &SecretBytes) -> Result<(), StateStoreError>;
}

/// Why state is not given or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateStoreError {
    /// What is kept is another identity's.
    #[error("{0}")]
    Denied(PolicyDenial),
    /// It cannot be read or written. The text is for the operator.
    #[error("{0}")]
    Unavailable(String),
}
