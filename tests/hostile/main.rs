//! Every hostile component against the sandbox that production uses: one guest, one test, both of one name.
//!
//! A test asserts the exact limit or the refusal's code, in what the operator is told and in the audit log, and what
//! the guest itself saw; the harness then shows that the host serves the next call as it served the first.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    let_underscore_drop,
    reason = "a test stops where it fails, owns all that it starts, and lies to nobody about the time"
)]

mod bombs;
mod components;
mod escapes;
mod harness;
mod http;
mod limits;
mod logs;
mod secrets;
mod servers;
mod sockets;
mod traps;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use deputy_core::Limit;

/// Fewer guests than these, and the folder is the wrong one.
const LEAST_GUESTS: usize = 100;

/// Every code of a refusal, in the order of `Refusal::code`.
const REFUSALS: [&str; 26] = [
    "address-not-granted",
    "algorithm-not-granted",
    "audience-not-granted",
    "day-not-granted",
    "host-not-granted",
    "issuer-not-granted",
    "lifetime-not-granted",
    "over-limit",
    "listening-not-allowed",
    "method-not-granted",
    "name-not-granted",
    "operation-not-granted",
    "path-not-granted",
    "port-not-granted",
    "region-not-granted",
    "scheme-not-granted",
    "secret-not-granted",
    "service-not-granted",
    "socket-not-granted",
    "odd-host",
    "odd-method",
    "odd-path",
    "odd-port",
    "odd-scheme",
    "userinfo-not-allowed",
    "udp-not-allowed",
];

fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

/// File stems of the Rust files of a folder.
fn stems(folder: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn sources() -> String {
    let folder = tests_folder().join("hostile");
    let read = |stem: &String| fs::read_to_string(folder.join(stem).with_extension("rs")).unwrap();
    stems(&folder).iter().filter(|stem| *stem != "main").map(read).collect()
}

#[test]
fn every_guest_has_a_test_of_its_name() {
    let (guests, sources) = (stems(&tests_folder().join("guests/examples")), sources());
    assert!(guests.len() >= LEAST_GUESTS, "only {} guests", guests.len());
    let tested = |guest: &&String| sources.contains(&format!("#[test]\nfn {guest}() {{"));
    let untested: Vec<_> = guests.iter().filter(|guest| !guest.starts_with("benign")).filter(|g| !tested(g)).collect();
    assert!(untested.is_empty(), "guests without a test: {untested:?}");
}

#[test]
fn every_limit_has_a_guest_that_attacks_it() {
    let guests = stems(&tests_folder().join("guests/examples"));
    let attacked = |limit: &Limit| {
        let prefix = format!("{}_", limit.key().replace('-', "_"));
        guests.iter().any(|guest| guest.starts_with(&prefix))
    };
    assert!(Limit::ALL.len() >= 22);
    let safe: Vec<_> = Limit::ALL.iter().filter(|limit| !attacked(limit)).collect();
    assert!(safe.is_empty(), "limits that no guest attacks: {safe:?}");
}

#[test]
fn every_refusal_has_a_test_that_names_its_code() {
    let refusal = fs::read_to_string(tests_folder().join("../runtime/core/src/refusal.rs")).unwrap();
    let codes = refusal.split("fn code(&self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let codes: Vec<_> = codes.split('"').skip(1).step_by(2).collect();
    assert_eq!(codes, REFUSALS, "a new refusal needs a guest");
    let sources = sources();
    let named = |code: &&&str| **code == "over-limit" || sources.contains(&format!("\"{code}\""));
    let untested: Vec<_> = REFUSALS.iter().filter(|code| !named(code)).collect();
    assert!(untested.is_empty(), "refusals without a test: {untested:?}");
}
