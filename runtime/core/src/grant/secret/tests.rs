use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000); // 2015-08-30T12:36:00Z
const HASH: &str = "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";

fn key() -> SecretName {
    "aws-key".parse().unwrap()
}

fn to_sign(day: &str, region: &str, service: &str) -> String {
    format!("AWS4-HMAC-SHA256\n{day}T123600Z\n{day}/{region}/{service}/aws4_request\n{HASH}")
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
    let now = NOW.as_secs();
    JwtClaims { issuer: "me".into(), audiences: vec!["a".into()], issued_at: now, expires_at: now + 600 }
}

fn code<T: fmt::Debug>(result: Result<T, PolicyDenial>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn secret_grant_permits_the_granted_service_region_and_day() {
    for day in ["20150829", "20150830", "20150831"] {
        for region in ["eu-west-1", "us-east-1"] {
            let text = to_sign(day, region, "sts");
            let permit = sigv4().permit_sigv4(&key(), text.parse().unwrap(), NOW).unwrap();
            assert_eq!(
                (permit.text(), permit.day(), permit.region(), permit.service()),
                (text.as_str(), day, region, "sts")
            );
        }
    }
}

#[test]
fn secret_grant_sigv4_denials_have_a_code_for_each_parameter() {
    for (day, region, service, expected) in [
        ("20150830", "eu-west-1", "s3", "service-not-granted"),
        ("20150830", "eu-west-2", "sts", "region-not-granted"),
        ("20150830", "EU-WEST-1", "sts", "region-not-granted"),
        ("20150828", "eu-west-1", "sts", "day-not-granted"),
        ("20150901", "eu-west-1", "sts", "day-not-granted"),
        ("20990101", "eu-west-1", "sts", "day-not-granted"),
    ] {
        let text = to_sign(day, region, service).parse().unwrap();
        assert_eq!(code(sigv4().permit_sigv4(&key(), text, NOW)), expected);
    }
}

#[test]
fn secret_grant_sigv4_signs_only_a_valid_string_to_sign() {
    let good = to_sign("20150830", "us-east-1", "sts");
    assert!(good.parse::<StringToSign>().is_ok());
    let bad = [
        String::new(),
        "20150830".into(), // the first link of the key chain
        format!("{good}\n"),
        good.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256-PAYLOAD"),
        good.replace("AWS4-HMAC", "aws4-HMAC"),
        good.replace("T123600Z", "T12360Z"),
        good.replace("T123600Z", "T1236000Z"),
        good.replace("T123600Z", "123600Z"),
        good.replace("T123600Z", "T123600"),
        good.replace("T123600Z", "T12360aZ"),
        good.replace("20150830T", "20150831T"),
        good.replace("20150830", "2015083"),
        good.replace("20150830", "2015083a"),
        good.replace("aws4_request", "aws4_requests"),
        good.replace("aws4_request", "aws4_request/x"),
        good.replace("/us-east-1", ""),
        good.replace("us-east-1", ""),
        good.replace("us-east-1", "us_east"),
        good.replace("sts", ""),
        good.replace("sts", "st s"),
        good.replace('\n', "\r\n"),
        good.replace("f536", "F536"),
        good.replace("f536", "g536"),
        good.replace("f536", "f53"),
        good.replace("f536", "f5366"),
    ];
    for text in bad {
        assert_eq!(text.parse::<StringToSign>(), Err(StringToSignError), "{text:?}");
    }
}

#[test]
fn secret_grant_permits_the_granted_token() {
    let permit = jwt().permit_jwt(&key(), SignatureAlgorithm::Rs256, &claims(), NOW).unwrap();
    assert_eq!(permit.algorithm(), SignatureAlgorithm::Rs256);
    let both = JwtClaims { audiences: vec!["a".into(), "b".into()], ..claims() };
    assert!(jwt().permit_jwt(&key(), SignatureAlgorithm::Rs256, &both, NOW).is_ok());
    let skewed = JwtClaims { issued_at: claims().issued_at + 60, expires_at: claims().expires_at + 60, ..claims() };
    assert!(jwt().permit_jwt(&key(), SignatureAlgorithm::Rs256, &skewed, NOW).is_ok());
}

#[test]
fn secret_grant_jwt_denials_have_a_code_for_each_claim() {
    let at = claims().issued_at;
    for (claims, expected) in [
        (JwtClaims { issuer: "you".into(), ..claims() }, "issuer-not-granted"),
        (JwtClaims { audiences: vec!["c".into()], ..claims() }, "audience-not-granted"),
        (JwtClaims { audiences: vec!["a".into(), "c".into()], ..claims() }, "audience-not-granted"),
        (JwtClaims { audiences: vec![], ..claims() }, "audience-not-granted"),
        (JwtClaims { expires_at: at + 601, ..claims() }, "lifetime-not-granted"),
        (JwtClaims { expires_at: at, ..claims() }, "lifetime-not-granted"),
        (JwtClaims { expires_at: at - 1, ..claims() }, "lifetime-not-granted"),
        (JwtClaims { issued_at: at + 61, expires_at: at + 62, ..claims() }, "lifetime-not-granted"),
        (JwtClaims { issued_at: 0, ..claims() }, "lifetime-not-granted"),
        (JwtClaims { expires_at: u64::MAX, ..claims() }, "lifetime-not-granted"),
    ] {
        assert_eq!(code(jwt().permit_jwt(&key(), SignatureAlgorithm::Rs256, &claims, NOW)), expected, "{claims:?}");
    }
    assert_eq!(code(jwt().permit_jwt(&key(), SignatureAlgorithm::Es256, &claims(), NOW)), "algorithm-not-granted");
}

#[test]
fn secret_grant_each_operation_needs_its_own_grant() {
    let text = || to_sign("20150830", "us-east-1", "sts").parse().unwrap();
    let grants = [
        (SecretOperation::Sigv4, sigv4()),
        (SecretOperation::Jwt, jwt()),
        (SecretOperation::HmacSha256, SecretGrant::new(Some(SecretPurpose::HmacSha256), false)),
        (SecretOperation::Pbkdf2, SecretGrant::new(Some(SecretPurpose::Pbkdf2), false)),
        (SecretOperation::Sign, SecretGrant::new(Some(SecretPurpose::Sign(vec![SignatureAlgorithm::Rs256])), false)),
        (SecretOperation::Reveal, SecretGrant::new(None, true)),
    ];
    for (granted, grant) in grants {
        assert!(grant.opens());
        for (operation, answer) in [
            (SecretOperation::Sigv4, grant.permit_sigv4(&key(), text(), NOW).map(drop)),
            (SecretOperation::Jwt, grant.permit_jwt(&key(), SignatureAlgorithm::Rs256, &claims(), NOW).map(drop)),
            (SecretOperation::HmacSha256, grant.permit_bare(&key(), SecretOperation::HmacSha256)),
            (SecretOperation::Pbkdf2, grant.permit_bare(&key(), SecretOperation::Pbkdf2)),
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
    assert_eq!(JwtGrant::new(rs(), some(), vec![], Span::secs(1)), Err(SecretGrantError::Empty("audiences")));
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
