//! The provider `kafka` and the receiver `kafka-client` end to end: the real program in its sandbox, a real broker, and Kafka's
//! own clients, which have neither a password nor a ticket and know nothing of Deputy.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "plain blocking test code: what is not as it should be ends the test"
)]

#[path = "../e2e/deputy.rs"]
#[allow(dead_code, reason = "the end-to-end tests use all of it")]
mod deputy;
mod hostile;
mod life;
#[path = "../e2e/running.rs"]
#[allow(dead_code, reason = "the end-to-end tests use all of it")]
mod running;
mod site;
mod tls;
#[path = "../hadoop/worker.rs"]
#[allow(dead_code, reason = "the tests of Hadoop use all of it")]
mod worker;
