//! The one way from the sandbox to a socket: resolve, pin, connect, and TLS where the rule says so.
//!
//! HTTP and TCP both come through here. Nothing here decides what is allowed, and nothing here connects to an address
//! that is not in a [`Pinned`](deputy_core::grant::Pinned).

mod connect;
mod deadline;
mod resolve;
mod stream;
mod system_resolver;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use connect::{ConnectError, connect};
pub(crate) use deadline::{Deadline, DeadlineCause, DeadlineExceeded, Timer};
#[cfg(test)]
pub(crate) use resolve::LOOKUPS;
pub use resolve::{LookupSlot, Resolver};
pub(crate) use resolve::{lookup_slots, resolve};
pub(crate) use stream::Connection;
pub use system_resolver::SystemResolver;
pub(crate) use tls::{HandshakeError, Protocol, RuleTls, RuleTlsError, TlsFault, handshake};
