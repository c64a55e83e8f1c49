//! Clients of S3 that know nothing of Deputy, as `docs/clients.md` sets them up, while their keys really end.
//!
//! One SeaweedFS behind a proxy that ends each key, one coordinator, one worker, and all clients at once: each runs in the
//! environment and with the files that the page shows.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "plain blocking test code: what is not as it should be ends the test"
)]

mod client;
mod page;
mod programs;
mod rotations;
mod site;

#[test]
fn suite_includes_every_file() {
    deputy_test_harness::assert_modules(include_str!("main.rs"), "clients", 5);
}
