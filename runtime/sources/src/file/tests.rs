#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;
use deputy_core::ByteSize;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use tempfile::TempDir;

/// Bytes that a secret may have.
const KEY: usize = 64 << 10;

/// A folder with a file `key` in it.
fn folder(contents: &[u8], mode: u32) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    put(&path, contents, mode);
    (folder, path)
}

#[expect(clippy::disallowed_methods, reason = "a test's own file")]
fn put(path: &Path, contents: &[u8], mode: u32) {
    std::fs::write(path, contents).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn of(owner: u32, mode: u32) -> Access {
    Access { owner, group: 0, mode }
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn value(path: &Path) -> Vec<u8> {
    read_now(path, ValueShape::SECRET, me()).unwrap().0.expose().to_vec()
}

#[test]
fn file_value_has_no_final_newline() {
    for (contents, expected) in [
        ("hunter2", "hunter2"),
        ("hunter2\n", "hunter2"),
        ("hunter2\r\n", "hunter2"),
        ("hunter2\n\n", "hunter2\n"),
        (" hunter2 \n", " hunter2 "),
        ("\nhunter2\r", "\nhunter2\r"),
    ] {
        let (_folder, path) = folder(contents.as_bytes(), 0o600);
        assert_eq!(value(&path), expected.as_bytes());
    }
}

#[test]
fn file_without_a_value_is_refused() {
    for contents in ["", "\n", "\r\n"] {
        let (_folder, path) = folder(contents.as_bytes(), 0o600);
        assert!(matches!(read_now(&path, ValueShape::SECRET, me()), Err(SourceError::Empty(_))));
    }
}

#[test]
fn file_of_bytes_is_read_unchanged_and_bounded() {
    let shape = ValueShape::bytes(ByteSize::mib(1));
    let contents = [vec![b'a'; (1 << 20) - 2], b"\r\n".to_vec()].concat();
    let (_folder, path) = folder(&contents, 0o600);
    assert_eq!(read_now(&path, shape, me()).unwrap().0.expose(), contents);
    put(&path, &vec![b'a'; (1 << 20) + 1], 0o600);
    let error = read_now(&path, shape, me()).unwrap_err().to_string();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn file_value_comes_with_its_fingerprint() {
    let (_folder, path) = folder(b"hunter2", 0o600);
    let (_, fingerprint) = read_now(&path, ValueShape::SECRET, me()).unwrap();
    assert_eq!(FileFingerprint::of_file(&path).await.unwrap(), fingerprint);
    put(&path, b"hunter22", 0o600);
    assert_ne!(FileFingerprint::of_file(&path).await.unwrap(), fingerprint);
}

#[test]
fn file_size_is_bounded() {
    let (_folder, path) = folder(&vec![b'a'; KEY], 0o600);
    assert_eq!(value(&path).len(), KEY);
    for size in [KEY + 1, KEY + 3, 1 << 20] {
        put(&path, &vec![b'a'; size], 0o600);
        assert!(matches!(read_now(&path, ValueShape::SECRET, me()), Err(SourceError::Size { .. })), "{size}");
    }
}

#[test]
fn file_open_to_others_is_refused_with_the_fixing_command() {
    for mode in [0o644, 0o604, 0o640, 0o602, 0o620, 0o601, 0o666] {
        let (_folder, path) = folder(b"hunter2", mode);
        let error = read_now(&path, ValueShape::SECRET, me()).unwrap_err().to_string();
        assert!(error.contains(&format!("`chmod 600 {}`", path.display())), "{error}");
        assert!(error.contains(&format!("{mode:04o}")), "{error}");
        // And the command does mend it.
        put(&path, b"hunter2", 0o600);
        assert_eq!(value(&path), b"hunter2");
    }
    let (_folder, path) = folder(b"hunter2", 0o400);
    assert_eq!(value(&path), b"hunter2");
}

#[test]
fn file_owner_decides_which_modes_are_accepted() {
    let path = Path::new("/run/key");
    let (us, root, other) = (1000, 0, 1001);
    for (owner, user, mode, ok) in [
        (us, us, 0o600, true),
        (us, us, 0o440, false),
        (root, us, 0o600, true),
        (root, us, 0o440, true), // systemd's mask, fsGroup
        (root, us, 0o640, true),
        (root, us, 0o660, false),
        (root, us, 0o644, false),
        (root, us, 0o604, false),
        (root, root, 0o600, true),
        (root, root, 0o640, false),
        (other, us, 0o600, false),
        (other, us, 0o400, false),
        (us, root, 0o600, false),
    ] {
        assert_eq!(check(path, of(owner, mode), user, Medium::Other).is_ok(), ok, "{owner} {user} {mode:o}");
    }
    let error = check(path, of(other, 0o600), us, Medium::Other).unwrap_err().to_string();
    assert!(error.contains("`sudo chown 1000 /run/key && sudo chmod 600 /run/key`"), "{error}");
    let error = check(path, of(root, 0o644), us, Medium::Other).unwrap_err().to_string();
    assert!(error.contains("`sudo chmod 640 /run/key`"), "{error}");
}

#[test]
fn file_in_a_volume_may_be_readable_as_the_platform_sets_it() {
    let path = Path::new("/var/run/secrets/token");
    let (us, root, other) = (1000, 0, 1001);
    for (owner, user, mode, ok) in [
        (root, us, 0o644, true),
        (root, root, 0o644, true),
        (root, us, 0o444, true),
        (root, us, 0o440, true),
        (root, us, 0o646, false),
        (root, us, 0o664, false),
        (us, us, 0o600, true),
        (us, us, 0o644, false),
        (other, us, 0o644, false),
    ] {
        assert_eq!(check(path, of(owner, mode), user, Medium::Volume).is_ok(), ok, "{owner} {user} {mode:o}");
    }
    let error = check(path, of(root, 0o664), us, Medium::Volume).unwrap_err().to_string();
    assert!(error.ends_with("set `defaultMode: 0440` for its volume") && !error.contains("chmod"), "{error}");
    let (_folder, file) = folder(b"hunter2", 0o600);
    assert_eq!(Medium::of(&std::fs::File::open(file).unwrap()), Medium::Other);
}

#[test]
fn file_behind_a_link_is_read_and_checked() {
    let (folder, path) = folder(b"hunter2", 0o600);
    // As Kubernetes does: key -> ..data/key, ..data -> a folder with a date.
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    assert_eq!(value(&link), b"hunter2");
    put(&path, b"hunter2", 0o644);
    assert!(matches!(read_now(&link, ValueShape::SECRET, me()), Err(SourceError::File(FileError::Exposed { .. }))));
    let dangling = folder.path().join("dangling");
    symlink("nowhere", &dangling).unwrap();
    let error = read_now(&dangling, ValueShape::SECRET, me()).unwrap_err();
    assert!(error.to_string().contains(&format!("cannot read {}", dangling.display())), "{error}");
}

#[test]
fn file_that_is_not_regular_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, expected) in [(folder.path(), "a directory"), (&fifo, "a fifo"), (Path::new("/dev/null"), "a device")] {
        let error = read_now(path, ValueShape::SECRET, me()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(matches!(read_now(&socket, ValueShape::SECRET, me()), Err(SourceError::Read { .. })));
}
