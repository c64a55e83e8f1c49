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

mod brokers;
mod hostile;
mod librdkafka;
mod life;
mod pages;
mod tls;

#[test]
fn suite_includes_every_file() {
    deputy_test_harness::assert_modules(include_str!("main.rs"), "kafka", 7);
}
