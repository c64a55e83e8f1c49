//! Where every part of the sandbox gets a secret's value from.

use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::{SecretBytes, SecretName};

/// Hands out the values of secrets.
#[async_trait]
pub(crate) trait SecretValues: Send + Sync {
    /// The value as it is now. Asked for at each use, so that a rotated secret is used from its next use on.
    async fn value(&self, name: &SecretName) -> Result<Arc<SecretBytes>, ValueError>;
}

/// Why a value is not to be had; its text never holds the value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ValueError(pub(crate) String);
