//! Why a worker has no identity.

use deputy_link::client::JoinFailure;
use deputy_link::{IdentityError, JoinStringError};
use deputy_sources::SourceError;
use deputy_store::{StoreError, StoreKeyError};

#[derive(Debug, thiserror::Error)]
pub enum EnrolmentFailure {
    #[error("cannot encode the worker's key; this is a bug, please report it")]
    Encode(#[from] serde_json::Error),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("cannot join the coordinator")]
    Join(#[from] JoinFailure),
    #[error(transparent)]
    JoinString(#[from] JoinStringError),
    #[error("cannot read the join string")]
    JoinStringSource(#[from] SourceError),
    #[error("this worker has not joined a coordinator")]
    NotEnrolled,
    #[error("cannot read the worker's identity in the state directory")]
    Read(#[source] StoreError),
    #[error("cannot save the worker's identity in the state directory")]
    Save(#[source] StoreError),
    #[error(transparent)]
    StoreKey(#[from] StoreKeyError),
}
