#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::{FileError, FileRead, PrivateDir, StagedFile, Unusable, ambient};

#[test]
fn staged_file_appears_whole_or_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = PrivateDir::open(&folder.path().join("dir")).unwrap();
    drop(dir.stage(b"dropped").unwrap());
    dir.write("file", b"old").unwrap();
    dir.write("file", b"new").unwrap();
    assert_eq!(dir.names().unwrap(), ["file"]);
    let path = dir.path().join("file");
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn staged_file_never_replaces_a_file_that_must_be_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    ambient::create_file(&path, ".key-", b"first").unwrap();
    let error = ambient::create_file(&path, ".key-", b"second").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"first");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn private_dir_removes_what_a_crash_left() {
    let folder = tempfile::tempdir().unwrap();
    let dir = PrivateDir::open(&folder.path().join("dir")).unwrap();
    std::mem::forget(StagedFile::write(dir.dir(), ".staged-", b"half").unwrap());
    dir.write("file", b"whole").unwrap();
    assert_eq!(dir.remove_staged().unwrap(), 1);
    assert_eq!(dir.names().unwrap(), ["file"]);
}

#[test]
fn private_dir_follows_no_link_and_reads_within_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dir");
    let dir = PrivateDir::open(&path).unwrap();
    dir.write("file", b"12345").unwrap();
    symlink("file", path.join("link")).unwrap();
    assert!(matches!(dir.read("link", 9).unwrap(), FileRead::Unusable(Unusable::Irregular)));
    assert!(matches!(dir.read("file", 4).unwrap(), FileRead::Unusable(Unusable::TooLong)));
    assert!(matches!(dir.read("absent", 9).unwrap(), FileRead::Absent));
    symlink(&path, folder.path().join("elsewhere")).unwrap();
    let error = PrivateDir::open(&folder.path().join("elsewhere")).unwrap_err();
    assert!(matches!(error, FileError::NotADirectory(_)), "{error}");
}
