#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

const RAW: [u8; 32] = *b"\n1234567890123456789012345678901";

#[expect(clippy::disallowed_methods, reason = "a test's own random numbers")]
fn random() -> Random {
    Arc::new(aws_lc_rs::rand::SystemRandom::new())
}

fn here() -> SourceContext {
    SourceContext::of_process()
}

#[test]
fn master_key_is_bytes_or_their_digits() {
    let hex = "0A31323334353637383930313233343536373839303132333435363738393031";
    let base64 = "CjEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let texts = [hex.to_owned(), hex.to_lowercase(), format!("{hex}\n"), base64.to_owned(), format!("{base64}\r\n")];
    for text in texts {
        assert_eq!(MasterKey::parse(text.as_bytes()).unwrap().0.expose(), RAW, "{text}");
    }
    assert_eq!(MasterKey::parse(base64.trim_end_matches('=').as_bytes()).unwrap().0.expose(), RAW);
    assert_eq!(MasterKey::parse(&RAW).unwrap().0.expose(), RAW);
    let url = "--__--__--__--__--__--__--__--__--__--__-_8";
    assert!(MasterKey::parse(url.as_bytes()).is_ok());
}

#[test]
fn master_key_that_is_malformed_or_weak_is_refused_unshown() {
    for text in ["", "hunter2", &"hunter2".repeat(9), "zz".repeat(32).as_str()] {
        let error = MasterKey::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, MasterKeyError::Form), "{text}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("openssl rand") && !shown.contains("hunter2"), "{shown}");
    }
    for key in [[0; 32], [0xff; 32], *b"correct horse battery staple 123", *b"0123456789abcdef0123456789abcdef"] {
        assert!(matches!(MasterKey::parse(&key), Err(MasterKeyError::Weak)));
    }
}

#[test]
fn master_key_debug_shows_nothing() {
    assert_eq!(format!("{:?}", MasterKey::parse(&RAW).unwrap()), "MasterKey");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test's own file")]
async fn master_key_in_raw_bytes_may_end_with_a_newline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let mut raw = RAW;
    raw.reverse();
    std::fs::write(&path, raw).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let key = MasterKey::read(&SecretSource::File(path.clone()), &here()).await.unwrap();
    assert_eq!(key.0.expose(), raw);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = MasterKey::read(&SecretSource::File(path), &here()).await.unwrap_err();
    assert!(matches!(error, MasterKeyError::Source(SourceError::File(FileError::Exposed { .. }))), "{error}");
}

#[tokio::test]
async fn master_key_file_is_read_back_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let key = MasterKey::generate_file(path.clone(), random()).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let read = MasterKey::read(&SecretSource::File(path.clone()), &here()).await.unwrap();
    assert_eq!(read.0.expose(), key.0.expose());
    let error = MasterKey::generate_file(path.clone(), random()).await.unwrap_err();
    assert!(matches!(error, MasterKeyError::Exists(_)), "{error}");
    let again = MasterKey::read(&SecretSource::File(path), &here()).await.unwrap();
    assert_eq!(again.0.expose(), key.0.expose());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
}

#[tokio::test]
async fn master_key_of_a_state_directory_is_not_replaced_if_lost() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let here = here();
    let of_state = || MasterKey::of_state(&state, &here, random());
    let (one, two) = tokio::join!(of_state(), of_state());
    let key = of_state().await.unwrap();
    assert_eq!(one.unwrap().0.expose(), key.0.expose());
    assert_eq!(two.unwrap().0.expose(), key.0.expose());
    drop(crate::DirectoryStore::open(&state, key, random()).await.unwrap());
    std::fs::remove_file(state.join("key")).unwrap();
    let error = of_state().await.unwrap_err();
    assert!(matches!(error, MasterKeyError::Gone(_)) && error.to_string().contains("put it back"), "{error}");
}

#[test]
fn master_key_derives_one_key_for_each_purpose() {
    let key = MasterKey::parse(&(0..32).map(|byte| byte * 7).collect::<Vec<u8>>()).unwrap();
    let other = MasterKey::parse(&(0..32).map(|byte| byte * 5).collect::<Vec<u8>>()).unwrap();
    let derived = key.derive("one").unwrap();
    assert_eq!(derived.len(), 32);
    assert_eq!(derived.expose(), key.derive("one").unwrap().expose());
    for different in [key.derive("two").unwrap(), other.derive("one").unwrap()] {
        assert_ne!(derived.expose(), different.expose());
    }
    assert_ne!(derived.expose(), key.0.expose());
}
