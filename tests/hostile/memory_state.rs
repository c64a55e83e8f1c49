//! State that is kept in memory, for components that are granted it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deputy_core::{PolicyDenial, SecretBytes, StateIdentity};
use deputy_sandbox::{StateStore, StateStoreError, StateTurn};

type Value = Arc<Mutex<Option<Arc<SecretBytes>>>>;

/// The state of one instance.
pub(crate) struct MemoryState {
    value: Value,
    /// Whose it is, if that is another one.
    kept_for: Option<StateIdentity>,
}

struct MemoryTurn {
    value: Value,
    kept_for: Option<StateIdentity>,
}

impl MemoryState {
    pub(crate) fn new(kept_for: Option<StateIdentity>) -> Self {
        Self { value: Arc::default(), kept_for }
    }
}

impl MemoryTurn {
    fn permit(&self) -> Result<(), StateStoreError> {
        match self.kept_for {
            Some(kept_for) => Err(StateStoreError::Denied(PolicyDenial::StateOfAnother { kept_for })),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl StateStore for MemoryState {
    async fn turn(&self) -> Box<dyn StateTurn> {
        Box::new(MemoryTurn { value: Arc::clone(&self.value), kept_for: self.kept_for })
    }
}

#[async_trait]
impl StateTurn for MemoryTurn {
    async fn load(&mut self) -> Result<Option<Arc<SecretBytes>>, StateStoreError> {
        self.permit()?;
        Ok(self.value.lock().unwrap().clone())
    }

    async fn save(&mut self, value: &SecretBytes) -> Result<(), StateStoreError> {
        self.permit()?;
        *self.value.lock().unwrap() = Some(Arc::new(SecretBytes::new(value.expose().to_vec())));
        Ok(())
    }
}
