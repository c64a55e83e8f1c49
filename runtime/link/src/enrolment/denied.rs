//! Why the enrolment denies a join, a renewal or a connection.

use super::RenewalCount;
use super::token::MAX_PENDING_JOINS;
use crate::join::TokenId;
use crate::name::WorkerId;

/// Why a worker may not enrol. Only for the audit log: see [`JoinDenied::PUBLIC_MESSAGE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinDenied {
    #[error("the key is banned")]
    Banned,
    #[error("the token {0} has expired")]
    Expired(TokenId),
    #[error("the token {0} has {MAX_PENDING_JOINS} joins that are not saved yet")]
    Pending(TokenId),
    /// There is no such token, or it has another secret.
    #[error("there is no token {0} with this secret")]
    Unknown(TokenId),
    #[error("the token {0} is used up")]
    UsedUp(TokenId),
}

/// Why a worker may not renew its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenewalDenied {
    #[error(transparent)]
    Refused(#[from] AdmissionDenied),
    #[error(
        "the identity of {worker} is used twice (renewal {asked:?} after {known:?}) and is now locked; find out which \
         machine is the copy, run `deputy workers remove {worker}`, and let the right machine join again"
    )]
    Copied {
        worker: WorkerId,
        /// The renewal that was requested.
        asked: RenewalCount,
        /// The last renewal that was answered.
        known: RenewalCount,
    },
}

/// Why a worker is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionDenied {
    #[error("the worker {0} is banned")]
    Banned(WorkerId),
    #[error("the worker {0} is locked because its identity was used twice: it must join again")]
    Locked(WorkerId),
    #[error(
        "the worker {0} connected with an old certificate although a newer one is in use: its identity was copied, and the \
         worker is now locked; find out which machine is the copy, and let the right machine join again"
    )]
    OldKey(WorkerId),
    #[error("the worker {0} was removed: it must join again")]
    Removed(WorkerId),
    #[error("there is no worker {0}: it must join again")]
    Unknown(WorkerId),
}

impl JoinDenied {
    /// The message for the client. It does not reveal the reason.
    pub const PUBLIC_MESSAGE: &'static str =
        "the join string is not valid: it expired, was used or revoked; create a new one with `deputy token create`";
}
