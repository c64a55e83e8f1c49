//! A small HTTP server for probes, metrics and local commands: few clients, short responses.
//!
//! [`serve`] runs one [`HttpHandler`] on a TCP, TLS or Unix listener. It bounds what a client can take up: connections at
//! once, the time of a handshake, bytes and time of a request's head, and how long it may take nothing of a response. It
//! reads no request body, since nothing that it serves needs one.

mod connection;
mod event_stream;
mod probe;
mod response;
mod server;
mod slot;
mod this_machine;
mod write_deadline;

pub use event_stream::EventStream;
pub use probe::{HealthCheck, probe};
pub use response::{response, text_response};
pub use server::{HttpHandler, HttpListener, listen, serve, serve_on};
pub use this_machine::{is_for_host, is_for_this_machine, only_value};
