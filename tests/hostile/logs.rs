//! What a component writes to the log is its own text, and nothing in it is more than text.

use deputy_core::grant::SecretGrant;

use crate::harness::{Case, host};

const VALUE: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

#[test]
fn log_secret_value() {
    let case = Case::new("log_secret_value").setting("secret", "key");
    let seen = case.secret("key", VALUE, SecretGrant::new(None, true)).obtain();
    assert_eq!(seen.report(), "wrote");
    let log = host().log_of_call(seen.call.id);
    assert_eq!(log.matches("here it is: ").count(), 2, "{log}");
    assert_eq!(log.matches("halves: ").count(), 2, "{log}");
    assert!(log.contains("the secret is "), "{log}");
    assert!(seen.call.log_tail.contains("here it is: "), "{:?}", seen.call.log_tail);
    let (left, right) = VALUE.split_at(VALUE.len() / 2);
    for text in [&log, &seen.call.log_tail, &format!("{seen:?}")] {
        assert!(!text.contains(left) && !text.contains(right), "{text}");
    }
}

#[test]
fn log_control_characters() {
    let seen = Case::new("log_control_characters").obtain();
    assert_eq!(seen.report(), "wrote");
    let log = host().log_of_call(seen.call.id);
    assert!(log.contains("before") && log.contains("after") && log.contains("not UTF-8"), "{log}");
    let forges = |c: char| (c.is_control() && c != '\n') || ['\u{202e}', '\u{2066}', '\u{2028}'].contains(&c);
    for text in [&log, &seen.call.log_tail] {
        assert!(!text.chars().any(forges), "{text:?}");
    }
    // Each of its lines says whose it is, also the one that was made to look like the host's.
    assert_eq!(log.lines().count(), 4, "{log}");
    assert!(log.lines().all(|line| line.contains("deputy::guest") && line.contains("instance=log-control-characters")));
}
