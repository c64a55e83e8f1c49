#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;
use std::os::unix::fs::symlink;

#[expect(clippy::disallowed_methods, reason = "a test's own file")]
fn put(path: &Path, contents: &str) {
    std::fs::write(path, contents).unwrap();
}

#[tokio::test]
async fn fingerprint_changes_with_every_way_of_replacement() {
    let folder = tempfile::tempdir().unwrap();
    let [path, other, link] = ["token", "other", "link"].map(|name| folder.path().join(name));
    put(&path, "first");
    put(&other, "other");
    symlink(&path, &link).unwrap();
    let first = FileFingerprint::of_file(&path).await.unwrap();
    assert_eq!(FileFingerprint::of_file(&path).await.unwrap(), first);
    assert_eq!(FileFingerprint::of_file(&link).await.unwrap(), first, "links are followed");
    // A link that leads elsewhere.
    std::fs::remove_file(&link).unwrap();
    symlink(&other, &link).unwrap();
    assert_ne!(FileFingerprint::of_file(&link).await.unwrap(), first);
    // Another length.
    put(&path, "second");
    let second = FileFingerprint::of_file(&path).await.unwrap();
    assert_ne!(second, first);
    // Another file with the same length and the same time of writing, as `cp -p` and `mv` leave it.
    put(&other, "third!");
    let times = std::fs::FileTimes::new().set_modified(std::fs::metadata(&path).unwrap().modified().unwrap());
    std::fs::File::options().write(true).open(&other).unwrap().set_times(times).unwrap();
    std::fs::rename(&other, &path).unwrap();
    let third = FileFingerprint::of_file(&path).await.unwrap();
    assert_ne!(third, second);
    assert_eq!(third.modified(), second.modified());
}

#[tokio::test]
async fn fingerprint_has_the_time_of_the_last_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    put(&path, "first");
    let set = |time| {
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_times(std::fs::FileTimes::new().set_modified(time)).unwrap();
    };
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    set(epoch + std::time::Duration::from_millis(1_700_000_000_123));
    assert_eq!(FileFingerprint::of_file(&path).await.unwrap().modified(), Timestamp::from_millis(1_700_000_000_123));
    set(epoch - std::time::Duration::from_secs(5));
    assert_eq!(FileFingerprint::of_file(&path).await.unwrap().modified(), Timestamp::from_millis(0));
}

#[tokio::test]
async fn fingerprint_of_a_missing_file_fails_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = FileFingerprint::of_file(&folder.path().join("token")).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot read ") && error.ends_with("/token"), "{error}");
}
