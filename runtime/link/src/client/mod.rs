//! The worker's side of the link: enrols, stays connected, and holds what the coordinator delivers.
//!
//! [`join`] turns a join string into an [identity](crate::WorkerIdentity). [`LinkClient::run`] then keeps a connection for
//! as long as the identity is valid. It tries the coordinator's addresses in a random order, and picks one of them again now
//! and then. It reconnects after every loss, at a random moment within the time that the coordinator named, so that ten
//! thousand workers do not return at once. It renews the certificate at half of its life,
//! and saves what it must not lose before it uses it. What it holds is in a `watch`: a reader sees the newest state, and a
//! slow one skips states in between.
//!
//! An engine written in Rust needs this module and nothing else of Deputy: see [`Engine`], which gives it a [`Link`].
#![deny(missing_docs)]

mod connection_lost;
mod dial;
mod engine;
mod fetch;
mod join;
mod link;
mod link_client;
mod reconnect;
mod relocation;
mod session;

pub use connection_lost::ClientStopped;
pub use dial::CONNECT_TIMEOUT;
#[cfg(test)]
pub(crate) use engine::NoIdentityStore;
pub use engine::{Engine, EngineError};
pub use fetch::FetchError;
pub use join::{JoinFailure, join, join_until};
pub use link::{Link, LinkPhase, LinkState};
pub use link_client::{ClientOptions, IdentityStore, LinkClient};
pub use reconnect::{MAX_DELAY as MAX_RECONNECT_DELAY, MIN_DELAY as MIN_RECONNECT_DELAY};

#[cfg(test)]
mod tests;
