//! What identifies a lease of an instance.

#![deny(missing_docs)]

use std::fmt;

use crate::time::Timestamp;

/// The number of a lease of one instance. Each new lease has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// Identifies a lease of an instance. The revision alone does not: if the coordinator's record was damaged, revisions
/// start again at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseVersion {
    /// The number of the lease.
    pub revision: Revision,
    /// When it was obtained.
    pub obtained_at: Timestamp,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
