//! What the host needs of the process that it is part of.

use std::sync::Arc;

use deputy_sandbox::{Compiler, ComponentFolders};
use deputy_sources::SourceContext;
use deputy_store::Random;

/// Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    /// How to start the process that compiles a component.
    pub compiler: Compiler,
    /// Where components are found by name.
    pub components: ComponentFolders,
    pub random: Random,
    pub sources: Arc<SourceContext>,
}

impl Platform {
    /// A random number, for jitter.
    pub(crate) fn seed(&self) -> Result<u64, crate::ProcessError> {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes).map_err(|_| crate::ProcessError::Random)?;
        Ok(u64::from_le_bytes(bytes))
    }
}
