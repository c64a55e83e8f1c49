//! The values of secrets for one call. What a call was given, its log and its error texts must not show.

use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::{SecretBytes, SecretName};

use crate::redact::Redactor;
use crate::secret_provider::{SecretProvider, ValueError};

/// Hands out values and has the call's redactor know each of them, also those that were rotated away since.
pub(crate) struct CallValues {
    source: Arc<dyn SecretProvider>,
    redactor: Arc<Redactor>,
}

impl CallValues {
    pub(crate) fn new(source: Arc<dyn SecretProvider>, redactor: Arc<Redactor>) -> Self {
        Self { source, redactor }
    }

    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

#[async_trait]
impl SecretProvider for CallValues {
    async fn value(&self, name: &SecretName) -> Result<Arc<SecretBytes>, ValueError> {
        let value = self.source.value(name).await?;
        self.redactor.learn(name, &value);
        Ok(value)
    }
}
