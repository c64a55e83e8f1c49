//! A client of etcd (API v3): the few calls that a store of sealed values needs.
//!
//! Every request has a deadline, and asks for a member that knows a leader; a connection on which nothing is heard is
//! closed. A request that fails at one member is repeated at the next where a repetition is safe: see [`Repeat`].
//!
//! gRPC is a small protocol over HTTP/2, and the program has HTTP/2 and Protocol Buffers already. The crate `etcd-client`
//! would bring thirty more crates, among them the server's half of tonic, and need `protoc` to build.
//!
//! **Never** interprets a value, caches one, or logs a key, a value, a password or a token.

mod auth;
mod client;
mod connection;
mod error;
mod grpc;
mod lease;
pub mod message;
mod tls;
mod tls_stream;
mod watch;

pub use auth::{EtcdLogin, PasswordSource};
pub use client::{EtcdClient, EtcdOptions, Repeat};
pub use error::{EtcdError, Status, StatusCode};
pub use tls::{EtcdTls, TlsSource};
pub use watch::WatchStream;
