use super::*;
use crate::Span;
use std::collections::BTreeMap;

const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000); // 2015-08-30T12:36:00Z
const HASH: &str = "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";

fn key() -> SecretName {
    "aws-key".parse().unwrap()
}

fn to_sign() -> StringToSign {
    let text = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/sts/aws4_request\n{HASH}");
    text.parse().unwrap()
}

fn sigv4() -> SecretGrant {
    let grant = Sigv4Grant::new(vec!["sts".into()], vec!["eu-west-1".into(), "us-east-1".into()]).unwrap();
    SecretGrant::new(Some(SecretPurpose::Sigv4(grant)), false)
}

fn jwt() -> SecretGrant {
    let grant = JwtGrant::new(
        vec![SignatureAlgorithm::Rs256],
        vec!["me".into()],
        vec!["a".into(), "b".into()],
        Span::secs(600),
    );
    SecretGrant::new(Some(SecretPurpose::Jwt(grant.unwrap())), false)
}

fn claims() -> JwtClaims {
    JwtClaims {
        issuer: "me".into(),
        audiences: vec!["a".into()],
        subject: None,
        issued_at: NOW.as_secs(),
        expires_at: NOW.as_secs() + 600,
        further: BTreeMap::new(),
    }
}

fn scram() -> ScramGrant {
    ScramGrant::new("carol".to_owned()).unwrap()
}

fn code<T: fmt::Debug>(result: Result<T, PolicyDenial>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn secret_grant_each_operation_needs_its_own_grant() {
    let grants = [
        (SecretOperation::Sigv4, sigv4()),
        (SecretOperation::Jwt, jwt()),
        (SecretOperation::HmacSha256, SecretGrant::new(Some(SecretPurpose::HmacSha256), false)),
        (SecretOperation::Pbkdf2, SecretGrant::new(Some(SecretPurpose::Pbkdf2), false)),
        (SecretOperation::Scram, SecretGrant::new(Some(SecretPurpose::Scram(scram())), false)),
        (SecretOperation::Sign, SecretGrant::new(Some(SecretPurpose::Sign(vec![SignatureAlgorithm::Rs256])), false)),
        (SecretOperation::Reveal, SecretGrant::new(None, true)),
    ];
    for (granted, grant) in grants {
        assert!(grant.opens());
        for (operation, answer) in [
            (SecretOperation::Sigv4, grant.permit_sigv4(&key(), to_sign(), NOW).map(drop)),
            (SecretOperation::Jwt, grant.permit_jwt(&key(), SignatureAlgorithm::Rs256, &claims(), NOW).map(drop)),
            (SecretOperation::HmacSha256, grant.permit_bare(&key(), SecretOperation::HmacSha256)),
            (SecretOperation::Pbkdf2, grant.permit_bare(&key(), SecretOperation::Pbkdf2)),
            (SecretOperation::Scram, grant.permit_scram(&key()).map(drop)),
            (SecretOperation::Sign, grant.permit_sign(&key(), SignatureAlgorithm::Rs256)),
            (SecretOperation::Reveal, grant.permit_bare(&key(), SecretOperation::Reveal)),
        ] {
            if operation == granted {
                assert_eq!(answer, Ok(()));
            } else {
                assert_eq!(code(answer), "operation-not-granted", "{granted} does not grant {operation}");
            }
        }
        assert_eq!(
            grant.permit_bare(&key(), SecretOperation::Sign).map_err(|r| r.code()),
            Err("operation-not-granted")
        );
    }
}

#[test]
fn secret_grant_operation_is_named_by_its_configuration_key() {
    for (operation, key) in [
        (SecretOperation::HmacSha256, "hmac-sha256"),
        (SecretOperation::Jwt, "jwt"),
        (SecretOperation::Pbkdf2, "pbkdf2"),
        (SecretOperation::Reveal, "reveal"),
        (SecretOperation::Scram, "scram"),
        (SecretOperation::Sign, "sign"),
        (SecretOperation::Sigv4, "sigv4"),
    ] {
        assert_eq!((operation.key(), operation.to_string().as_str()), (key, key));
    }
}

#[test]
fn secret_grant_bare_signature_needs_its_algorithm() {
    let grant = SecretGrant::new(Some(SecretPurpose::Sign(vec![SignatureAlgorithm::Rs256])), false);
    assert_eq!(code(grant.permit_sign(&key(), SignatureAlgorithm::EdDsa)), "algorithm-not-granted");
}

#[test]
fn secret_grant_without_a_purpose_is_for_the_host_only() {
    let grant = SecretGrant::default();
    assert!(!grant.opens());
    assert!(!grant.reveals());
    assert!(SecretGrant::new(None, true).reveals());
}

#[test]
fn secret_grant_allows_one_purpose_per_secret() {
    let error = SecretPurpose::only(vec![sigv4().purpose().unwrap().clone(), SecretPurpose::HmacSha256]).unwrap_err();
    assert_eq!(error, SecretGrantError::Purposes(SecretOperation::Sigv4, SecretOperation::HmacSha256));
    assert_eq!(SecretPurpose::only(vec![]), Ok(None));
    assert_eq!(SecretPurpose::only(vec![SecretPurpose::Pbkdf2]), Ok(Some(SecretPurpose::Pbkdf2)));
}

#[test]
fn secret_grant_that_allows_nothing_is_rejected() {
    let some = || vec!["x".to_owned()];
    assert_eq!(Sigv4Grant::new(vec![], some()), Err(SecretGrantError::Empty("services")));
    assert_eq!(Sigv4Grant::new(some(), vec![]), Err(SecretGrantError::Empty("regions")));
    let rs = || vec![SignatureAlgorithm::Rs256];
    assert_eq!(JwtGrant::new(vec![], some(), some(), Span::secs(1)), Err(SecretGrantError::Empty("algorithms")));
    assert_eq!(JwtGrant::new(rs(), vec![], some(), Span::secs(1)), Err(SecretGrantError::Empty("issuers")));
}

#[test]
fn secret_grant_algorithm_survives_the_round_trip() {
    for algorithm in [SignatureAlgorithm::EdDsa, SignatureAlgorithm::Es256, SignatureAlgorithm::Rs256] {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
    }
    for text in ["", "rs256", "HS256", "none"] {
        assert_eq!(text.parse::<SignatureAlgorithm>(), Err(AlgorithmError));
    }
}
