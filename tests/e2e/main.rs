//! End to end: the real program, real servers, and clients that know nothing of Deputy.
//!
//! Each test runs `deputy` as an operator does, with a configuration of its own and an environment that holds nothing.
//! The programs and components come from `cargo xtask tools` and `cargo xtask guests`; a missing one is a failure.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "plain blocking test code: what is not as it should be ends the test"
)]

use deputy_test_harness::assert_modules;

mod authoring_page;
mod canary;
mod contract;
mod coordinator;
mod endpoint;
mod engine;
mod etcd_settings;
mod etcd_state;
mod examples;
mod faults;
mod file_source;
mod first_hour;
mod gate;
mod hadoop_conf;
mod hadoop_page;
mod health;
mod held;
mod hogs;
mod language_calls;
mod language_conformance;
mod languages;
mod lifecycle;
mod live_page;
mod live_page_tls;
mod loading;
mod local;
mod logins;
mod monitoring;
mod oauth_answers;
mod own_receivers;
mod page;
mod parallel;
mod receivers;
mod recorded;
mod recording;
mod refresh_token;
mod reload;
mod removal;
mod revocation;
mod revocation_owner;
mod s3;
mod script;
mod servers;
mod sts;
mod terminal;
mod unread;
mod wasmtime_cli;
mod workers;

#[test]
fn suite_includes_every_file() {
    assert_modules(include_str!("main.rs"), "e2e", 10);
    assert_modules(include_str!("faults.rs"), "e2e/faults", 11);
    assert_modules(include_str!("workers.rs"), "e2e/workers", 17);
}
