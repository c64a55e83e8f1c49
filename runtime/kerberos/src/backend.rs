//! What a Kerberos library does for the login process. MIT's is the one there is.

use crate::Fault;
use crate::wire::{Stepped, Ticket, Unwrapped};

/// A library, set up for one login.
pub(crate) trait Backend: Send + Sync {
    /// Gets a ticket-granting ticket, which later contexts use. Blocks while the KDC does. If it fails, contexts go on
    /// with the ticket from before.
    fn log_in(&self) -> Result<Ticket, Fault>;

    /// Begins a context for a target, a principal with its realm, and returns its first token. Blocks while the KDC does,
    /// unless the ticket for the target is at hand.
    fn begin(&self, target: &str) -> Result<(Box<dyn LibraryContext>, Stepped), Fault>;
}

/// One security context (RFC 2743, RFC 4121): mutual authentication, detection of replays and reordering, integrity and
/// confidentiality are always on. Its caller keeps to the order: steps until established, then messages.
pub(crate) trait LibraryContext: Send {
    /// Takes the peer's token and returns the next one.
    fn step(&mut self, token: Vec<u8>) -> Result<Stepped, Fault>;

    /// Protects a message: signs it, or encrypts it as well.
    fn wrap(&mut self, message: Vec<u8>, confidential: bool) -> Result<Vec<u8>, Fault>;

    /// Checks and opens the peer's message. Takes the token, because a library may write into it.
    fn unwrap(&mut self, token: Vec<u8>) -> Result<Unwrapped, Fault>;
}
