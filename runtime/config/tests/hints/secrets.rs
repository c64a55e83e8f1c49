//! Secrets: their operations, and what may be signed with them.

use std::collections::BTreeMap;

use deputy_core::grant::{ClaimValue, JwtClaims, SecretOperation, SignatureAlgorithm};
use deputy_core::{Instance, PolicyDenial, Principal, SecretName, Timestamp};

use super::{Editor, key, mended, mended_with};

const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000);

/// Opens the secret `key` and uses it.
fn using(
    attempt: impl Fn(&SecretName, &deputy_core::grant::SecretGrant) -> Result<(), PolicyDenial>,
) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    move |instance| {
        let (name, grant) = instance.grant.secret("key")?;
        attempt(name, grant)
    }
}

/// What the operator knows of the service.
fn informed(hint: &str) -> String {
    let lists = [("services", "sts"), ("regions", "eu-west-1"), ("issuers", "me"), ("audiences", "them")];
    let filled =
        hint.replace("file = \"…\"", "file = \"k\"").replace("algorithms = [\"…\"]", "algorithms = [\"ES256\"]");
    let filled = filled.replace("username = \"…\"", "username = \"me\"");
    lists
        .iter()
        .fold(filled, |hint, (key, value)| hint.replace(&format!("{key} = [\"…\"]"), &format!("{key} = [\"{value}\"]")))
}

fn sign(region: &str, service: &str) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    let digest = "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
    let text = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/{region}/{service}/aws4_request\n{digest}");
    using(move |name, grant| grant.permit_sigv4(name, text.parse().unwrap(), NOW).map(drop))
}

fn token(
    algorithm: SignatureAlgorithm,
    issuer: &str,
    audience: &str,
    life: u64,
) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    let audiences = vec![audience.to_owned()];
    let expires_at = NOW.as_secs() + life;
    signed(algorithm, JwtClaims { issuer: issuer.to_owned(), audiences, expires_at, ..claims() })
}

/// Of `me`, without an audience, for ten minutes, and with nothing else.
fn claims() -> JwtClaims {
    JwtClaims {
        issuer: "me".to_owned(),
        audiences: Vec::new(),
        subject: None,
        issued_at: NOW.as_secs(),
        expires_at: NOW.as_secs() + 600,
        further: BTreeMap::new(),
    }
}

fn signed(algorithm: SignatureAlgorithm, claims: JwtClaims) -> impl Fn(&Instance) -> Result<(), PolicyDenial> {
    using(move |name, grant| grant.permit_jwt(name, algorithm, &claims, NOW).map(drop))
}

const SECRET: &str = "[instances.a.secrets.key]\nfile = \"k\"\n";

#[test]
fn hint_for_a_secret_lets_it_be_used() {
    // One that is not there, and one that only the host may use.
    let sent = SECRET.to_owned()
        + "[[instances.a.http]]\nallow = \"https://a.example.com\"\nform = { k = { secret = \"key\" } }";
    for lines in ["", SECRET, &sent] {
        let hints = mended_with(lines, sign("eu-west-1", "sts"), &informed);
        assert_eq!(hints.len(), 1, "{hints:#?}");
    }
}

#[test]
fn hint_for_an_operation_grants_it_in_place_of_another() {
    let purposes = ["", "hmac-sha256 = true", "sigv4 = { services = [\"sts\"], regions = [\"eu-west-1\"] }"];
    let bare = [SecretOperation::HmacSha256, SecretOperation::Pbkdf2, SecretOperation::Reveal];
    for purpose in purposes {
        let lines = format!("{SECRET}{purpose}");
        for operation in bare.into_iter().filter(|operation| !purpose.starts_with(operation.key())) {
            mended_with(&lines, using(move |name, grant| grant.permit_bare(name, operation)), &informed);
        }
        mended_with(&lines, token(SignatureAlgorithm::Es256, "me", "them", 600), &informed);
        mended_with(&lines, using(|name, grant| grant.permit_scram(name).map(drop)), &informed);
        mended_with(&lines, using(|name, grant| grant.permit_sign(name, SignatureAlgorithm::Es256)), &informed);
        if !purpose.starts_with("sigv4") {
            mended_with(&lines, sign("eu-west-1", "sts"), &informed);
        }
    }
}

#[test]
fn hint_for_a_narrow_grant_widens_it_and_keeps_what_was_there() {
    let sigv4 = SECRET.to_owned() + "sigv4 = { services = [\"sts\"], regions = [\"eu-west-1\"] }";
    for (region, service) in [("eu-west-2", "sts"), ("eu-west-1", "iam"), ("eu-west-2", "iam")] {
        mended(&sigv4, |instance| {
            sign(region, service)(instance)?;
            sign("eu-west-1", "sts")(instance)
        });
    }
    let inline =
        "jwt = { algorithms = [\"RS256\"], issuers = [\"me\"], audiences = [\"them\"], max-lifetime = \"10m\" }";
    let table = "[instances.a.secrets.key.jwt]\nalgorithms = [\"RS256\"]\nissuers = [\"me\"]\naudiences = [\"them\"]\n\
                 max-lifetime = \"10m\"";
    for jwt in [inline, table] {
        let jwt = SECRET.to_owned() + jwt;
        for (algorithm, issuer, audience, life) in [
            (SignatureAlgorithm::Es256, "me", "them", 600),
            (SignatureAlgorithm::Rs256, "you \"quoted\"", "them", 600),
            (SignatureAlgorithm::Rs256, "me", "https://idp.example/ü\\", 600),
            (SignatureAlgorithm::Rs256, "me", "them", 601),
            (SignatureAlgorithm::EdDsa, "you", "others", 86_400),
        ] {
            mended(&jwt, |instance| {
                token(algorithm, issuer, audience, life)(instance)?;
                token(SignatureAlgorithm::Rs256, "me", "them", 600)(instance)
            });
        }
    }
    let signs = SECRET.to_owned() + "sign = { algorithms = [\"RS256\"] }";
    mended(&signs, using(|name, grant| grant.permit_sign(name, SignatureAlgorithm::EdDsa)));
}

const JWT_INLINE: &str = "jwt = { algorithms = [\"RS256\"], issuers = [\"me\"], audiences = [\"them\"], subjects = [\"al\"], \
                          claims = { \"https://a.example/x\" = [\"one\"], any = true }, max-lifetime = \"10m\" }";
const JWT_TABLE: &str = "[instances.a.secrets.key.jwt]\nalgorithms = [\"RS256\"]\nissuers = [\"me\"]\n\
                         audiences = [\"them\"]\nsubjects = [\"al\"]\nmax-lifetime = \"10m\"\n\
                         [instances.a.secrets.key.jwt.claims]\n\"https://a.example/x\" = [\"one\"]\nany = true";

/// Claims that both of the grants above permit.
fn further_claims() -> JwtClaims {
    let x = ("https://a.example/x".parse().unwrap(), ClaimValue::Texts(vec!["one".to_owned()]));
    let (audiences, subject) = (vec!["them".to_owned()], Some("al".to_owned()));
    JwtClaims { audiences, subject, further: BTreeMap::from([x]), ..claims() }
}

#[test]
fn hint_for_a_claim_permits_it_and_keeps_what_was_there() {
    let text = |text: &str| ClaimValue::Texts(vec![text.to_owned()]);
    for jwt in [JWT_INLINE, JWT_TABLE] {
        let mended_beside = |claims: JwtClaims| {
            mended(&(SECRET.to_owned() + jwt), |instance| {
                signed(SignatureAlgorithm::Rs256, claims.clone())(instance)?;
                signed(SignatureAlgorithm::Rs256, further_claims())(instance)
            })
        };
        assert_eq!(mended_beside(JwtClaims { subject: Some("\"bo\"".to_owned()), ..further_claims() }).len(), 1);
        for (name, value, hints) in [
            ("https://a.example/x", text("two \\\""), 1),
            ("https://a.example/x", ClaimValue::Other, 1),
            ("https://a.example/x", ClaimValue::Texts(vec!["two".to_owned(), "three".to_owned()]), 2),
        ] {
            let mut claims = further_claims();
            claims.further.insert(name.parse().unwrap(), value);
            assert_eq!(mended_beside(claims).len(), hints);
        }
    }
}

/// What the grant lists, a token must have: another grant lists it no more, and the rest of it stays.
#[test]
fn hint_for_a_token_that_lacks_a_claim_is_another_grant() {
    let further = further_claims();
    let cases = [
        JwtClaims { audiences: Vec::new(), ..further_claims() },
        JwtClaims { subject: None, ..further_claims() },
        JwtClaims { further: BTreeMap::new(), ..further_claims() },
    ];
    for (jwt, claims) in [JWT_INLINE, JWT_TABLE].into_iter().flat_map(|jwt| cases.iter().map(move |case| (jwt, case))) {
        let hints = mended(&(SECRET.to_owned() + jwt), signed(SignatureAlgorithm::Rs256, claims.clone()));
        assert!(hints[0].starts_with("# in this table, in place of `jwt`, "), "{hints:#?}");
        assert!(hints[0].contains("jwt.claims.any = true") && hints.len() == 1, "{hints:#?}");
        assert_ne!(*claims, further);
    }
}

#[test]
fn hint_for_a_token_without_audience_comes_after_that_for_jwt() {
    let lines = SECRET.to_owned() + "hmac-sha256 = true";
    let hints = mended_with(&lines, signed(SignatureAlgorithm::Es256, claims()), &informed);
    assert!(hints.len() == 2 && hints[1].contains("in place of `jwt`"), "{hints:#?}");
    // A claim that is not granted yet gets its own line.
    let mut claims = claims();
    claims.audiences = vec!["them".to_owned()];
    claims.subject = Some("me".to_owned());
    claims.further.insert("scope".parse().unwrap(), ClaimValue::Texts(vec!["read".to_owned()]));
    let hints = mended_with(&lines, signed(SignatureAlgorithm::Es256, claims), &informed);
    assert_eq!(hints.len(), 3, "{hints:#?}");
}

#[test]
fn hint_for_a_lifetime_that_no_line_allows_is_none() {
    let jwt = SECRET.to_owned()
        + "jwt = { algorithms = [\"RS256\"], issuers = [\"me\"], audiences = [\"them\"], max-lifetime = \"10m\" }";
    let instance = Editor::open(&jwt).instance();
    // One that begins tomorrow would be refused with a longer one as well.
    let begins = NOW.as_secs() + 86_400;
    let later =
        JwtClaims { audiences: vec!["them".to_owned()], issued_at: begins, expires_at: begins + 3_600, ..claims() };
    let refusal = signed(SignatureAlgorithm::Rs256, later)(&instance).unwrap_err();
    assert_eq!((refusal.code(), refusal.fix(Principal::Instance(&instance))), ("time-not-granted", None));
    for life in [0, 367 * 86_400] {
        let refusal = token(SignatureAlgorithm::Rs256, "me", "them", life)(&instance).unwrap_err();
        assert_eq!(refusal.fix(Principal::Instance(&instance)), None, "{refusal}");
    }
    let refusal = PolicyDenial::Lifetime { secret: key(), seconds: 300 };
    assert_eq!(refusal.fix(Principal::Instance(&instance)), None);
}
