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

#[test]
fn suite_includes_every_file() {
    let known = include_str!("main.rs");
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/kafka")).unwrap();
    let files = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let modules: Vec<String> = files.filter_map(|file| file.strip_suffix(".rs").map(str::to_owned)).collect();
    assert!(modules.len() >= 5, "files were lost: {modules:?}");
    for module in modules.iter().filter(|module| *module != "main") {
        assert!(known.contains(&format!("mod {module};")), "{module}.rs is no module of the tests");
    }
}
