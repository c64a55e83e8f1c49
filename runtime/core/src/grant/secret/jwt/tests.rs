use super::*;
use crate::grant::{SecretGrant, SecretPurpose};

const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000);
const RS256: SignatureAlgorithm = SignatureAlgorithm::Rs256;

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn name(text: &str) -> ClaimName {
    text.parse().unwrap()
}

/// Issuer `me`, audiences `a` and `b`, ten minutes.
fn grant() -> JwtGrant {
    JwtGrant::new(vec![RS256], texts(&["me"]), texts(&["a", "b"]), Span::secs(600)).unwrap()
}

/// The same with subjects, one claim of two values and one of any.
fn further() -> JwtGrant {
    let scopes = ClaimGrant::OneOf(texts(&["read", "list"]).into_iter().collect());
    grant()
        .with_subjects(texts(&["alice", "bob"]))
        .with_claims(BTreeMap::from([(name("scope"), scopes), (name("events"), ClaimGrant::Any)]))
}

fn claims() -> JwtClaims {
    JwtClaims {
        issuer: "me".into(),
        audiences: texts(&["a"]),
        subject: None,
        issued_at: NOW.as_secs(),
        expires_at: NOW.as_secs() + 600,
        further: BTreeMap::new(),
    }
}

/// Claims for the second grant.
fn further_claims(claim: &str, value: ClaimValue) -> JwtClaims {
    let scope = (name("scope"), ClaimValue::Texts(texts(&["read"])));
    let further = BTreeMap::from([scope, (name(claim), value)]);
    JwtClaims { subject: Some("alice".into()), further, ..claims() }
}

fn permit(grant: &JwtGrant, claims: &JwtClaims) -> Result<JwtPermit, PolicyDenial> {
    let grant = SecretGrant::new(Some(SecretPurpose::Jwt(grant.clone())), false);
    grant.permit_jwt(&"key".parse().unwrap(), RS256, claims, NOW)
}

#[track_caller]
fn assert_denied(grant: &JwtGrant, claims: &JwtClaims, code: &str) {
    assert_eq!(permit(grant, claims).unwrap_err().code(), code, "{claims:?}");
}

#[test]
fn jwt_grant_permits_the_granted_token() {
    assert_eq!(permit(&grant(), &claims()).unwrap().algorithm(), RS256);
    assert!(permit(&grant(), &JwtClaims { audiences: texts(&["a", "b"]), ..claims() }).is_ok());
    let skewed = JwtClaims { issued_at: claims().issued_at + 60, expires_at: claims().expires_at + 60, ..claims() };
    assert!(permit(&grant(), &skewed).is_ok());
}

#[test]
fn jwt_grant_denials_have_a_code_for_each_claim() {
    let at = claims().issued_at;
    for (claims, expected) in [
        (JwtClaims { issuer: "you".into(), ..claims() }, "issuer-not-granted"),
        (JwtClaims { audiences: texts(&["c"]), ..claims() }, "audience-not-granted"),
        (JwtClaims { audiences: texts(&["a", "c"]), ..claims() }, "audience-not-granted"),
        (JwtClaims { audiences: vec![], ..claims() }, "audience-not-granted"),
        (JwtClaims { subject: Some("me".into()), ..claims() }, "subject-not-granted"),
        (JwtClaims { expires_at: at + 601, ..claims() }, "lifetime-not-granted"),
        (JwtClaims { expires_at: at, ..claims() }, "lifetime-not-granted"),
        (JwtClaims { expires_at: at - 1, ..claims() }, "lifetime-not-granted"),
        (JwtClaims { issued_at: at + 61, expires_at: at + 62, ..claims() }, "time-not-granted"),
        (JwtClaims { issued_at: u64::MAX, expires_at: u64::MAX, ..claims() }, "time-not-granted"),
        (JwtClaims { issued_at: 0, ..claims() }, "lifetime-not-granted"),
        (JwtClaims { expires_at: u64::MAX, ..claims() }, "lifetime-not-granted"),
    ] {
        assert_denied(&grant(), &claims, expected);
    }
    let purpose = SecretPurpose::Jwt(grant());
    let other = SecretGrant::new(Some(purpose), false).permit_jwt(
        &"key".parse().unwrap(),
        SignatureAlgorithm::Es256,
        &claims(),
        NOW,
    );
    assert_eq!(other.unwrap_err().code(), "algorithm-not-granted");
}

#[test]
fn jwt_grant_without_audiences_permits_tokens_without_one() {
    let without = JwtGrant::new(vec![RS256], texts(&["me"]), vec![], Span::secs(600)).unwrap();
    assert!(permit(&without, &JwtClaims { audiences: vec![], ..claims() }).is_ok());
    assert_denied(&without, &claims(), "audience-not-granted");
}

#[test]
fn jwt_grant_names_subjects_that_a_token_must_have() {
    let grant = grant().with_subjects(texts(&["alice", "bob"]));
    for subject in ["alice", "bob"] {
        assert!(permit(&grant, &JwtClaims { subject: Some(subject.into()), ..claims() }).is_ok());
    }
    for subject in [None, Some(""), Some("Alice"), Some("alice "), Some("me")] {
        assert_denied(&grant, &JwtClaims { subject: subject.map(str::to_owned), ..claims() }, "subject-not-granted");
    }
}

#[test]
fn jwt_grant_names_further_claims_and_their_values() {
    let many = ClaimValue::Texts(texts(&["read", "list"]));
    let one = ClaimValue::Texts(texts(&["list"]));
    for (claim, value) in
        [("scope", many.clone()), ("scope", one.clone()), ("events", many.clone()), ("events", ClaimValue::Other)]
    {
        assert!(permit(&further(), &further_claims(claim, value.clone())).is_ok(), "{claim} {value:?}");
    }
    for (claim, value) in [
        ("scope", ClaimValue::Texts(texts(&["admin"]))),
        ("scope", ClaimValue::Texts(texts(&["read", "admin"]))),
        ("scope", ClaimValue::Texts(texts(&["read list"]))),
        ("scope", ClaimValue::Texts(vec![])),
        ("scope", ClaimValue::Other),
        ("Scope", one.clone()),
        ("event", ClaimValue::Other),
        ("tenant", one),
        ("tenant", ClaimValue::Texts(vec![])),
    ] {
        assert_denied(&further(), &further_claims(claim, value), "claim-not-granted");
    }
    // A missing claim may mean all of it.
    let missing = JwtClaims { subject: Some("bob".into()), ..claims() };
    assert_denied(&further(), &missing, "claim-not-granted");
    assert!(permit(&further().with_claims(BTreeMap::new()), &missing).is_ok());
}

#[test]
fn jwt_grant_names_what_is_denied() {
    let denied = |value| match permit(&further(), &further_claims("scope", value)).unwrap_err() {
        PolicyDenial::Claim { claim, value, .. } => (claim, value),
        other => panic!("{other:?}"),
    };
    let text = ClaimValue::Texts(texts(&["read", "admin", "root"]));
    assert_eq!(denied(text), ("scope".into(), DeniedClaim::Text("admin".into())));
    assert_eq!(denied(ClaimValue::Other), ("scope".into(), DeniedClaim::Other));
}
