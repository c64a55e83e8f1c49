#![expect(clippy::disallowed_methods, reason = "a test has its own random numbers")]

use std::sync::atomic::{AtomicU64, Ordering};

use deputy_core::Timestamp;
use deputy_core::time::Now;

use super::*;

fn access(address: &str) -> (PageAccess, Arc<AtomicU64>) {
    let millis = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&millis);
    let clock =
        move || Now { wall: Timestamp::from_millis(0), mono: MonotonicTime::from_millis(read.load(Ordering::Relaxed)) };
    let random: Random = Arc::new(aws_lc_rs::rand::SystemRandom::new());
    let address = PageAddress { listen: address.parse().unwrap(), tls: None };
    (PageAccess::new(address, random, Arc::new(clock)), millis)
}

fn token(access: &PageAccess) -> String {
    let url = access.url().unwrap_or_else(|error| panic!("{error}")).url;
    url.split_once("?token=").unwrap().1.to_owned()
}

#[test]
fn page_link_opens_once_and_becomes_a_session() {
    let (access, _) = access("127.0.0.1:8270");
    let token = token(&access);
    assert_eq!(token.len(), 64);
    let session = access.open(&token).unwrap();
    assert!(access.admits(&session) && session != token);
    assert_eq!(access.open(&token), None, "a URL is used up");
    assert!(!access.admits(&token) && !access.admits(""));
    assert_eq!(access.open(&session), None, "a session is no URL");
}

#[test]
fn page_urls_and_sessions_end() {
    let (access, millis) = access("[::1]:8270");
    let (late, used) = (token(&access), token(&access));
    let session = access.open(&used).unwrap();
    millis.store(URL_LIFE.as_millis(), Ordering::Relaxed);
    assert_eq!(access.open(&late), None);
    assert!(access.admits(&session));
    millis.store(SESSION_LIFE.as_millis(), Ordering::Relaxed);
    assert!(!access.admits(&session));
}

#[test]
fn page_urls_and_sessions_are_bounded() {
    let (access, _) = access("127.0.0.1:8270");
    let urls: Vec<_> = (0..=MAX_URLS).map(|_| token(&access)).collect();
    assert_eq!(access.open(&urls[0]), None, "the oldest makes room");
    let first = access.open(&urls[1]).unwrap();
    let others: Vec<_> = (0..MAX_SESSIONS).map(|_| access.open(&token(&access)).unwrap()).collect();
    assert!(!access.admits(&first), "the oldest makes room");
    assert!(others.iter().all(|session| access.admits(session)));
}

#[test]
fn page_is_closed_where_other_machines_can_connect() {
    for address in ["0.0.0.0:8270", "[::]:8270", "192.0.2.1:8270", "[::ffff:192.0.2.1]:8270"] {
        let (access, _) = access(address);
        let error = access.url().err().unwrap();
        assert_eq!(error.kind, "misconfigured");
        assert!(error.message.contains("`health = \"127.0.0.1:8270\"` in [coordinator]"), "{error}");
        assert!(!access.address.is_open());
    }
    assert!(access("[::ffff:127.0.0.1]:1").0.address.is_open());
}
