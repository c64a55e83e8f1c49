//! Commands over a Unix socket of this machine; the mode of the socket's file restricts the peers.
//!
//! A coordinator and a worker serve the same API on such a socket: HTTP with JSON, and for a lease its payload as the body
//! and its metadata as headers. So `deputy get` is one command for both. This crate has both ends: [`SocketFile`] and
//! [`reply`] for servers, [`SocketClient`] for commands. [`ControlRequest`] and [`Parameters`] define what travels.

mod client;
mod client_error;
mod control_error;
mod headers;
mod parameters;
pub mod reply;
mod request;
mod socket_file;
mod status;

pub use client::{ReceivedPayload, SocketClient};
pub use client_error::{SocketClientError, SocketPeer};
pub use control_error::ControlError;
pub use headers::{OTHER_GROUPS, TOKEN_EXPIRES, TOKEN_ID, header_text};
pub use parameters::Parameters;
pub use reply::SCHEMA;
pub use request::{ControlRequest, lease_wait};
pub use socket_file::SocketFile;
pub use status::{FactStatus, FailureStatus, signed_millis, valid_for_millis};
