#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

use std::fs;
use std::os::unix::fs::symlink;

use aws_lc_rs::rand::SystemRandom;

#[expect(clippy::disallowed_methods, reason = "a test brings the randomness")]
fn random() -> SystemRandom {
    SystemRandom::new()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

async fn open(path: &Path) -> Result<EndpointToken, EndpointTokenError> {
    EndpointToken::open(path, &random(), &SourceContext::of_process()).await
}

#[expect(clippy::disallowed_methods, reason = "a file that only this test reads")]
fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn token_that_is_missing_is_created_for_its_owner_alone() {
    let folder = folder();
    let path = folder.path().join("token");
    let token = open(&path).await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let is_hexadecimal = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(is_hexadecimal, "libraries would send a line break");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(token.matches(text.as_bytes()) && !token.matches(b"") && !token.matches(&text.as_bytes()[1..]));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    assert_eq!(format!("{token:?}"), "[token]");
}

#[tokio::test]
async fn token_that_exists_is_kept() {
    let folder = folder();
    let path = folder.path().join("token");
    write(&path, "the-operators-own-token", 0o600);
    assert!(open(&path).await.unwrap().matches(b"the-operators-own-token"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "the-operators-own-token");
    create(&path, &random()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "the-operators-own-token", "an existing file is not replaced");
}

#[tokio::test]
async fn token_that_is_exposed_weak_or_not_sendable_is_refused() {
    let folder = folder();
    let path = folder.path().join("token");
    for (text, mode) in [
        ("the-operators-own-token", 0o644),
        ("the-operators-own-token\n", 0o600),
        ("the operators own token", 0o600),
        ("the-\u{fc}nusual-token-of-operators", 0o600),
        ("short", 0o600),
        ("", 0o600),
    ] {
        write(&path, text, mode);
        let error = open(&path).await.unwrap_err();
        let text = text.trim();
        assert!(text.is_empty() || !format!("{error} {error:?}").contains(text), "{error:?}");
    }
    assert!(matches!(open(folder.path()).await, Err(EndpointTokenError::Read(_))));
    let nowhere = folder.path().join("none/token");
    assert!(matches!(open(&nowhere).await, Err(EndpointTokenError::Write { .. })));
    // A link to nothing is not followed to make a file elsewhere.
    let link = folder.path().join("link");
    symlink(folder.path().join("elsewhere"), &link).unwrap();
    assert!(open(&link).await.is_err());
    assert!(!folder.path().join("elsewhere").exists());
}
