//! What is held for an instance, and what of it is kept on disk.

use std::sync::Arc;

use crate::time::Timestamp;
use crate::{Digest, Fact, PayloadKind, Revision, SecretBytes, ServiceName, TokenExpiry};

use super::policy::ConfigFingerprint;

/// Tokens, with their revision, origin and times.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Increases with each lease of the instance.
    pub revision: Revision,
    /// The service, as the component named it then: after a restart the lease is used before the component is loaded.
    pub service: Option<ServiceName>,
    /// The format of the payload; unknown for a file whose component is not loaded yet.
    pub kind: Option<PayloadKind>,
    /// Opaque here.
    pub payload: Arc<SecretBytes>,
    /// What renewal and revocation need. Never delivered or shown.
    pub handle: Arc<SecretBytes>,
    /// When the call that brought it began.
    pub obtained_at: Timestamp,
    /// When the tokens were first obtained, before any renewal.
    pub issued_at: Timestamp,
    /// Until when the service accepts it, in its own words.
    pub stated: TokenExpiry,
    /// When it ends: what the service said, capped, or else assumed. [`Timestamp::FOREVER`] if it does not expire.
    pub valid_until: Timestamp,
    /// Nothing newer can be obtained before this time.
    pub next_at: Option<Timestamp>,
    /// Until when a renewal can prolong it, if the service said.
    pub renewable_until: Option<Timestamp>,
    /// The component's words, for people.
    pub facts: Vec<Fact>,
    /// Where it came from.
    pub origin: LeaseOrigin,
    /// Under which configuration.
    pub fingerprint: ConfigFingerprint,
}

/// Where a lease came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseOrigin {
    Component,
    /// A file that another program maintains.
    File,
}

/// A lease that is no longer given out and waits to be revoked.
#[derive(Debug, Clone)]
pub struct RetiredLease {
    pub lease: Lease,
    /// When to revoke it.
    pub revoke_at: Timestamp,
}

/// All that outlives the process for one instance.
#[derive(Debug, Clone, Default)]
pub struct LeaseRecord {
    /// The greatest revision that was given to a lease.
    pub revision: Revision,
    /// What is held.
    pub lease: Option<Lease>,
    /// What is to be revoked.
    pub retired: Vec<RetiredLease>,
    /// Until when this is kept if the instance is no longer configured.
    pub removed: Option<Timestamp>,
    /// Whether state may be kept for the instance as well. It is saved on its own, and deleted with this record.
    pub keeps_state: bool,
    /// What is in the file that was held last.
    pub file: Option<Digest>,
    /// A payload of the file that grew old before the component was called: it is published only where there is nothing else.
    pub passed: Option<Digest>,
    /// A payload of the file that the operator revoked: it is not published again.
    pub revoked: Option<Digest>,
    /// The delay that the service asked for last. It is saved on its own as well.
    pub pause: Option<ServicePause>,
}

/// A delay that a service asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServicePause {
    /// When it said so last.
    pub asked_at: Timestamp,
    /// Until when it wants no call of the instance.
    pub until: Timestamp,
    /// Until when it wants none of the account, if it throttled.
    pub account_until: Option<Timestamp>,
    /// Under which configuration it was called.
    pub fingerprint: ConfigFingerprint,
}

/// A payload that another program maintains.
#[derive(Debug, Clone)]
pub struct FilePayload {
    /// What the file holds.
    pub payload: Arc<SecretBytes>,
    /// Its SHA-256.
    pub digest: Digest,
    pub since: Timestamp,
    /// Until when it is good.
    pub valid_until: Timestamp,
}

impl Lease {
    /// Whether it is still good.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        now < self.valid_until
    }

    /// Whether it ends at some time.
    pub fn expires(&self) -> bool {
        self.valid_until != Timestamp::FOREVER
    }
}
