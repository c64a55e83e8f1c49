//! Every hostile component against the sandbox that production uses: one guest, one test, both of one name.
//!
//! A test asserts the exact limit or the refusal's code, in what the operator sees and in the audit log, and what
//! the guest itself saw; the harness then shows that the host serves the next call as it served the first. That every
//! limit and every refusal has a guest is for `cargo xtask tidy` to see.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    let_underscore_drop,
    reason = "a test stops where it fails, owns all that it starts, and reads the real time"
)]

mod bombs;
mod components;
mod contract;
mod deadlines;
mod descriptions;
mod escapes;
mod harness;
mod http;
mod jwt;
mod kerberos;
mod limits;
mod logs;
mod memory_state;
mod negotiate;
mod receivers;
mod receiving;
mod secrets;
mod servers;
mod sockets;
mod surroundings;
mod tangled;
mod tls;
mod traps;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Fewer guests than these, and the folder is the wrong one.
const LEAST_GUESTS: usize = 160;

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
    stems(&folder).iter().map(|stem| fs::read_to_string(folder.join(stem).with_extension("rs")).unwrap()).collect()
}

#[test]
fn suite_has_a_test_for_every_guest() {
    let (guests, sources) = (stems(&tests_folder().join("guests/examples")), sources());
    assert!(guests.len() >= LEAST_GUESTS, "only {} guests", guests.len());
    let tested = |guest: &&String| sources.contains(&format!("#[test]\nfn {guest}() {{"));
    let untested: Vec<_> = guests.iter().filter(|guest| !guest.starts_with("benign")).filter(|g| !tested(g)).collect();
    assert!(untested.is_empty(), "guests without a test: {untested:?}");
}
