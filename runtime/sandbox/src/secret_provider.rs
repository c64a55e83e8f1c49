//! How capabilities get a secret's value, without knowledge of its source.

use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::{SecretBytes, SecretName};

/// Provides the values of secrets.
#[async_trait]
pub(crate) trait SecretProvider: Send + Sync {
    async fn value(&self, name: &SecretName) -> Result<Arc<SecretBytes>, ValueError>;
}

/// Why a value can't be read. The text never holds the value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ValueError(pub(crate) String);
