//! A component that wants a key, or a signature that it was not granted.
//!
//! For `sigv4` every link of the key chain is an HMAC of a text that anybody knows. If one of these texts, in any dress,
//! went through, the component would hold a key of the chain and sign what it likes. So every result that the operation
//! gives is compared with every key of the chain and with every signature outside of the grant.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deputy_support::hex;
use serde_json::Value;

use super::*;
use crate::secrets::key::tests::vector;

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// An implementation of the chain of its own, to compare with: the secret, and the key after each text.
fn chain(texts: &[&str]) -> Vec<Vec<u8>> {
    let mut keys = vec![format!("AWS4{AWS}").into_bytes()];
    for text in texts {
        keys.push(mac(&keys[keys.len() - 1], text));
    }
    keys
}

const DAYS: [&str; 5] = ["20150829", "20150830", "20150831", "20150901", "20160830"];
/// The day of `NOW`.
const TODAY: &str = "20150830";
const REGIONS: [&str; 4] = ["us-east-1", "eu-west-1", "", "us-east-1/sts"];
const SERVICES: [&str; 5] = ["sts", "s3", "iam", "", "sts/aws4_request"];

/// Every key that the chain has for these scopes. The last one of each scope may sign texts of that scope, if granted.
fn keys() -> Vec<(String, Vec<u8>, bool)> {
    let mut keys = Vec::new();
    for day in DAYS {
        for region in REGIONS {
            for service in SERVICES {
                let granted = service == "sts" && region == "us-east-1" && day == TODAY;
                for (index, key) in chain(&[day, region, service, "aws4_request"]).into_iter().enumerate() {
                    keys.push((format!("{day}/{region}/{service}/aws4_request"), key, granted && index == 4));
                }
            }
        }
    }
    keys
}

/// Whether a result is a key, or what no key but the text's own one under the grant signs.
fn forbidden(keys: &[(String, Vec<u8>, bool)], text: &str, result: &str) -> bool {
    let scope = text.split('\n').nth(2);
    keys.iter().any(|(of, key, granted)| {
        hex(key) == result || (hex(&mac(key, text)) == result && !(*granted && scope == Some(of)))
    })
}

/// Whatever might be taken for a string to sign, and the texts that keys are made from.
fn attempts() -> BTreeSet<String> {
    let hash = "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
    let words = ["20150830", "us-east-1", "sts", "aws4_request", "AWS4", "AWS4-HMAC-SHA256", "", "end", AWS];
    let mut texts: BTreeSet<String> = words.iter().map(|word| (*word).to_owned()).collect();
    for a in words {
        for b in words {
            for between in ["\n", "/", "", "\r\n", "\0"] {
                texts.insert(format!("{a}{between}{b}"));
            }
        }
    }
    for day in DAYS {
        for region in REGIONS {
            for service in SERVICES {
                let whole = text(day, region, service);
                for algorithm in ["AWS4-HMAC-SHA1", "AWS4-HMAC-SHA256-PAYLOAD", "AWS4-ECDSA-P256-SHA256", "AWS3", ""] {
                    texts.insert(whole.replace("AWS4-HMAC-SHA256", algorithm));
                }
                for end in
                    ["aws4_reques", "aws4_request/", "aws4_request ", "AWS4_REQUEST", "", "aws4_request\naws4_request"]
                {
                    texts.insert(whole.replace("aws4_request", end));
                }
                for other in [
                    "",
                    "UNSIGNED-PAYLOAD",
                    &hash.replacen('f', "", 1),
                    &hash.to_uppercase(),
                    &hash.repeat(2),
                    "20150830",
                ] {
                    texts.insert(whole.replace(hash, other));
                }
                for clock in ["T122100Z", "T122059Z", "T125100Z", "T125101Z", "T000000Z", "T235959Z"] {
                    texts.insert(whole.replace("T123600Z", clock));
                }
                for (from, to) in
                    [("T123600Z", ""), ("T123600Z", "T1236Z"), ("T123600Z", "T123600+00"), ("\n", "\r\n"), ("\n", " ")]
                {
                    texts.insert(whole.replace(from, to));
                }
                for around in ["\n", " ", "\0", "x", "\u{feff}"] {
                    texts.insert(format!("{around}{whole}"));
                    texts.insert(format!("{whole}{around}"));
                }
                texts.insert(whole);
            }
        }
    }
    texts
}

#[tokio::test]
async fn sigv4_yields_no_key_and_no_signature_outside_the_grant() {
    let mut call = TestCall::new(&[("aws-key", sigv4(&["sts"], &["us-east-1"]))]);
    call.values.set("aws-key", AWS);
    let secret = call.open("aws-key").await.unwrap();
    let attempts = attempts();
    let keys = keys();
    assert!(attempts.len() > 2000 && keys.len() == 500, "{} {}", attempts.len(), keys.len());
    let mut signed = BTreeSet::new();
    for text in &attempts {
        match call.sigv4(secret, text).await {
            Ok(result) => {
                assert!(!forbidden(&keys, text, &result.signature), "{text:?}");
                signed.insert(text.clone());
            }
            Err(SecretError::Denied(text) | SecretError::Invalid(text)) => assert!(!text.contains(AWS), "{text}"),
            Err(other) => panic!("{text:?}: {other:?}"),
        }
    }
    // Exactly what was granted, no more and no less.
    let granted = text(TODAY, "us-east-1", "sts");
    let clocks = ["T122100Z", "T123600Z", "T125100Z"];
    assert_eq!(signed, clocks.map(|clock| granted.replace("T123600Z", clock)).into());
}

#[tokio::test]
async fn secret_of_sigv4_serves_no_other_operation() {
    let mut call = TestCall::new(&[("aws-key", sigv4(&["sts"], &["us-east-1"]))]);
    call.values.set("aws-key", AWS);
    let secret = call.open("aws-key").await.unwrap();
    for text in attempts() {
        assert!(matches!(call.hmac(secret, text.as_bytes()).await, Err(SecretError::Denied(_))));
        assert!(matches!(call.pbkdf2(secret, text.as_bytes(), 4096).await, Err(SecretError::Denied(_))));
        for algorithm in ["RS256", "ES256", "EdDSA"] {
            assert!(matches!(call.sign(secret, algorithm, text.as_bytes()).await, Err(SecretError::Denied(_))));
        }
    }
    assert!(matches!(call.reveal(secret).await, Err(SecretError::Denied(_))));
}

#[tokio::test]
async fn jwt_yields_no_token_outside_the_grant() {
    let others = ["iss", "aud", "iat", "exp"].map(|own| (format!("x-{own}").parse().unwrap(), ClaimGrant::Any));
    let grant = only(SecretPurpose::Jwt(jwt_grant().with_claims(others.into())));
    let mut call = TestCall::new(&[("key", grant)]);
    call.values.set("key", vector!("eddsa.jwk.json"));
    let secret = call.open("key").await.unwrap();
    let values = [
        "\"deputy\"",
        "\"sts\"",
        "\"other\"",
        "[\"sts\"]",
        "[\"sts\", \"other\"]",
        "[]",
        "null",
        "1440938160",
        "1440938760",
        "1440938761",
        "1440938760.5",
        "1e10",
        "-1",
        "99999999999999999999",
        "{}",
        "\"1440938760\"",
    ];
    let names = [
        "iss",
        "aud",
        "iat",
        "exp",
        "sub",
        "scope",
        "ISS",
        "Aud",
        "eXp",
        "Sub",
        "nbf",
        "i\u{17f}s",
        "sub ",
        "sub\\u0000",
        "\\u0069ss",
        "\\u0061ud",
        "e\\u0078p",
        "s\\u0075b",
    ];
    let mut attempts = BTreeSet::new();
    for name in names {
        for value in values {
            attempts.insert(CLAIMS.replacen('{', &format!("{{\"{name}\": {value}, "), 1));
            attempts.insert(CLAIMS.replace('}', &format!(", \"{name}\": {value}}}")));
            for (own, _) in [("iss", ()), ("aud", ()), ("iat", ()), ("exp", ())] {
                attempts.insert(CLAIMS.replace(&format!("\"{own}\""), &format!("\"{name}\": {value}, \"x-{own}\"")));
            }
        }
    }
    for text in ["", "{}", "[]", "null", "\"a.b\"", "eyJhbGciOiJub25lIn0.e30.", "{\"alg\": \"none\"}"] {
        attempts.insert(text.to_owned());
    }
    assert!(attempts.len() > 500, "{}", attempts.len());
    let (mut signed, mut refused) = (0, 0);
    for claims in attempts {
        for algorithm in ["EdDSA", "ES256", "RS256"] {
            let Ok(token) = call.jwt(secret, algorithm, &claims).await else {
                refused += 1;
                continue;
            };
            signed += 1;
            let parts: Vec<_> = token.split('.').collect();
            let part = |index: usize| -> Value {
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[index]).unwrap()).unwrap()
            };
            assert_eq!(part(0), serde_json::json!({"alg": "EdDSA", "typ": "JWT"}));
            // As a verifier reads it, also one that compares names without case.
            for (name, value) in part(1).as_object().unwrap() {
                let seconds = value.as_u64().unwrap_or_default();
                match name.to_uppercase().as_str() {
                    "ISS" => assert_eq!(value, "deputy", "{claims}"),
                    "AUD" => assert!(*value == "sts" || *value == serde_json::json!(["sts"]), "{claims}"),
                    "IAT" => assert_eq!(seconds, 1_440_938_160, "{claims}"),
                    "EXP" => assert!((1_440_938_161..=1_440_938_760).contains(&seconds), "{claims}"),
                    _ => assert!(name == "nbf" || name.starts_with("x-"), "{claims}"),
                }
            }
            for name in ["iss", "aud", "iat", "exp"] {
                assert!(part(1).get(name).is_some(), "{claims}");
            }
        }
    }
    assert!(signed >= 10 && refused > 500, "{signed} {refused}");
}

#[tokio::test]
async fn jwt_header_cannot_change_the_algorithm() {
    let mut call = TestCall::new(&[("key", jwt())]);
    call.values.set("key", vector!("eddsa.jwk.json"));
    let secret = call.open("key").await.unwrap();
    for id in ["\", \"alg\": \"none", "a.b", "../../key"] {
        let view = &mut call.view();
        let header = serde_json::json!({"kid": id}).to_string();
        let secret = Resource::new_borrow(secret);
        let token = view.jwt(secret, "EdDSA".to_owned(), header, CLAIMS.to_owned()).await.unwrap();
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header, serde_json::json!({"alg": "EdDSA", "typ": "JWT", "kid": id}));
    }
    for header in [
        r#"{"alg": "none"}"#,
        r#"{"alg": "EdDSA"}"#,
        r#"{"kid": "a", "kid": "b"}"#,
        r#"{"jwk": {"kty": "OKP"}}"#,
        r#"{"jku": "https://evil.example"}"#,
        r#"{"crit": ["exp"], "exp": 1}"#,
        r#"{"kid": "\u0000"}"#,
    ] {
        let secret = Resource::new_borrow(secret);
        let result = call.view().jwt(secret, "EdDSA".to_owned(), header.to_owned(), CLAIMS.to_owned()).await;
        assert!(matches!(call.convert(result), Err(SecretError::Invalid(_))), "{header}");
    }
}
