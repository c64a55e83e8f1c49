//! Why there are no credentials.

use std::time::Duration;

use deputy_core::{InstanceName, Timestamp};

/// There are no credentials to sign with. Its texts hold no part of a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// No lease arrived in time.
    #[error("no lease of {instance} arrived within {waited:?}: {why}")]
    Absent {
        /// The instance without a lease.
        instance: InstanceName,
        /// The time limit.
        waited: Duration,
        /// The reason, as far as the link knows it.
        why: String,
    },
    /// The lease that is held has expired.
    #[error("the lease of {instance} expired at {ended} and was not replaced: {why}")]
    Expired {
        /// The instance of the lease.
        instance: InstanceName,
        /// The expiry of the lease.
        ended: Timestamp,
        /// The reason, as far as the link knows it.
        why: String,
    },
    /// The lease belongs to another service.
    #[error(
        "the lease of {0} holds no AWS credentials, which are JSON with AccessKeyId and SecretAccessKey: name an instance of \
         the service s3"
    )]
    NotCredentials(InstanceName),
    /// The coordinator does not deliver the instance to this worker.
    #[error("{0}")]
    Refused(String),
    /// The engine is not enrolled any more.
    #[error("no lease of {instance} can arrive: {why}")]
    Out {
        /// The instance without a lease.
        instance: InstanceName,
        /// The reason.
        why: String,
    },
}

impl From<LeaseError> for object_store::Error {
    fn from(error: LeaseError) -> Self {
        Self::Generic { store: "Deputy", source: Box::new(error) }
    }
}
