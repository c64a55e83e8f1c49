//! Serves what the worker holds to programs of the same machine.
//!
//! No lease is kept here: every reply is made from what is held at that moment, and an expired lease is never served.
//! [`AwsContainerEndpoint`] speaks to AWS's libraries over loopback, [`LocalEndpoint`] to `deputy get` and other commands over
//! a Unix socket. The server that both run on (`deputy-http-server`) bounds what a client can do to either.

mod aws;
mod local;
#[cfg(test)]
mod testing;
mod token;
mod token_file;

pub use aws::AwsContainerEndpoint;
pub use local::{LeaseAccess, LocalEndpoint, StatusSource};
pub use token::{EndpointToken, EndpointTokenError};
pub use token_file::TokenFile;
