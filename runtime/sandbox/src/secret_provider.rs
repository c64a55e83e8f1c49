//! How capabilities get a secret's value: through this trait and no other way. They never learn where it comes from.

use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::{SecretBytes, SecretName};

/// Gives secrets their values.
#[async_trait]
pub(crate) trait SecretProvider: Send + Sync {
    async fn value(&self, name: &SecretName) -> Result<Arc<SecretBytes>, ValueError>;
}

/// Why a value is not to be had. The text never holds the value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ValueError(pub(crate) String);
