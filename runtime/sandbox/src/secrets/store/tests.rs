#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

fn name() -> SecretName {
    "key".parse().unwrap()
}

fn context() -> SourceContext {
    SourceContext::of_process()
}

fn store(source: SecretSource, now: fn() -> Timestamp) -> SecretStore {
    SecretStore::with(&BTreeMap::from([(name(), source)]), context(), now)
}

fn still() -> Timestamp {
    Timestamp::from_millis(0)
}

#[expect(clippy::disallowed_methods, reason = "a test's own file")]
fn put(path: &Path, contents: &str) {
    std::fs::write(path, contents).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A command that prints one more line each time, and how often it ran.
fn counter(folder: &Path) -> SecretSource {
    let file = folder.join("runs").display().to_string();
    let script = format!("sleep 0.05; echo run >> {file}; wc -l < {file}");
    SecretSource::Command(vec!["sh".into(), "-c".into(), script])
}

#[tokio::test]
async fn store_reads_a_file_at_each_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    put(&path, "first");
    let store = store(SecretSource::File(path.clone()), still);
    assert!(store.cached().is_empty());
    let first = store.value(&name()).await.unwrap();
    assert_eq!(first.expose(), b"first");
    assert!(Arc::ptr_eq(&first, &store.value(&name()).await.unwrap()), "an unchanged value is one piece of memory");
    // Of the same size, within the grain of a time stamp, into the same file.
    put(&path, "other");
    assert_eq!(store.value(&name()).await.unwrap().expose(), b"other");
    assert_eq!(first.expose(), b"first");
    let cached = store.cached();
    assert_eq!((cached.len(), cached[0].1.expose()), (1, b"other".as_slice()));
    std::fs::remove_file(&path).unwrap();
    let error = store.value(&name()).await.unwrap_err().to_string();
    assert!(error.contains("secret key: ") && error.contains("No such file"), "{error}");
}

#[tokio::test]
async fn store_keeps_the_output_of_a_command_for_a_minute() {
    static NOW: AtomicU64 = AtomicU64::new(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let store = store(counter(folder.path()), || Timestamp::from_millis(NOW.load(Ordering::Relaxed)));
    for (now, runs) in [(1_000_000, "1"), (1_059_999, "1"), (1_060_000, "2"), (1_060_001, "2"), (900_000, "3")] {
        NOW.store(now, Ordering::Relaxed);
        assert_eq!(store.value(&name()).await.unwrap().expose().trim_ascii(), runs.as_bytes(), "{now}");
    }
}

#[tokio::test]
async fn store_runs_a_command_once_for_concurrent_calls() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(counter(folder.path()), still);
    let name = name();
    let values = futures::future::join_all((0..8).map(|_| store.value(&name))).await;
    for value in values {
        assert_eq!(value.unwrap().expose().trim_ascii(), b"1");
    }
}

#[tokio::test]
async fn store_runs_a_failed_command_again() {
    let folder = tempfile::tempdir().unwrap();
    let flag = folder.path().join("flag");
    let script = format!("test -e {} && echo hunter2", flag.display());
    let store = store(SecretSource::Command(vec!["sh".into(), "-c".into(), script]), still);
    assert!(store.value(&name()).await.is_err());
    put(&flag, "");
    assert_eq!(store.value(&name()).await.unwrap().expose(), b"hunter2");
}

#[tokio::test]
async fn store_reads_a_variable_once() {
    static READS: AtomicU64 = AtomicU64::new(0);
    let variable = |_: &str| Some(format!("hunter{}", READS.fetch_add(1, Ordering::Relaxed)).into());
    let sources = BTreeMap::from([(name(), SecretSource::Environment("KEY".into()))]);
    let store = SecretStore::with(&sources, context().with_variables(variable), still);
    for _ in 0..3 {
        assert_eq!(store.value(&name()).await.unwrap().expose(), b"hunter0");
    }
}

#[tokio::test]
async fn store_error_names_the_missing_source() {
    let error = SecretStore::new(&BTreeMap::new()).value(&name()).await.unwrap_err().to_string();
    assert!(error.contains("secret key has no source"), "{error}");
}

#[tokio::test]
async fn store_check_reads_every_source() {
    let sources = BTreeMap::from([
        ("a".parse().unwrap(), SecretSource::File("/nowhere/key".into())),
        ("b".parse().unwrap(), SecretSource::Environment("PATH".into())),
    ]);
    let results = SecretStore::new(&sources).check().await;
    assert!(matches!(results[0].1, Err(SourceError::Read { .. })));
    assert!(results[1].1.is_ok());
    assert_eq!(results.len(), 2);
}
