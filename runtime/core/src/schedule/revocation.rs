//! A lease is revoked only by the component, with the settings and grant, that obtained it.
//!
//! A payload is a secret of the service that issued it. After a change of the configuration the instance's component may
//! be another one, or speak to another host, so the old lease goes to the old component as long as that is at hand, and
//! else to none: then it is not revoked, and that is reported.

use std::fmt;

use crate::{Revision, Timestamp};

/// Why a lease was not revoked although it should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotRevoked {
    /// It ended before a revocation succeeded.
    Ended,
    /// The configuration that obtained it is gone: no other component, and no other host, is given its payload.
    Reconfigured,
    /// Too many others of its instance wait to be revoked.
    TooMany,
    /// Its component exports no revocation.
    Unable,
}

/// Leases of one instance that wait to be revoked, at most.
pub const MOST_RETIRED: usize = 64;

/// Leases of one instance that were not revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnrevokedLeases {
    /// How many, since the coordinator began.
    pub count: u32,
    /// The last one.
    pub revision: Revision,
    /// Why it was not revoked.
    pub why: NotRevoked,
    /// When that was decided.
    pub at: Timestamp,
}

impl NotRevoked {
    pub const ALL: [Self; 4] = [Self::Ended, Self::Reconfigured, Self::TooMany, Self::Unable];

    pub fn word(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Reconfigured => "reconfigured",
            Self::TooMany => "too-many",
            Self::Unable => "unable",
        }
    }
}

impl fmt::Display for NotRevoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "it ended before a revocation succeeded",
            Self::Reconfigured => "the component, settings and grant that obtained it are no longer loaded",
            Self::TooMany => "too many other leases of its instance wait to be revoked",
            Self::Unable => "its component exports no revocation",
        })
    }
}
