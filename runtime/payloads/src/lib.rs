//! What the payloads of known services hold, written and read by one rule.
//!
//! The program, its guests (providers and receivers, as WebAssembly) and engines all take the rule from here, so that no
//! payload is valid for one of them and not for another. `vectors/` holds payloads with the verdict on each, which every
//! one of them has in its tests.
//!
//! This crate never does I/O, keeps nothing, and never puts any of a payload into an error.

mod aws;
mod kafka;

pub use aws::{AwsCredentials, AwsError, aws_expiration};
pub use kafka::{KafkaToken, KafkaTokenError};
