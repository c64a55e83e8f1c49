//! Why there are no credentials.

use std::time::Duration;

use deputy_core::{InstanceName, Timestamp};

/// There are no credentials to sign with. No text of it holds any part of a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// None came in time.
    #[error("no lease of {instance} arrived within {waited:?}: {why}")]
    Absent {
        /// Of which instance.
        instance: InstanceName,
        /// How long it was waited for.
        waited: Duration,
        /// What is known of the reason.
        why: String,
    },
    /// The one that is held has ended.
    #[error("the lease of {instance} expired at {ended} and was not replaced: {why}")]
    Expired {
        /// Of which instance.
        instance: InstanceName,
        /// When.
        ended: Timestamp,
        /// What is known of the reason.
        why: String,
    },
    /// The lease is of something else.
    #[error(
        "the lease of {0} holds no credentials of AWS: those are JSON with AccessKeyId and SecretAccessKey, as a \
         `credential_process` prints them; name an instance of the service s3"
    )]
    NotCredentials(InstanceName),
    /// The coordinator will send none.
    #[error("{0}")]
    Refused(String),
    /// This engine is no worker any more.
    #[error("no lease of {instance} can arrive: {why}")]
    Out {
        /// Of which instance.
        instance: InstanceName,
        /// Why not.
        why: String,
    },
}

impl From<LeaseError> for object_store::Error {
    fn from(error: LeaseError) -> Self {
        Self::Generic { store: "Deputy", source: Box::new(error) }
    }
}
