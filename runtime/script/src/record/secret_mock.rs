//! Made-up secrets that fit what the grant has them used for.

use deputy_core::grant::{SecretGrant, SecretPurpose, SignatureAlgorithm};
use deputy_core::{SecretBytes, SecretName};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::Value;

use super::mocks::{MIN_DIGITS, Mocks};

/// A made-up secret. What it stands for is replaced from then on.
pub(super) fn mock_secret(
    mocks: &mut Mocks,
    name: &SecretName,
    grant: &SecretGrant,
    real: &SecretBytes,
) -> Result<String, rcgen::Error> {
    let text = String::from_utf8_lossy(real.expose());
    let algorithm = match grant.purpose() {
        Some(SecretPurpose::Jwt(grant)) => grant.algorithms().next(),
        Some(SecretPurpose::Sign(algorithms)) => algorithms.first().copied(),
        _ => text.contains("-----BEGIN").then_some(SignatureAlgorithm::Es256),
    };
    let mock = match (algorithm, serde_json::from_str::<Value>(&text)) {
        (Some(algorithm), _) => key(algorithm)?,
        (None, Ok(value @ Value::Object(_))) => members(mocks, name.as_str(), &value).to_string(),
        (None, _) => mocks.add(name.as_str(), &text),
    };
    mocks.set(&text, &mock);
    Ok(mock)
}

fn key(algorithm: SignatureAlgorithm) -> Result<String, rcgen::Error> {
    let algorithm = match algorithm {
        SignatureAlgorithm::EdDsa => &PKCS_ED25519,
        SignatureAlgorithm::Es256 => &PKCS_ECDSA_P256_SHA256,
        SignatureAlgorithm::Rs256 => &PKCS_RSA_SHA256,
    };
    Ok(KeyPair::generate_for(algorithm)?.serialize_pem())
}

/// The same members with made-up texts and numbers.
fn members(mocks: &mut Mocks, name: &str, value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| {
                let value = members(mocks, name, value);
                (mocks.mock_name(name), value)
            });
            entries.collect()
        }
        Value::Array(values) => values.iter().map(|value| members(mocks, name, value)).collect(),
        Value::String(text) if !text.is_empty() => Value::from(mocks.add(name, text)),
        Value::Number(number) => {
            let text = number.to_string();
            // A short one is the version of a format.
            if text.bytes().filter(u8::is_ascii_digit).count() < MIN_DIGITS {
                return value.clone();
            }
            let mock = mocks.add(name, &text);
            serde_json::from_str(&mock).unwrap_or(Value::from(mock))
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::mocks::Replacement;
    use std::collections::BTreeMap;

    fn mock(purpose: Option<SecretPurpose>, real: &str) -> String {
        let mut mocks = Mocks::new(Replacement::Likely, &BTreeMap::new());
        let real = SecretBytes::new(real.as_bytes().to_vec());
        mock_secret(&mut mocks, &"aws-key".parse().unwrap(), &SecretGrant::new(purpose, false), &real).unwrap()
    }

    #[test]
    fn record_makes_secrets_up_in_the_form_that_they_need() {
        assert_eq!(mock(None, "hunter2!"), "mock-aws-key");
        let pair = mock(None, r#"{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"hunter2!","Version":1}"#);
        assert_eq!(pair, r#"{"AccessKeyId":"MOCKACCESSKEYID","SecretAccessKey":"mock-secretaccesskey","Version":1}"#);
        let numbers = mock(None, r#"{"pin":12345678,"codes":["hunter2!",493021],"ghp_16C7k42R292w6912Z771":true}"#);
        assert_eq!(numbers, r#"{"codes":["mock-codes",100001],"ghp_mock-value":true,"pin":10000001}"#);
        for algorithm in [SignatureAlgorithm::EdDsa, SignatureAlgorithm::Es256, SignatureAlgorithm::Rs256] {
            let key = mock(Some(SecretPurpose::Sign(vec![algorithm])), "hunter2!");
            assert!(key.contains("PRIVATE KEY") && !key.contains("hunter2"), "{key}");
        }
    }
}
