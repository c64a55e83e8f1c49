//! Who writes, and by which of its writes a value came to be.

use std::fmt;

use crate::{Random, StoreError, StoreLock};

/// The random name of one write. It is sealed with the value, so that a writer recognises what it wrote itself: a write
/// without a result may have taken place, and a version alone does not say whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct WriteId([u8; Self::SIZE]);

/// By what right a key is written.
#[derive(Debug, Clone, Copy)]
pub struct WriteRight<'l> {
    pub(crate) lock: Option<&'l StoreLock>,
    pub(crate) id: WriteId,
}

impl WriteId {
    pub(crate) const SIZE: usize = 16;

    pub fn random(random: &Random) -> Result<Self, StoreError> {
        let mut id = [0; Self::SIZE];
        random.fill(&mut id).map_err(|_| StoreError::Random)?;
        Ok(Self(id))
    }

    pub(crate) const fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }
}

impl<'l> WriteRight<'l> {
    /// A key that any process may write: the expected version alone decides.
    pub fn shared(id: WriteId) -> Self {
        Self { lock: None, id }
    }

    /// A key of a lock's holder. The write fails if the lock is in other hands by the time it takes effect, whether or not
    /// they have touched this key.
    pub fn holder(lock: &'l StoreLock, id: WriteId) -> Self {
        Self { lock: Some(lock), id }
    }
}

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteId({self})")
    }
}
