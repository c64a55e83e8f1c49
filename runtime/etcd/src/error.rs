//! What can go wrong with etcd.

use std::fmt;
use std::io;

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    /// The member could not be reached, so nothing was sent to it.
    #[error("cannot connect to etcd at {endpoint}")]
    Connect { endpoint: String, source: io::Error },
    /// The connection ended, or no answer came in time. The request may have been applied.
    #[error("etcd at {endpoint} did not answer: {why}")]
    Broken { endpoint: String, why: String },
    /// The member ended the connection before it sent anything over TLS, as it does when it wants another client certificate.
    #[error("etcd at {endpoint} ended the TLS handshake: {why}")]
    Handshake { endpoint: String, why: String, is_unsent: bool },
    /// No connection was opened in time.
    #[error("cannot connect to any member of etcd in time")]
    Unreachable,
    /// The answer is no gRPC, or not what was asked for.
    #[error("got {0} instead of an answer of etcd: do the endpoints name etcd's ports for clients?")]
    Malformed(&'static str),
    /// What is configured, or a request, cannot be sent.
    #[error("{0} cannot be used for etcd")]
    Unusable(&'static str),
    /// etcd's own answer.
    #[error("etcd refused: {0}")]
    Refused(Status),
    #[error("the request for etcd has {0} bytes, more than it takes")]
    TooLarge(usize),
}

/// How a call ended at etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub code: StatusCode,
    /// etcd's own text. It names no key and no value.
    pub message: String,
}

/// The codes of gRPC that etcd answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusCode {
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    OutOfRange,
    Unavailable,
    Unauthenticated,
    Other(u32),
}

impl EtcdError {
    /// Whether another member, or the same one a little later, may answer.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Broken { .. } | Self::Handshake { .. } | Self::Unreachable => true,
            Self::Malformed(_) | Self::TooLarge(_) | Self::Unusable(_) => false,
            Self::Refused(status) => match status.code {
                StatusCode::Unavailable | StatusCode::DeadlineExceeded => true,
                // Rate limits of etcd's own; a full database has the same code.
                StatusCode::ResourceExhausted => !status.is_out_of_space(),
                _ => false,
            },
        }
    }

    /// Whether no member said anything.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Broken { .. } | Self::Unreachable)
    }

    /// Whether the request was certainly not applied.
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::TooLarge(_) | Self::Unreachable | Self::Unusable(_) => true,
            Self::Broken { .. } | Self::Malformed(_) => false,
            Self::Handshake { is_unsent, .. } => *is_unsent,
            // "etcdserver: request timed out" and "leader changed" may have been applied; "no leader" was not.
            Self::Refused(status) => !self.is_temporary() || status.message.contains("no leader"),
        }
    }

    /// Whether the user, the password or the user's permissions do not do, or there is no user.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_denied() || status.is_user_missing())
    }

    /// Whether a newer token for the same password is needed. etcd refuses such a request before it is applied.
    pub(crate) fn is_outdated_token(&self) -> bool {
        const OUTDATED: [&str; 3] = [
            "etcdserver: invalid auth token",
            "etcdserver: revision of auth store is old",
            "etcdserver: user name is empty",
        ];
        matches!(self, Self::Refused(status)
            if status.code == StatusCode::Unauthenticated || OUTDATED.contains(&status.message.as_str()))
    }
}

impl Status {
    /// Whether the database is full: etcd takes no writes until space is freed and the alarm is disarmed.
    pub fn is_out_of_space(&self) -> bool {
        self.message.contains("database space exceeded")
    }

    /// Whether the user, the password or the user's permissions do not do.
    pub fn is_denied(&self) -> bool {
        // A wrong password has the code of a malformed request.
        matches!(self.code, StatusCode::PermissionDenied | StatusCode::Unauthenticated)
            || self.message.contains("authentication failed")
    }

    /// Whether a user was given to an etcd that knows none.
    pub fn is_authentication_off(&self) -> bool {
        self.message.contains("authentication is not enabled")
    }

    /// Whether no user was given to an etcd that wants one.
    pub fn is_user_missing(&self) -> bool {
        self.message.contains("user name is empty")
    }

    /// Whether what was asked for was compacted.
    pub fn is_compacted(&self) -> bool {
        self.message.contains("has been compacted")
    }

    pub(crate) fn new(code: u32, message: String) -> Self {
        Self { code: StatusCode::from(code), message }
    }
}

impl From<u32> for StatusCode {
    fn from(code: u32) -> Self {
        match code {
            3 => Self::InvalidArgument,
            4 => Self::DeadlineExceeded,
            5 => Self::NotFound,
            7 => Self::PermissionDenied,
            8 => Self::ResourceExhausted,
            9 => Self::FailedPrecondition,
            11 => Self::OutOfRange,
            14 => Self::Unavailable,
            16 => Self::Unauthenticated,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
