//! The command line as a user sees it: exit code, stdout and stderr of each run, in one snapshot.
//!
//! Each test has a folder of its own, which is also its HOME, and runs the program in an environment that holds nothing
//! else. The provider is the real one for S3 (`cargo xtask guests` builds it), the service a few lines of HTTP. After
//! every run it is made sure that neither the operator's key nor the payload was shown or written anywhere but where
//! they were asked for.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "plain blocking test code: what is not as it should be ends the test"
)]

mod add;
mod bindings;
mod call;
mod check;
mod check_grants;
mod completions;
mod component_conformance;
mod component_records;
mod component_strangers;
mod component_test_servers;
mod component_tests;
mod component_watch;
mod components;
mod coordinator;
mod diff;
mod documents;
mod exec;
mod exec_restart;
mod get;
mod held;
mod home;
mod inspect;
mod obtain;
mod reference;
mod run;
mod service;
mod status;
mod usage;
mod worker;

#[test]
fn suite_includes_every_file() {
    deputy_test_harness::assert_modules(include_str!("runner.rs"), "cli", 8);
}
