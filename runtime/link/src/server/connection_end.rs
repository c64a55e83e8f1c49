//! Why a connection ended.

use crate::frame::FrameError;
use crate::protocol_error::ProtocolError;

#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionEnd {
    /// Any peer can connect and wait, so this is counted, and logged at a bounded rate.
    #[error("unauthenticated peer sent no Join in time")]
    Unauthenticated,
    #[error("peer idle for too long")]
    Idle,
    #[error("peer does not read what is sent")]
    Stalled,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Refused(ProtocolError),
}
