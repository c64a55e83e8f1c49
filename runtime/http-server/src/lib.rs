//! A small HTTP server for probes, metrics and local commands: few clients, short responses.
//!
//! [`serve`] runs one [`HttpHandler`] on a TCP or Unix listener. It bounds what a client can take up: connections at once,
//! bytes and time of a request's head. It reads no request body, since nothing that it serves needs one.

mod connection;
mod probe;
mod response;
mod server;
mod slot;

pub use probe::{HealthCheck, probe};
pub use response::{response, text_response};
pub use server::{HttpHandler, HttpListener, listen, serve};
