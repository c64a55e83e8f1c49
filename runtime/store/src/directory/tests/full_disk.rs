//! No room, or no right to write.

#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::child::OtherProcess;
use std::os::unix::fs::DirBuilderExt as _;
use std::process::Command;

/// Gives a child a small file system of its own, which disappears with it.
fn mount_command() -> Option<Vec<&'static str>> {
    const MOUNT: &str = "mount -t tmpfs -o size=64k,mode=700 none \"$DEPUTY_STORE_TEST_STATE_DIR\" && exec \"$@\"";
    let unshare: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["unshare", "--mount"],
        false => &["unshare", "--mount", "--user", "--map-root-user"],
    };
    let may = Command::new(unshare[0]).args(&unshare[1..]).args(["mount", "-t", "tmpfs", "none", "/mnt"]).output();
    may.is_ok_and(|may| may.status.success()).then(|| [unshare, &["sh", "-c", MOUNT, "sh"]].concat())
}

fn run_to_the_end(part: &str, by: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    let mut other = OtherProcess::start_through(part, &state, by);
    assert_eq!(other.next_line().as_deref(), Some("done"));
    other.finish();
}

#[expect(clippy::print_stderr, reason = "a reader of the log has to see what was not tested")]
fn run_on_a_small_disk(part: &str) {
    match mount_command() {
        Some(by) => run_to_the_end(part, &by),
        None => eprintln!("SKIPPED: this user may not mount a file system, so `{part}` was not tried on one"),
    }
}

#[test]
fn put_on_a_full_disk_fails_and_keeps_the_old_value() {
    run_on_a_small_disk("fill");
}

#[test]
fn put_beyond_the_file_size_limit_keeps_the_old_value() {
    run_to_the_end("fill", &["sh", "-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"]);
}

#[test]
fn read_only_file_system_fails_writes_and_serves_reads() {
    run_on_a_small_disk("read-only");
}
