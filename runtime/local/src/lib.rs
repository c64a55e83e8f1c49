//! Commands over a Unix socket of this machine, whose file's mode says who may give them.
//!
//! A coordinator and a worker answer at such a socket, in the same words: HTTP with JSON, and for a lease its payload as
//! the body with what it is in the head. So `deputy get` is one command, whoever it asks. Here are both ends:
//! [`SocketFile`] and [`reply`] of those who answer, [`Client`] of those who ask. What is answered is theirs.

mod client;
mod error;
pub mod reply;
mod socket;

pub use client::{ReceivedPayload, SocketClient, SocketClientError, SocketPeer, segment};
pub use error::ControlError;
pub use reply::SCHEMA;
pub use socket::SocketFile;
