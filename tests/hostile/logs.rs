//! What a component writes to the log is its own text, and nothing in it is more than text.

use deputy_core::grant::SecretGrant;

use crate::harness::{Case, host};

const VALUE: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

#[test]
fn log_secret_value() {
    let case = Case::new("log_secret_value").setting("secret", "key");
    let seen = case.secret("key", VALUE, SecretGrant::new(None, true)).obtain();
    assert_eq!(seen.report(), "wrote");
    let log = host().log_of("log-secret-value");
    for line in ["the secret is ", "here it is: ", "halves: "] {
        assert!(log.contains(line), "{log}");
        assert!(seen.call.log_tail.contains(line) || line == "the secret is ", "{:?}", seen.call.log_tail);
    }
    assert!(!log.contains(VALUE) && !seen.call.log_tail.contains(VALUE), "{log}\n{:?}", seen.call.log_tail);
    assert!(!format!("{seen:?}").contains(VALUE));
}

#[test]
fn log_control_characters() {
    let seen = Case::new("log_control_characters").obtain();
    assert_eq!(seen.report(), "wrote");
    let log = host().log_of("log-control-characters");
    assert!(log.contains("before") && log.contains("after"), "{log}");
    let forges = |c: char| (c.is_control() && c != '\n') || ['\u{202e}', '\u{2066}', '\u{2028}'].contains(&c);
    for text in [&log, &seen.call.log_tail] {
        assert!(!text.chars().any(forges), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z")), "{text}");
    }
}

/// A log line says which instance wrote it, and a component can't write in the name of another.
#[test]
fn a_dropped_line_is_counted() {
    let seen = Case::new("log_lines_million").obtain();
    assert_eq!(seen.report(), "wrote");
    let log = host().log_of("log-lines-million");
    assert!(log.contains("line 0") && !log.contains("line 999999"), "{log}");
    assert!(log.contains("999800"), "the number of dropped lines is missing: {}", &log[log.len() - 500..]);
}
