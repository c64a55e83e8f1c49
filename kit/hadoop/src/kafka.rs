//! Kafka's protocol, as far as delegation tokens need it: logins by SASL, and the three calls that create, renew and expire a
//! token.
//!
//! Requests have the last versions before Kafka's "flexible" ones, which brokers from 1.1 to 4.4 accept; only a token for
//! another user needs a flexible one (3.3 and later). A broker is hostile until its login is complete, and its lengths
//! always are.

mod client;
mod error;
pub mod host;
mod login;
mod messages;
mod primitives;
mod wire;

pub use client::KafkaClient;
pub use error::{KafkaError, KafkaErrorCode};
pub use login::{GssapiLogin, SaslLogin, TokenLogin, utf8};
pub use messages::{CreatedKafkaToken, KafkaPrincipal};

#[cfg(test)]
mod tests;
