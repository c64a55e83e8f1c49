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

mod canary;
mod contract;
mod coordinator;
mod deputy;
mod endpoint;
mod engine;
mod faults;
mod file_source;
mod gate;
mod hadoop_conf;
mod hadoop_page;
mod health;
mod held;
mod hogs;
mod languages;
mod lifecycle;
mod loading;
mod local;
mod logins;
mod oauth_answers;
mod page;
mod parallel;
mod receivers;
mod recorded;
mod refresh_token;
mod reload;
mod removal;
mod revocation;
mod revocation_owner;
mod running;
mod s3;
mod script;
mod servers;
mod sts;
mod unread;
mod wasmtime_cli;
mod workers;

#[test]
fn suite_includes_every_file() {
    for (known, folder, least) in [
        (include_str!("main.rs"), "", 10),
        (include_str!("faults.rs"), "/faults", 11),
        (include_str!("workers.rs"), "/workers", 17),
    ] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/e2e").to_owned() + folder;
        let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let modules: Vec<String> = files.filter_map(|file| file.strip_suffix(".rs").map(str::to_owned)).collect();
        assert!(modules.len() >= least, "files were lost: {modules:?}");
        for module in modules.iter().filter(|module| *module != "main") {
            assert!(known.contains(&format!("mod {module};")), "{folder}/{module}.rs is no module of the tests");
        }
    }
}
