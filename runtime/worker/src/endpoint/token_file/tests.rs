#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::SystemRandom;
use deputy_core::Timestamp;
use deputy_core::time::{Clock, MonotonicTime, Now};

/// Replaces a file as a program that rotates tokens does.
#[expect(clippy::disallowed_methods, reason = "a file that only this test reads")]
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
    fs::rename(new, path).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a test brings the randomness")]
async fn open(path: &Path, time: &Arc<AtomicU64>) -> TokenFile {
    let time = Arc::clone(time);
    let clock: Arc<dyn Clock> = Arc::new(move || Now {
        mono: MonotonicTime::default(),
        wall: Timestamp::from_millis(time.load(Ordering::SeqCst)),
    });
    TokenFile::open(path, &SystemRandom::new(), &SourceContext::of_process(), clock).await.unwrap()
}

#[tokio::test]
async fn token_file_is_followed_when_it_is_replaced() {
    let (folder, time) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU64::new(1_000_000)));
    let path = folder.path().join("token");
    replace(&path, "the-first-token-of-all");
    let token = open(&path, &time).await;
    assert!(token.matches(b"the-first-token-of-all").await);
    replace(&path, "the-second-token-of-all");
    assert!(!token.matches(b"the-first-token-of-all").await);
    assert!(token.matches(b"the-second-token-of-all").await);
}

#[tokio::test]
async fn token_file_that_is_unusable_ends_its_token_after_a_while() {
    let (folder, time) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU64::new(1_000_000)));
    let path = folder.path().join("token");
    replace(&path, "the-first-token-of-all");
    let token = open(&path, &time).await;
    for broken in [Some("short"), Some(""), None] {
        match broken {
            Some(text) => replace(&path, text),
            None => fs::remove_file(&path).unwrap(),
        }
        assert!(token.matches(b"the-first-token-of-all").await, "{broken:?}");
    }
    time.fetch_add(60_000, Ordering::SeqCst);
    assert!(!token.matches(b"the-first-token-of-all").await);
    assert!(!token.matches(b"").await && !token.matches(b"short").await);
    replace(&path, "the-first-token-of-all");
    assert!(token.matches(b"the-first-token-of-all").await, "the file is valid again");
}
