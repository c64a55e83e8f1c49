use super::*;

fn of_body(status: u16, headers: &[(&str, &str)], body: &str) -> Failure {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    of(Operation::AssumeRole, &Response { status, headers, body: body.as_bytes().to_vec() }, 1_440_938_160_000)
}

fn of_error(status: u16, code: &str, message: &str) -> Failure {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    of_body(status, &[], &body)
}

fn denied(failure: Failure) -> String {
    match failure {
        Failure::Denied(text) => text,
        other => panic!("not denied: {other:?}"),
    }
}

#[test]
fn wrong_keys_and_missing_permissions_are_denied() {
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
fn a_seaweedfs_that_refuses_the_key_denies_it() {
    assert_eq!(denied(of_error(403, "Unknown", "signature mismatch")), "AssumeRole: 403 Unknown: signature mismatch");
}

#[test]
fn every_throttling_code_asks_to_wait_whatever_its_status() {
    for code in THROTTLED {
        let Failure::Throttled(throttle) = of_error(400, code, "Rate exceeded") else { panic!("{code}") };
        assert_eq!(throttle.retry_after_ms, 0);
        assert_eq!(throttle.message, format!("AssumeRole: 400 {code}: Rate exceeded"));
    }
}

#[test]
fn retry_after_says_how_long() {
    for status in [429, 503] {
        let Failure::Throttled(throttle) = of_body(status, &[("retry-after", "17")], "") else { panic!("{status}") };
        assert_eq!(throttle.retry_after_ms, 17_000);
    }
    assert!(matches!(of_body(429, &[], ""), Failure::Throttled(throttle) if throttle.retry_after_ms == 0));
    assert!(
        matches!(of_body(503, &[], ""), Failure::Unavailable(text) if text == "AssumeRole: 503 without an error of STS")
    );
}

#[test]
fn retry_after_may_be_a_date_or_a_fraction() {
    for (value, expected) in [("Sun, 30 Aug 2015 12:38:00 GMT", 120_000), ("1.5", 1500), ("soon", 0)] {
        let Failure::Throttled(throttle) = of_body(429, &[("retry-after", value)], "") else { panic!("{value}") };
        assert_eq!(throttle.retry_after_ms, expected, "{value}");
    }
}

#[test]
fn identity_provider_that_was_not_reached_is_unavailable() {
    let message = "Couldn't retrieve verification key from your identity provider,  please reference \
                   AssumeRoleWithWebIdentity documentation for requirements";
    let failure = of_error(400, "InvalidIdentityToken", message);
    assert!(matches!(failure, Failure::Unavailable(text) if text.contains("InvalidIdentityToken")));
    denied(of_error(400, "InvalidIdentityToken", "The ID Token provided is not a valid JWT."));
}

#[test]
fn what_no_repetition_mends_is_misconfigured() {
    for code in MISCONFIGURED {
        assert!(matches!(of_error(400, code, "no"), Failure::Misconfigured(_)), "{code}");
    }
}

#[test]
fn failures_on_the_other_side_may_be_tried_again() {
    for code in UNAVAILABLE {
        assert!(matches!(of_error(400, code, "no"), Failure::Unavailable(_)), "{code}");
    }
    for status in [408, 425, 500, 502, 503, 504, 204, 999] {
        assert!(matches!(of_body(status, &[], "<html>"), Failure::Unavailable(_)), "{status}");
    }
}

#[test]
fn a_wrong_clock_is_said_to_be_one() {
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
fn a_missing_web_identity_token_points_to_the_rule() {
    let message = "1 validation error detected: Value null at 'webIdentityToken' failed to satisfy constraint";
    let Failure::Misconfigured(text) = of_error(400, "ValidationError", message) else { panic!() };
    assert!(text.ends_with("; the host adds this field: look at `form` in the instance's http rule"), "{text}");
}

#[test]
fn a_redirect_is_denied_and_not_followed() {
    let text = denied(of_body(302, &[("location", "https://login.example/")], ""));
    assert_eq!(text, "AssumeRole: 302 without an error of STS; look at `endpoint`");
}

#[test]
fn a_body_that_is_no_error_of_sts_is_not_quoted() {
    for body in ["<html><body>token=abc</body></html>", "token=abc", "{\"Error\":{\"Code\":\"abc\"}}", "\u{0}\u{1}"] {
        let text = denied(of_body(403, &[], body));
        assert_eq!(text, "AssumeRole: 403 without an error of STS; look at `endpoint`");
    }
}

#[test]
fn a_message_is_bounded_and_cannot_forge_lines() {
    let text = denied(of_error(403, "AccessDenied", &format!("a&#10;b&#27;[31m {}", "x".repeat(10_000))));
    assert!(text.starts_with("AssumeRole: 403 AccessDenied: a b [31m xxx"), "{text}");
    assert!(text.chars().count() < 450 && text.ends_with('…'), "{}", text.len());
    let text = denied(of_error(403, &"C".repeat(10_000), ""));
    assert!(text.chars().count() < 150, "{}", text.len());
}

#[test]
fn other_shapes_of_the_error_are_understood() {
    assert_eq!(denied(of_body(403, &[], "<Error><Code>AccessDenied</Code></Error>")), "AssumeRole: 403 AccessDenied");
    let text = denied(of_body(403, &[], "<R><Errors><Error><Message>no</Message></Error></Errors></R>"));
    assert_eq!(text, "AssumeRole: 403: no");
}
