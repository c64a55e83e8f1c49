//! Why a request to the coordinator was refused.

use deputy_core::InstanceName;
use deputy_support::ActorStopped;

/// Why a request to the coordinator was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlRequestError {
    #[error(
        "{0} cannot be revoked: its component exports no revocation; its lease expires by itself, and `deputy renew {0}` replaces it now"
    )]
    CannotRevoke(InstanceName),
    #[error("{0} has no component to call: its tokens come from a file")]
    FileOnly(InstanceName),
    #[error("the component of {0} is being loaded: `deputy status {0}` shows when it is")]
    Loading(InstanceName),
    #[error("the coordinator is starting: components are being loaded")]
    Starting,
    #[error("the coordinator is stopping")]
    Stopping,
    /// The coordinator that leads was not asked.
    #[error("the leader was not asked: {0}")]
    Unasked(String),
    /// Whether the coordinator that leads was asked is not known.
    #[error(
        "the leader may still carry out the request: {1}; `deputy status {0}` shows a new lease if it does, and otherwise \
         try again"
    )]
    Unconfirmed(InstanceName, String),
    #[error("there is no instance {0:?}: `deputy status` lists those that are enabled")]
    Unknown(String),
}

impl From<ActorStopped> for ControlRequestError {
    fn from(_: ActorStopped) -> Self {
        Self::Stopping
    }
}
