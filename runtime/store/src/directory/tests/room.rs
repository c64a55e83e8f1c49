//! Where there is no room, or no right to write.

use super::child::Other;
use std::os::unix::fs::DirBuilderExt as _;
use std::process::Command;

/// What gives a child a small file system of its own, which is gone with it.
fn mounting() -> Option<Vec<&'static str>> {
    const MOUNT: &str = "mount -t tmpfs -o size=64k,mode=700 none \"$DEPUTY_STORE_TEST_FOLDER\" && exec \"$@\"";
    let unshare: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["unshare", "--mount"],
        false => &["unshare", "--mount", "--user", "--map-root-user"],
    };
    let may = Command::new(unshare[0]).args(&unshare[1..]).args(["mount", "-t", "tmpfs", "none", "/mnt"]).output();
    may.is_ok_and(|may| may.status.success()).then(|| [unshare, &["sh", "-c", MOUNT, "sh"]].concat())
}

fn runs_to_its_end(part: &str, by: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    let mut other = Other::start_in(part, &state, by);
    assert_eq!(other.says().as_deref(), Some("done"));
    other.ends_well();
}

#[expect(clippy::print_stderr, reason = "who reads the log has to see what was not tested")]
fn on_a_small_disk(part: &str) {
    match mounting() {
        Some(by) => runs_to_its_end(part, &by),
        None => eprintln!("SKIPPED: this user may not mount a file system, so `{part}` was not tried on one"),
    }
}

#[test]
fn a_full_disk_is_refused_and_the_old_value_is_whole() {
    on_a_small_disk("fill");
}

#[test]
fn a_limit_on_the_size_of_files_is_refused_and_the_old_value_is_whole() {
    runs_to_its_end("fill", &["sh", "-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"]);
}

#[test]
fn a_file_system_that_became_read_only_is_refused_and_still_read() {
    on_a_small_disk("read-only");
}
