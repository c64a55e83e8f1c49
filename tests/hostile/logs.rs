//! What a component writes to the log is its own text, and nothing in it is more than text.

use deputy_core::failure::FailureNext;
use deputy_core::grant::SecretGrant;
use deputy_core::{Limit, PolicyDenial, SecretBytes, Tokens};
use deputy_sandbox::CallError;

use crate::harness::{Attack, AttackReport, host};

const VALUE: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

#[test]
fn log_secret_value() {
    let case = Attack::new("log-secret-value").setting("secret", "key");
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
fn log_payload_of_renewal() {
    let payload = "a-bearer-token-to-be-renewed";
    let case = Attack::new("log-payload-of-renewal");
    let calls = host().during_attack(|| {
        let provider = host().runtime.block_on(host().sandbox.load(&case.instance)).unwrap();
        let tokens = Tokens::new("hostile/1".parse().unwrap(), SecretBytes::new(payload.into()));
        let renewal = host().runtime.block_on(provider.renew(&tokens)).expect("it renews");
        assert_eq!(renewal.result.as_ref().map(|renewed| renewed.payload.expose()), Ok(b"renewed".as_slice()));
        let revocation = host().runtime.block_on(provider.revoke(&tokens)).expect("it revokes");
        let Err(CallError::Failure(failure)) = &revocation.result else { panic!("{:?}", revocation.result) };
        assert_eq!(failure.next, FailureNext::Denied);
        assert_eq!(failure.message, "revoking [secret payload] failed");
        [(renewal.id, renewal.log_tail), (revocation.id, revocation.log_tail)]
    });
    for (call, tail) in calls {
        let log = host().log_of_call(call);
        assert_eq!(log.matches("the payload is [secret payload]!").count(), 2, "{log}");
        assert_eq!(log.matches("[secret payload]").count(), 4, "{log}");
        assert_eq!(tail, "[secret payload]\n[secret payload]");
        let hex: String = payload.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!log.contains(payload) && !log.contains(&hex), "{log}");
    }
}

#[test]
fn log_control_characters() {
    let seen = Attack::new("log-control-characters").obtain();
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

/// The limit was passed, the component does not know, and the log ends with one line that says how much is missing.
#[track_caller]
fn log_ended_by(seen: &AttackReport, limit: Limit, dropped: u64) {
    assert_eq!(seen.call.denials, [PolicyDenial::Limit(limit)], "{seen:?}");
    assert_eq!(seen.report(), "wrote");
    assert!(seen.call.log_tail.len() <= 8 << 10, "{}", seen.call.log_tail.len());
    let log = host().log_of_call(seen.call.id);
    let last = log.lines().last().expect("a line");
    assert!(last.contains(&format!(" {dropped} lines over the limit `{limit}`")), "{last}");
    assert!(log.len() < 200 << 10, "{}", log.len());
}

#[test]
fn log_lines_million() {
    let seen = Attack::new("log-lines-million").obtain();
    log_ended_by(&seen, Limit::LogLines, 999_800);
    let log = host().log_of_call(seen.call.id);
    assert!(log.contains("line 0 ") && log.contains("line 199 ") && !log.contains("line 200 "), "{log}");
}

#[test]
fn log_lines_stdout() {
    let seen = Attack::new("log-lines-stdout").obtain();
    log_ended_by(&seen, Limit::LogLines, 200_000 - 200);
}

#[test]
fn log_bytes_long_lines() {
    let seen = Attack::new("log-bytes-long-lines").obtain();
    // Of each line 4 KiB are shown, and sixteen of these are the limit.
    log_ended_by(&seen, Limit::LogBytes, 50 - 16);
}

#[test]
fn log_bytes_no_newline() {
    let seen = Attack::new("log-bytes-no-newline").obtain();
    assert_eq!(seen.assert_not_denied().report(), "wrote");
    assert!(seen.call.log_tail.len() <= 8 << 10, "{}", seen.call.log_tail.len());
    let log = host().log_of_call(seen.call.id);
    assert!(log.lines().count() == 1 && log.len() < 5_000, "{} bytes", log.len());
}
