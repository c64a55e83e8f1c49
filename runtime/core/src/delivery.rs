//! A lease on its way to those who use it.

use std::sync::Arc;

use crate::schedule::Revision;
use crate::{InstanceName, SecretBytes, ServiceName, Timestamp};

/// What a worker gets of a lease.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Whose it is.
    pub instance: InstanceName,
    /// By which receivers are matched.
    pub service: ServiceName,
    /// Which lease of the instance.
    pub stamp: LeaseVersion,
    /// When it ends.
    pub valid_until: Timestamp,
    /// Opaque here.
    pub payload: Arc<SecretBytes>,
}

/// Tells one lease of an instance from another. The revision alone does not: where the coordinator's record was damaged,
/// it begins again at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseVersion {
    /// The number of the lease.
    pub revision: Revision,
    /// When it was obtained.
    pub obtained_at: Timestamp,
}

impl Delivery {
    /// Whether it is still good.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        now < self.valid_until
    }
}
