//! Why a connection or the whole client ended.

use std::io;

use deputy_core::{HostPort, Timestamp};

use crate::frame::FrameError;
use crate::identity::IdentityError;
use crate::protocol_error::{ErrorCode, ProtocolError};

/// Why the client stopped.
#[derive(Debug, thiserror::Error)]
pub enum ClientStopped {
    /// The coordinator refuses the worker for good.
    #[error("{0}")]
    Refused(ProtocolError),
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// All [links](super::Link) were dropped.
    #[error("the link is no longer in use")]
    Unused,
}

/// Why one connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionLost {
    #[error("the coordinator is shutting down")]
    Shutdown,
    #[error("cannot reach {0}")]
    Connect(HostPort, #[source] io::Error),
    #[error(
        "the certificate of the coordinator at {0} is not valid by the clock of this machine: compare the clocks of both"
    )]
    Clock(HostPort),
    #[error("{0} does not answer")]
    Timeout(HostPort),
    #[error("the coordinator closed the connection")]
    Closed,
    #[error(
        "the certificate of this worker expired at {0} and was not renewed in time ({1}): compare the clocks, or join \
         again (`deputy token create` on the coordinator, `deputy worker --join …` here)"
    )]
    Expired(Timestamp, String),
    #[error("the coordinator was idle for too long")]
    Idle,
    /// As a process that was killed does.
    #[error("the coordinator ended without closing the connection")]
    Cut,
    #[error("the connection broke")]
    Frame(#[source] FrameError),
    #[error("the connection broke")]
    Io(#[source] io::Error),
    #[error("protocol error: invalid {0}")]
    Malformed(&'static str),
    #[error("the coordinator refused: {0}")]
    Refused(ProtocolError),
    #[error(transparent)]
    Stopped(#[from] ClientStopped),
}

impl From<FrameError> for ConnectionLost {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error) => error.into(),
            error => Self::Frame(error),
        }
    }
}

impl From<io::Error> for ConnectionLost {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Cut,
            _ => Self::Io(error),
        }
    }
}

impl ConnectionLost {
    /// Whether the connection broke, or its coordinator shut down: the coordinator is likely to be back soon.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::Closed | Self::Cut | Self::Shutdown | Self::Io(_) | Self::Idle)
    }

    /// Whether another address of the coordinator is worth trying at once.
    pub(super) fn is_of_one_address(&self) -> bool {
        match self {
            Self::Connect(..) | Self::Clock(_) | Self::Timeout(_) => true,
            Self::Refused(refusal) => {
                matches!(refusal.code, ErrorCode::Internal | ErrorCode::Clock | ErrorCode::Throttled)
            }
            lost => lost.is_broken(),
        }
    }

    /// Whether a correction of a clock, the worker's or the coordinator's, would help.
    pub(super) fn is_about_clocks(&self) -> bool {
        match self {
            Self::Clock(_) => true,
            Self::Refused(refusal) => refusal.code.is_about_clocks(),
            _ => false,
        }
    }
}
