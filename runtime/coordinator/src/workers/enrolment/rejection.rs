//! Why a worker's request is refused.

use std::fmt::Display;

use deputy_core::in_one_line;
use deputy_link::{AdmissionDenied, AuthorityError, ErrorCode, JoinDenied, ProtocolError};

/// A refusal with its two readers: the worker, and the operator in log and audit log.
pub(in crate::workers) struct EnrolmentRejection {
    pub(in crate::workers) refusal: ProtocolError,
    /// May say more than the worker may know.
    pub(in crate::workers) reason: String,
}

impl EnrolmentRejection {
    /// A refusal that says the same to both.
    pub(in crate::workers) fn of(refusal: ProtocolError) -> Self {
        Self { reason: refusal.to_string(), refusal }
    }

    pub(super) fn internal(reason: impl Display) -> Self {
        let refusal = ProtocolError::new(ErrorCode::Internal, "the coordinator cannot save the change now: try again");
        Self { refusal, reason: reason.to_string() }
    }

    pub(super) fn join_denied(denied: JoinDenied) -> Self {
        match denied {
            JoinDenied::Pending(_) => Self::internal(denied),
            denied => {
                let refusal = ProtocolError::new(ErrorCode::BadJoin, JoinDenied::PUBLIC_MESSAGE);
                Self { refusal, reason: denied.to_string() }
            }
        }
    }

    pub(super) fn malformed_request(error: AuthorityError) -> Self {
        Self { refusal: ProtocolError::new(ErrorCode::Malformed, &error), reason: in_one_line(&error) }
    }
}

pub(super) fn admission_code(denied: &AdmissionDenied) -> ErrorCode {
    match denied {
        AdmissionDenied::Banned(_) => ErrorCode::Banned,
        AdmissionDenied::Locked(_) => ErrorCode::Locked,
        AdmissionDenied::OldKey(_) => ErrorCode::OldKey,
        AdmissionDenied::Removed(_) => ErrorCode::Removed,
        AdmissionDenied::Unknown(_) => ErrorCode::Unknown,
    }
}
