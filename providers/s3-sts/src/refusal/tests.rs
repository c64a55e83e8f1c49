use super::*;
use deputy_kit::types::Next;

fn of_body(status: u16, headers: &[(&str, &str)], body: &str) -> Failure {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    of(StsOperation::AssumeRole, &Response { status, headers, body: body.as_bytes().to_vec() }, 1_440_938_160_000)
}

fn of_error(status: u16, code: &str, message: &str) -> Failure {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    of_body(status, &[], &body)
}

#[track_caller]
fn text(failure: Failure, next: Next) -> String {
    assert_eq!(failure.next, next, "{failure:?}");
    failure.message
}

#[track_caller]
fn denied(failure: Failure) -> String {
    text(failure, Next::Denied)
}

#[test]
fn refusal_for_wrong_keys_or_permissions_is_denied() {
    for (status, code) in [
        (403, "AccessDenied"),
        (403, "InvalidClientTokenId"),
        (403, "SignatureDoesNotMatch"),
        (400, "ExpiredToken"),
        (400, "ExpiredTokenException"),
        (403, "IDPRejectedClaim"),
        (400, "InvalidIdentityToken"),
        (403, "MissingAuthenticationToken"),
        (400, "OptInRequired"),
        (403, "a code of tomorrow"),
    ] {
        assert_eq!(denied(of_error(status, code, "no")), format!("AssumeRole: {status} {code}: no"));
    }
}

#[test]
fn refusal_by_seaweedfs_is_denied() {
    assert_eq!(denied(of_error(403, "Unknown", "signature mismatch")), "AssumeRole: 403 Unknown: signature mismatch");
}

#[test]
fn refusal_with_a_throttling_code_is_throttled() {
    for code in THROTTLED {
        let failure = of_error(400, code, "Rate exceeded");
        assert_eq!(failure.retry_after_ms, None);
        assert_eq!(text(failure, Next::Throttled), format!("AssumeRole: 400 {code}: Rate exceeded"));
    }
}

#[test]
fn refusal_honours_retry_after() {
    for status in [429, 503] {
        let failure = of_body(status, &[("retry-after", "17")], "");
        assert_eq!((failure.next, failure.retry_after_ms), (Next::Throttled, Some(17_000)), "{status}");
    }
    let failure = of_body(429, &[], "");
    assert_eq!((failure.next, failure.retry_after_ms), (Next::Throttled, None));
    assert_eq!(text(of_body(503, &[], ""), Next::Unavailable), "AssumeRole: 503 without an error of STS");
}

#[test]
fn refusal_honours_retry_after_dates_and_fractions() {
    for (value, expected) in [("Sun, 30 Aug 2015 12:38:00 GMT", Some(120_000)), ("1.5", Some(1500)), ("soon", None)] {
        let failure = of_body(429, &[("retry-after", value)], "");
        assert_eq!((failure.next, failure.retry_after_ms), (Next::Throttled, expected), "{value}");
    }
}

#[test]
fn refusal_for_an_unreachable_identity_provider_is_unavailable() {
    let message = "Couldn't retrieve verification key from your identity provider,  please reference \
                   AssumeRoleWithWebIdentity documentation for requirements";
    let failure = of_error(400, "InvalidIdentityToken", message);
    assert_eq!(failure.code.as_deref(), Some("InvalidIdentityToken"));
    assert!(text(failure, Next::Unavailable).contains("InvalidIdentityToken"));
    denied(of_error(400, "InvalidIdentityToken", "The ID Token provided is not a valid JWT."));
}

#[test]
fn refusal_that_no_retry_fixes_is_misconfigured() {
    for code in MISCONFIGURED {
        let failure = of_error(400, code, "no");
        assert_eq!((failure.next, failure.code.as_deref()), (Next::Misconfigured, Some(code)));
    }
}

#[test]
fn refusal_names_the_setting_that_its_code_is_about() {
    for (code, setting) in [
        ("MalformedPolicyDocument", Some("policy")),
        ("PackedPolicyTooLargeException", Some("policy")),
        ("RegionDisabledException", Some("region")),
        ("ValidationError", None),
    ] {
        assert_eq!(of_error(400, code, "no").setting.as_deref(), setting, "{code}");
    }
}

#[test]
fn refusal_shows_the_request_s_id() {
    let facts = of_error(400, "ExpiredToken", "no").facts;
    assert!(matches!(facts.as_slice(), [fact] if fact.name == "request-id" && fact.value == "1"), "{facts:?}");
    assert!(of_body(403, &[], "<Error><Code>AccessDenied</Code></Error>").facts.is_empty());
}

#[test]
fn refusal_by_a_server_error_is_unavailable() {
    for code in UNAVAILABLE {
        assert_eq!(of_error(400, code, "no").next, Next::Unavailable, "{code}");
    }
    for status in [408, 425, 500, 502, 503, 504, 204, 999] {
        assert_eq!(of_body(status, &[], "<html>").next, Next::Unavailable, "{status}");
    }
}

#[test]
fn refusal_for_the_clock_says_so() {
    let expected = "; compare this machine's clock with the time of AWS";
    for code in ["RequestExpired", "RequestTimeTooSkewed"] {
        assert!(denied(of_error(400, code, "no")).ends_with(expected));
    }
    let message =
        "Signature expired: 20150830T123600Z is now earlier than 20261122T180000Z (20261122T181500Z - 15 min.)";
    assert!(denied(of_error(403, "SignatureDoesNotMatch", message)).ends_with(expected));
    assert!(!denied(of_error(403, "SignatureDoesNotMatch", "The request signature we calculated")).contains("clock"));
}

#[test]
fn refusal_for_a_missing_token_points_to_the_rule() {
    let message = "1 validation error detected: Value null at 'webIdentityToken' failed to satisfy constraint";
    let text = text(of_error(400, "ValidationError", message), Next::Misconfigured);
    assert!(text.ends_with("; the host adds this field: look at `form` in the instance's http rule"), "{text}");
}

#[test]
fn refusal_by_redirect_is_denied() {
    let text = denied(of_body(302, &[("location", "https://login.example/")], ""));
    assert_eq!(text, "AssumeRole: 302 without an error of STS; look at `endpoint`");
}

#[test]
fn refusal_quotes_only_errors_of_sts() {
    for body in ["<html><body>token=abc</body></html>", "token=abc", "{\"Error\":{\"Code\":\"abc\"}}", "\u{0}\u{1}"] {
        let text = denied(of_body(403, &[], body));
        assert_eq!(text, "AssumeRole: 403 without an error of STS; look at `endpoint`");
    }
}

#[test]
fn refusal_message_is_bounded_and_on_one_line() {
    let text = denied(of_error(403, "AccessDenied", &format!("a&#10;b&#27;[31m {}", "x".repeat(10_000))));
    assert!(text.starts_with("AssumeRole: 403 AccessDenied: a b [31m xxx"), "{text}");
    assert!(text.chars().count() < 450 && text.ends_with('…'), "{}", text.len());
    let text = denied(of_error(403, &"C".repeat(10_000), ""));
    assert!(text.chars().count() < 150, "{}", text.len());
}

#[test]
fn refusal_in_other_shapes_is_understood() {
    assert_eq!(denied(of_body(403, &[], "<Error><Code>AccessDenied</Code></Error>")), "AssumeRole: 403 AccessDenied");
    let text = denied(of_body(403, &[], "<R><Errors><Error><Message>no</Message></Error></Errors></R>"));
    assert_eq!(text, "AssumeRole: 403: no");
}
