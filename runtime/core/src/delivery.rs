//! A lease on its way to a receiver.

#![deny(missing_docs)]

use std::sync::Arc;

use crate::time::Timestamp;
use crate::{InstanceName, LeaseVersion, PayloadKind, SecretBytes, ServiceName, TraceContext};

/// What a worker gets of a lease.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The instance that obtained it.
    pub instance: InstanceName,
    /// For people.
    pub service: ServiceName,
    /// Receivers are matched by it.
    pub kind: PayloadKind,
    /// Which lease of the instance.
    pub stamp: LeaseVersion,
    /// The expiry; [`Timestamp::FOREVER`] if there is none.
    pub valid_until: Timestamp,
    /// Nothing newer can be obtained before this time. For people, as the next one.
    pub next_at: Option<Timestamp>,
    /// Until when a renewal can prolong it, if the service said.
    pub renewable_until: Option<Timestamp>,
    /// Opaque here.
    pub payload: Arc<SecretBytes>,
    /// The span that delivers it, if the lease is traced.
    pub trace: Option<TraceContext>,
}

impl Delivery {
    /// Whether it has not expired.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        now < self.valid_until
    }
}
