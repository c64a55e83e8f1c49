//! What the rest of a worker knows of its link to the coordinator, for the operator.

use deputy_core::Timestamp;

/// The link at one moment.
#[derive(Debug, Clone)]
pub struct ConnectionSnapshot {
    /// Who this worker is, as the coordinator knows it.
    pub worker: String,
    pub group: String,
    /// The address of the coordinator that it is connected to, or tried last.
    pub coordinator: String,
    /// All addresses that it knows.
    pub addresses: Vec<String>,
    /// What the link does.
    pub phase: ConnectionPhase,
    pub since: Timestamp,
    /// When the coordinator was last heard of.
    pub heard: Option<Timestamp>,
    /// Why the last connection ended or did not begin.
    pub error: Option<String>,
    /// When the worker's certificate ends.
    pub certificate_ends: Option<Timestamp>,
    /// What the coordinator refused on this connection, each in a sentence.
    pub refused: Vec<String>,
}

/// What the link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionPhase {
    /// It tries to connect, or waits before it tries again.
    Connecting,
    /// It is connected, and was given all that there is.
    Connected,
    /// The coordinator does not let it in: it has to join again.
    Out,
}

impl ConnectionPhase {
    pub fn word(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Connecting => "connecting",
            Self::Out => "out",
        }
    }
}
