//! Where programs on the same machine ask for what the worker holds.
//!
//! Nothing here keeps a lease: every answer is made of what is held at that moment, and what has expired is given to
//! nobody. [`Aws`] speaks to AWS's own libraries over loopback, [`Local`] to `deputy get` and its siblings over a Unix
//! socket. What a stranger can do to either is bounded by the server that both run on (`deputy-http-server`).

mod aws;
mod local;
#[cfg(test)]
mod testing;
mod token;
mod token_file;

pub use aws::AwsEndpoint;
pub use local::{LeaseAccess, LocalEndpoint, StatusSource};
pub use token::{EndpointToken, EndpointTokenError};
pub use token_file::TokenFile;
