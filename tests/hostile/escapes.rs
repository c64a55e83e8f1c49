//! What a component could find in its surroundings, leave in them, or tell the operator: nothing, nothing, and nothing
//! that is not true.

use deputy_core::failure::FailureNext;
use deputy_core::grant::SecretGrant;
use deputy_core::{ByteSize, SecretBytes, Span, TokenExpiry, Tokens};
use deputy_sandbox::CallError;

use crate::harness::{Attack, ObtainReport, host};
use crate::servers::Server;

#[test]
fn environment_read() {
    let seen = Attack::new("environment-read").obtain();
    assert_eq!(seen.assert_not_denied().lines(), ["ok []", "ok []", "ok None", "err true"]);
}

#[test]
fn files_read() {
    let seen = Attack::new("files-read").obtain();
    // It found no folder to report, so its payload is empty.
    let is_empty = matches!(&seen.call.result, Err(CallError::Invalid(text)) if text.contains("the payload is empty"));
    assert!(is_empty, "{seen:?}");
    seen.assert_not_denied();
}

#[test]
fn files_forged_descriptor() {
    Attack::new("files-forged-descriptor").obtain().assert_trapped("handle").assert_not_denied();
}

#[test]
fn state_of_earlier_call() {
    let case = Attack::new("state-of-earlier-call");
    host().during_attack(|| {
        let provider = host().runtime.block_on(host().sandbox.load(&case.instance)).unwrap();
        let first = provider.obtained().report();
        assert!(first.starts_with("0 0 "), "{first}");
        for _ in 0..20 {
            assert_eq!(provider.obtained().report(), first);
        }
    });
    // Nor does another instance of the same component find anything.
    assert!(Attack::new("state-of-earlier-call").obtain().report().starts_with("0 0 "));
}

#[test]
fn operation_in_bare_question() {
    let (server, name) = (Server::good(), host().name(&["127.0.0.1"]));
    let url = format!("http://{name}:{}", server.port());
    let case = Attack::new("operation-in-bare-question").http(&url).setting("url", &url);
    let case = case.secret("key", "value", SecretGrant::new(None, true));
    host().during_attack(|| {
        let host = host();
        host.runtime.block_on(async {
            let provider = host.sandbox.load(&case.instance).await.unwrap();
            let service = provider.service_name().await;
            assert_eq!(service.result.unwrap().as_str(), "refused");
            assert_eq!(service.denials[0].code(), "secret-not-granted");
            let kinds: Vec<_> = provider.kinds().await.result.unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(kinds, ["hostile/1", "refused/1"]);
            let required = provider.tokens_required().await;
            let Err(CallError::Failure(failure)) = &required.result else { panic!("{:?}", required.result) };
            assert_eq!((failure.next, failure.message.as_str()), (FailureNext::Denied, "err HttpRequestDenied"));
            assert_eq!(required.denials[0].code(), "host-not-granted");
            assert_eq!(server.heard(), [""; 0]);
            // The grant itself is good.
            let obtained = provider.obtain().await.result.unwrap();
            assert_eq!(obtained.payload.expose(), b"true\nok 200 hello");
        });
    });
}

#[test]
fn service_name_odd() {
    let case = Attack::new("service-name-odd");
    host().during_attack(|| {
        let provider = host().runtime.block_on(host().sandbox.load(&case.instance)).unwrap();
        let call = host().runtime.block_on(provider.service_name());
        let Err(CallError::Invalid(text)) = call.result else { panic!("{:?}", call.result) };
        assert!(text.len() < 1000 && !text.chars().any(char::is_control), "{text:?}");
    });
}

#[test]
fn error_text_full_of_secrets() {
    let value = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let case = Attack::new("error-text-full-of-secrets").setting("secret", "key");
    let seen = case.secret("key", value, SecretGrant::new(None, true)).obtain();
    let Err(CallError::Failure(failure)) = &seen.call.result else { panic!("{seen:?}") };
    let text = &failure.message;
    assert!(!text.contains(value), "{text}");
    assert!(text.len() <= 4096, "{} bytes", text.len());
    let forges = |c: char| c.is_control() || ['\u{202e}', '\u{2066}', '\u{2028}'].contains(&c);
    assert!(!text.chars().any(forges), "{text:?}");
    assert!(!format!("{seen:?}").contains(value));
}

#[test]
fn path_holds_secret() {
    let (server, name, value) = (Server::good(), host().name(&["127.0.0.1"]), "mF2hI5dSovUW45DFonzg63TF");
    let url = format!("http://{name}:{}", server.port());
    let case = Attack::new("path-holds-secret").setting("secret", "key").setting("url", &url);
    let case = case.secret("key", value, SecretGrant::new(None, true)).http_with(&url, |rule| {
        rule.methods = vec!["GET".parse().unwrap()];
        rule.networks = vec!["loopback".parse().unwrap()];
    });
    let seen = case.obtain();
    assert!(seen.lines()[0].starts_with("ok 200 "), "{seen:?}");
    seen.assert_denied(&["host-not-granted", "method-not-granted", "name-not-granted", "secret-not-granted"]);
    let report = seen.call.result.as_ref().map(|_| "").map_err(|error| error.to_string());
    let known = format!("{:?} {:?} {:?} {report:?}", seen.events, seen.call.denials, seen.call.log_tail);
    assert!(!known.to_lowercase().contains(&value.to_lowercase()), "the operator's records hold a secret: {known}");
    assert!(!host().log_of_call(seen.call.id).to_lowercase().contains(&value.to_lowercase()));
}

#[test]
fn error_text_for_ever() {
    let seen = Attack::new("error-text-for-ever").setting("message", "later").obtain();
    let Err(CallError::Failure(failure)) = &seen.call.result else { panic!("{seen:?}") };
    assert_eq!((failure.next, failure.retry_after), (FailureNext::Throttled, Some(Span::millis(u64::MAX))));
    assert!(failure.to_string().contains("later"));
}

#[test]
fn payload_valid_for_ever() {
    let seen = Attack::new("payload-valid-for-ever").obtain();
    let Tokens { payload, expiry, .. } = seen.call.result.as_ref().unwrap();
    assert_eq!(payload.expose(), b"tokens");
    let TokenExpiry::At(until) = *expiry else { panic!("{expiry:?}") };
    assert_eq!(until.as_millis(), u64::MAX);
    assert_eq!(until.to_string(), "never");
}

/// Tokens are handed to a renewal whole, whatever its component makes of them.
#[test]
fn tokens_that_are_passed_to_a_component_are_within_its_limits() {
    let case = Attack::new("cpu-endless-renewal").limits(|l| (l.cpu, l.memory) = (Span::millis(100), ByteSize::mib(4)));
    host().during_attack(|| {
        let host = host();
        let provider = host.runtime.block_on(host.sandbox.load(&case.instance)).unwrap();
        let tokens = Tokens::new("hostile/1".parse().unwrap(), SecretBytes::new(vec![b'x'; 8 << 20]));
        let call = host.runtime.block_on(provider.renew(&tokens)).expect("it renews");
        assert_eq!(call.result.unwrap_err(), CallError::Limit(deputy_core::Limit::Memory));
    });
}
