//! Hadoop's providers end to end: the real program in its sandbox, a real KDC and Hadoop's real servers, and Hadoop's own
//! clients, which have no ticket and know nothing of Deputy.
//!
//! Servers that several tests need are started once and outlive them all, since each is a JVM.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "plain blocking test code: what is not as it should be ends the test"
)]

mod cluster;
mod failover;
mod files;
mod hbase;
mod hive;
mod hostile;
mod obtained;
mod outages;
mod pages;
mod realms;
mod router;
mod rpc;
mod web;
mod yarn;

#[test]
fn suite_includes_every_file() {
    deputy_test_harness::assert_modules(include_str!("main.rs"), "hadoop", 15);
}
