//! Why a client has no reply, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::ControlError;

/// The process that a client expects behind a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketPeer {
    /// The coordinator of a configuration.
    Coordinator,
    /// Coordinator or worker: the operator named the socket itself.
    Named,
    /// The worker of a configuration.
    Worker,
}

#[derive(Debug, thiserror::Error)]
pub enum SocketClientError {
    #[error("no {} is listening at {}: {}", peer.name(), socket.display(), peer.start())]
    Connect { peer: SocketPeer, socket: PathBuf, source: io::Error },
    #[error(
        "permission denied on the socket {}: run this as its owner, or as a member of its group with {}",
        socket.display(), peer.mode()
    )]
    Forbidden { peer: SocketPeer, socket: PathBuf, source: io::Error },
    /// The server's own error.
    #[error(transparent)]
    Refused(ControlError),
    /// The connection ended in the middle of a reply.
    #[error("the {} closed the connection before its reply was complete; its log says why", peer.name())]
    Broken { peer: SocketPeer, source: hyper::Error },
    #[error("cannot understand the {}'s reply: {reason}; does it run another version?", peer.name())]
    InvalidReply { peer: SocketPeer, reason: String },
}

impl SocketClientError {
    /// Whether the same request may succeed a moment later: the server is not listening yet, stopped before it replied, or
    /// is overloaded.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Broken { .. } => true,
            Self::Refused(error) => matches!(error.kind.as_str(), "busy" | "starting" | "stopping"),
            Self::InvalidReply { .. } | Self::Forbidden { .. } => false,
        }
    }
}

impl SocketPeer {
    fn name(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Named => "coordinator or worker",
            Self::Worker => "worker",
        }
    }

    fn start(self) -> &'static str {
        match self {
            Self::Coordinator => {
                "start one with `deputy run` (and the same --config), or name its socket with --socket"
            }
            Self::Named => "start one with `deputy run`, or a worker that has this socket in [endpoints.socket]",
            Self::Worker => "is one running, with [endpoints.socket] in its configuration?",
        }
    }

    fn mode(self) -> &'static str {
        match self {
            Self::Coordinator => "control-mode = \"0660\" in [coordinator]",
            Self::Named => "the mode \"0660\" in the configuration",
            Self::Worker => "mode = \"0660\" in [endpoints.socket]",
        }
    }
}
