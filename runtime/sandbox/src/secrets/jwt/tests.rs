use super::*;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use deputy_core::Span;
use deputy_core::grant::{ClaimNameError, ClaimValue, JwtGrant, SecretPurpose};

use serde_json::Value;

use crate::secrets::key::tests::vector;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);
const CLAIMS: &str = r#"{"iss": "deputy", "aud": "sts", "iat": 1000000000, "exp": 1000000600}"#;

fn name() -> SecretName {
    "key".parse().unwrap()
}

fn grant() -> SecretGrant {
    let (issuers, audiences) = (vec!["deputy".into()], vec!["sts".into(), "iam".into()]);
    let grant = JwtGrant::new(vec![SignatureAlgorithm::EdDsa], issuers, audiences, Span::secs(600)).unwrap();
    SecretGrant::new(Some(SecretPurpose::Jwt(grant)), false)
}

fn permit(claims: &str) -> Result<UnsignedJwt, PolicyDenial> {
    JwtRequest::read("{}", claims).unwrap().permit(&grant(), &name(), SignatureAlgorithm::EdDsa, NOW)
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

fn key() -> SecretBytes {
    SecretBytes::new(vector!("eddsa.jwk.json").into())
}

#[test]
fn jwt_verifies_and_has_the_requested_claims() {
    let proposal = JwtRequest::read(r#"{"kid": "k\"1"}"#, CLAIMS).unwrap();
    assert_eq!(proposal.scope(), "deputy for sts");
    let token = proposal.permit(&grant(), &name(), SignatureAlgorithm::EdDsa, NOW).unwrap().sign(&key()).unwrap();
    let jwk: Value = serde_json::from_str(vector!("eddsa.jwk.json")).unwrap();
    let public = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ED25519, public).verify(signed.as_bytes(), &signature).unwrap();
    assert_eq!(part(&token, 0), serde_json::json!({"alg": "EdDSA", "typ": "JWT", "kid": "k\"1"}));
    assert_eq!(part(&token, 1), serde_json::from_str::<Value>(CLAIMS).unwrap());
}

#[test]
fn jwt_header_has_no_more_than_was_asked_for() {
    for (header, signed) in [
        ("{}", r#"{"alg": "EdDSA", "typ": "JWT"}"#),
        (r#"{"typ": "at+jwt"}"#, r#"{"alg": "EdDSA", "typ": "at+jwt"}"#),
        (
            r#"{"x5t#S256": "b", "x5t": "a", "kid": "ü \"", "typ": "JWT"}"#,
            r#"{"alg": "EdDSA", "kid": "ü \"", "typ": "JWT", "x5t": "a", "x5t#S256": "b"}"#,
        ),
    ] {
        let request = JwtRequest::read(header, CLAIMS).unwrap();
        let token = request.permit(&grant(), &name(), SignatureAlgorithm::EdDsa, NOW).unwrap().sign(&key()).unwrap();
        assert_eq!(part(&token, 0), serde_json::from_str::<Value>(signed).unwrap());
    }
}

#[test]
fn jwt_rejects_header_members_that_are_not_permitted() {
    let long = "k".repeat(257);
    for member in [
        r#""alg": "EdDSA""#,
        r#""alg": "none""#,
        r#""\u0061lg": "none""#,
        r#""ALG": "none""#,
        r#""jwk": {"kty": "oct", "k": ""}"#,
        r#""jku": "https://a.example""#,
        r#""x5u": "https://a.example""#,
        r#""x5c": ["MIIB"]"#,
        r#""crit": ["exp"]"#,
        r#""b64": false"#,
        r#""cty": "JWT""#,
        r#""Kid": "a""#,
        r#""kid ": "a""#,
        r#""kid\u0000": "a""#,
        r#""kid": "a", "kid": "a""#,
        r#""kid": "a", "\u006bid": "b""#,
        r#""kid": 1"#,
        r#""kid": null"#,
        r#""kid": ["a"]"#,
        r#""kid": """#,
        r#""kid": "a\n""#,
        r#""kid": "\u0000""#,
        &format!(r#""kid": "{long}""#),
    ] {
        let header = format!("{{{member}}}");
        assert_eq!(JwtRequest::read(&header, CLAIMS).unwrap_err(), HeaderError.into(), "{header}");
    }
    for header in ["", "[]", "null", "\"kid\"", "{\"kid\":", "{} {}", &(" ".repeat(2048) + "{}")] {
        assert_eq!(JwtRequest::read(header, CLAIMS).unwrap_err(), HeaderError.into(), "{header}");
    }
    assert!(JwtRequest::read(&format!("{{\"kid\": \"{}\"}}", "k".repeat(256)), CLAIMS).is_ok());
}

#[track_caller]
fn assert_invalid(claims: &str, error: ClaimsError) {
    assert_eq!(JwtRequest::read("{}", claims).unwrap_err(), error.into(), "{claims:.300}");
}

/// The claims with one more member.
fn with(member: &str) -> String {
    CLAIMS.replace('}', &format!(", {member}}}"))
}

#[test]
fn jwt_rejects_malformed_claims() {
    for (text, error) in [
        ("", ClaimsError::Object),
        ("[]", ClaimsError::Object),
        ("{\"iss\":", ClaimsError::Object),
        (&CLAIMS.replace("}", "} {}"), ClaimsError::Object),
        (&format!("{}{}", " ".repeat(16 << 10), CLAIMS), ClaimsError::Object),
        (&CLAIMS.replace("1000000600", &format!("{}1{}", "[".repeat(200), "]".repeat(200))), ClaimsError::Object),
        (&CLAIMS.replace("\"deputy\"", "1"), ClaimsError::Issuer),
        (&CLAIMS.replace("\"deputy\"", "[\"deputy\"]"), ClaimsError::Issuer),
        (&CLAIMS.replace("iss", "sub"), ClaimsError::Issuer),
        (&CLAIMS.replace("\"sts\"", "1"), ClaimsError::Audience),
        (&CLAIMS.replace("\"sts\"", "null"), ClaimsError::Audience),
        (&CLAIMS.replace("\"sts\"", "[]"), ClaimsError::Audience),
        (&CLAIMS.replace("\"sts\"", "[\"sts\", 1]"), ClaimsError::Audience),
        (&CLAIMS.replace("\"sts\"", "{\"sts\": 1}"), ClaimsError::Audience),
        (&with("\"sub\": 1"), ClaimsError::Text("sub")),
        (&with("\"sub\": null"), ClaimsError::Text("sub")),
        (&with("\"sub\": [\"me\"]"), ClaimsError::Text("sub")),
        (&with("\"jti\": 1"), ClaimsError::Text("jti")),
        (&CLAIMS.replace("1000000600", "1000000600.0"), ClaimsError::Time("exp")),
        (&CLAIMS.replace("1000000600", "1e9"), ClaimsError::Time("exp")),
        (&CLAIMS.replace("1000000600", "\"1000000600\""), ClaimsError::Time("exp")),
        (&CLAIMS.replace("1000000600", "-1"), ClaimsError::Time("exp")),
        (&CLAIMS.replace("1000000600", "18446744073709551616"), ClaimsError::Time("exp")),
        (&CLAIMS.replace("1000000000,", "null,"), ClaimsError::Time("iat")),
        (&with("\"nbf\": 0.5"), ClaimsError::Time("nbf")),
    ] {
        assert_invalid(text, error);
    }
}

#[test]
fn jwt_rejects_names_that_verifiers_read_in_two_ways() {
    for (name, registered) in
        [("ISS", "iss"), ("Aud", "aud"), ("eXp", "exp"), ("Sub", "sub"), ("\\u0049ss", "iss"), ("NBF", "nbf")]
    {
        assert_invalid(&with(&format!("\"{name}\": \"other\"")), ClaimNameError::Lookalike(registered).into());
    }
    let long = "a".repeat(129);
    for name in
        ["", " ", "sub ", " sub", "a b", "sub\\u0000", "\\u0000", "a\\tb", "i\u{17f}s", "\u{131}at", "a\u{200b}", &long]
    {
        assert_invalid(&with(&format!("\"{name}\": \"other\"")), ClaimNameError::Form.into());
    }
}

#[test]
fn jwt_rejects_a_name_that_is_there_twice() {
    for member in [
        "\"iss\": \"other\"",
        "\"iss\": \"deputy\"",
        "\"\\u0069ss\": \"other\"",
        "\"aud\": [\"sts\", \"other\"]",
        "\"exp\": 9000000000",
        "\"scope\": \"a\", \"scope\": \"b\"",
    ] {
        assert_invalid(&with(member), ClaimsError::Object);
        assert_invalid(&CLAIMS.replacen('{', &format!("{{{member}, "), 1), ClaimsError::Object);
    }
}

#[test]
fn jwt_further_claims_are_bounded() {
    let many = |count: usize| (0..count).map(|n| format!("\"c{n}\": {n}")).collect::<Vec<_>>().join(", ");
    assert!(JwtRequest::read("{}", &with(&many(32))).is_ok());
    assert_invalid(&with(&many(33)), ClaimsError::Count);
}

#[test]
fn jwt_further_claims_are_read_for_the_grant() {
    let member =
        r#""a": "x", "b": ["x", "y"], "c": [], "d": ["x", 1], "e": {"x": 1}, "f": true, "sub": "me", "jti": "1""#;
    let request = JwtRequest::read("{}", &with(member)).unwrap();
    let claims = request.payload.claims();
    let read: Vec<_> = claims.further.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let texts = |texts: &[&str]| ClaimValue::Texts(texts.iter().map(|text| (*text).to_owned()).collect());
    let other = ClaimValue::Other;
    let (a, b) = (texts(&["x"]), texts(&["x", "y"]));
    assert_eq!(read, [("a", &a), ("b", &b), ("c", &other), ("d", &other), ("e", &other), ("f", &other)]);
    assert_eq!(claims.subject.as_deref(), Some("me"));
}

#[test]
fn jwt_texts_for_the_audit_log_begin_with_the_subject() {
    let member = r#""a": "x", "b": {"x": 1}, "sub": "me", "jti": "1", "nbf": 0"#;
    let request = JwtRequest::read(r#"{"kid": "k"}"#, &with(member)).unwrap();
    assert_eq!(request.header_texts().collect::<Vec<_>>(), [("kid", "k")]);
    let texts: Vec<_> = request.claim_texts().map(|(name, text)| format!("{name}={text}")).collect();
    let expected = [
        "sub=me",
        "exp=2001-09-09T01:56:40.000Z",
        "iat=2001-09-09T01:46:40.000Z",
        "nbf=1970-01-01T00:00:00.000Z",
        "jti=1",
        "a=x",
        "b={\"x\":1}",
    ];
    assert_eq!(texts, expected);
    assert_eq!(request.scope(), "deputy for sts");
    let without = JwtRequest::read("{}", &CLAIMS.replace("\"aud\": \"sts\", ", "")).unwrap();
    assert_eq!(without.scope(), "deputy");
}

#[test]
fn jwt_denials_have_codes() {
    for (claims, code) in [
        (CLAIMS.replace("deputy", "deputy "), "issuer-not-granted"),
        (CLAIMS.replace("sts", "STS"), "audience-not-granted"),
        (CLAIMS.replace("\"aud\": \"sts\", ", ""), "audience-not-granted"),
        (CLAIMS.replace("\"iat\"", "\"sub\": \"me\", \"iat\""), "subject-not-granted"),
        (CLAIMS.replace("\"iat\"", "\"scope\": \"a\", \"iat\""), "claim-not-granted"),
        (CLAIMS.replace("1000000600", "1000000601"), "lifetime-not-granted"),
        (CLAIMS.replace("1000000600", "1000000000"), "lifetime-not-granted"),
        (CLAIMS.replace("1000000000", "1000000061").replace("1000000600", "1000000100"), "time-not-granted"),
    ] {
        assert_eq!(permit(&claims).err().unwrap().code(), code, "{claims}");
    }
    let other = JwtRequest::read("{}", CLAIMS).unwrap().permit(&grant(), &name(), SignatureAlgorithm::Rs256, NOW);
    assert_eq!(other.err().unwrap().code(), "algorithm-not-granted");
}
