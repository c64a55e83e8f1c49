use super::*;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use deputy_core::Span;
use deputy_core::grant::{JwtGrant, SecretPurpose};

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
fn jwt_has_no_kid_without_a_key_id() {
    let token = permit(CLAIMS).unwrap().sign(&key()).unwrap();
    assert_eq!(part(&token, 0), serde_json::json!({"alg": "EdDSA", "typ": "JWT"}));
}

#[test]
fn jwt_rejects_malformed_claims() {
    for (text, error) in [
        ("", ClaimsError::Object),
        ("[]", ClaimsError::Object),
        ("{\"iss\":", ClaimsError::Object),
        (&CLAIMS.replace("}", "} {}"), ClaimsError::Object),
        (&format!("{}{}", " ".repeat(MAX_CLAIMS), CLAIMS), ClaimsError::Object),
        (&CLAIMS.replace("1000000600", &format!("{}1{}", "[".repeat(200), "]".repeat(200))), ClaimsError::Object),
        (&CLAIMS.replace("\"deputy\"", "1"), ClaimsError::Issuer),
        (&CLAIMS.replace("\"deputy\"", "[\"deputy\"]"), ClaimsError::Issuer),
        (&CLAIMS.replace("iss", "sub"), ClaimsError::Issuer),
        (&CLAIMS.replace("\"sts\"", "1"), ClaimsError::Audience),
        (&CLAIMS.replace("\"sts\"", "null"), ClaimsError::Audience),
        (&CLAIMS.replace("\"sts\"", "[\"sts\", 1]"), ClaimsError::Audience),
        (&CLAIMS.replace("\"sts\"", "{\"sts\": 1}"), ClaimsError::Audience),
        (&CLAIMS.replace("aud", "x"), ClaimsError::Audience),
        (&CLAIMS.replace("1000000600", "1000000600.0"), ClaimsError::Time("exp")),
        (&CLAIMS.replace("1000000600", "1e9"), ClaimsError::Time("exp")),
        (&CLAIMS.replace("1000000600", "\"1000000600\""), ClaimsError::Time("exp")),
        (&CLAIMS.replace("1000000600", "-1"), ClaimsError::Time("exp")),
        (&CLAIMS.replace("1000000600", "18446744073709551616"), ClaimsError::Time("exp")),
        (&CLAIMS.replace("1000000000,", "null,"), ClaimsError::Time("iat")),
        (&CLAIMS.replace("\"iat\"", "\"nbf\": 0.5, \"iat\""), ClaimsError::Time("nbf")),
    ] {
        assert_eq!(JwtRequest::read("{}", text).unwrap_err(), error, "{text}");
    }
    for header in
        ["", "[]", "{\"kid\": 1}", "{\"jku\": \"https://a.example\"}", "{\"alg\": \"none\"}", &" ".repeat(2049)]
    {
        assert_eq!(JwtRequest::read(header, CLAIMS).unwrap_err(), ClaimsError::Header, "{header}");
    }
}

#[test]
fn jwt_rejects_lookalikes_of_registered_claims() {
    for (name, registered) in [
        ("ISS", "iss"),
        ("Aud", "aud"),
        ("eXp", "exp"),
        ("i\u{17f}s", "iss"),
        ("\u{131}at", "iat"),
        ("Sub", "sub"),
        ("\\u0049ss", "iss"),
    ] {
        let claims = CLAIMS.replacen('{', &format!("{{\"{name}\": \"other\", "), 1);
        assert_eq!(JwtRequest::read("{}", &claims).unwrap_err(), ClaimsError::Lookalike(registered), "{name}");
    }
    JwtRequest::read("{}", &CLAIMS.replacen("{", "{\"scope\": \"a\", \"sub\": \"b\", ", 1)).unwrap();
}

#[test]
fn jwt_signs_the_checked_one_of_duplicate_claims() {
    for (claims, granted) in [
        (CLAIMS.replacen('{', "{\"iss\": \"other\", ", 1), true),
        (CLAIMS.replace("}", ", \"iss\": \"other\"}"), false),
        (CLAIMS.replace("}", ", \"\\u0069ss\": \"other\"}"), false),
        (CLAIMS.replacen('{', "{\"aud\": [\"other\"], ", 1), true),
        (CLAIMS.replace("}", ", \"aud\": [\"sts\", \"other\"]}"), false),
        (CLAIMS.replace("}", ", \"exp\": 9000000000}"), false),
        (CLAIMS.replacen('{', "{\"exp\": 9000000000, ", 1), true),
    ] {
        let token = permit(&claims);
        assert_eq!(token.is_ok(), granted, "{claims}");
        if let Ok(token) = token {
            let token = token.sign(&key()).unwrap();
            let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
            let payload = String::from_utf8(payload).unwrap();
            assert!(!payload.contains("other") && !payload.contains("9000000000"), "{payload}");
        }
    }
}

#[test]
fn jwt_denials_have_codes() {
    for (claims, code) in [
        (CLAIMS.replace("deputy", "deputy "), "issuer-not-granted"),
        (CLAIMS.replace("sts", "STS"), "audience-not-granted"),
        (CLAIMS.replace("\"sts\"", "[]"), "audience-not-granted"),
        (CLAIMS.replace("1000000600", "1000000601"), "lifetime-not-granted"),
        (CLAIMS.replace("1000000600", "1000000000"), "lifetime-not-granted"),
        (CLAIMS.replace("1000000000", "1000000061").replace("1000000600", "1000000100"), "lifetime-not-granted"),
    ] {
        assert_eq!(permit(&claims).err().unwrap().code(), code, "{claims}");
    }
    let other = JwtRequest::read("{}", CLAIMS).unwrap().permit(&grant(), &name(), SignatureAlgorithm::Rs256, NOW);
    assert_eq!(other.err().unwrap().code(), "algorithm-not-granted");
}
