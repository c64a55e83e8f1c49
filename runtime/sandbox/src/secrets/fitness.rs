//! Whether a secret's value is one that its purpose can use, found out before anything is signed with it.

use deputy_core::SecretBytes;
use deputy_core::grant::{SecretPurpose, SignatureAlgorithm};

use super::key::{SigningKey, SigningKeyError};
use super::{scram, sigv4};

/// Judges a value by its purpose. The error's text holds nothing of it.
pub(crate) fn validate(purpose: &SecretPurpose, value: &SecretBytes) -> Result<(), String> {
    match purpose {
        SecretPurpose::Sigv4(_) => sigv4::validate(value).map_err(|error| error.to_string()),
        SecretPurpose::Jwt(grant) => key(grant.algorithms(), value),
        SecretPurpose::Scram(_) => scram::validate(value).map_err(|error| error.to_string()),
        SecretPurpose::Sign(algorithms) => key(algorithms.iter().copied(), value),
        SecretPurpose::HmacSha256 | SecretPurpose::Pbkdf2 => Ok(()),
    }
}

/// A key fits one algorithm, of several that may be granted.
fn key(algorithms: impl Iterator<Item = SignatureAlgorithm>, value: &SecretBytes) -> Result<(), String> {
    let mut first: Option<SigningKeyError> = None;
    for algorithm in algorithms {
        match SigningKey::read(value, algorithm) {
            Ok(_) => return Ok(()),
            Err(error) => drop(first.get_or_insert(error)),
        }
    }
    first.map_or(Ok(()), |error| Err(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_core::Span;
    use deputy_core::grant::{JwtGrant, ScramGrant, Sigv4Grant};

    fn judged(purpose: &SecretPurpose, value: &str) -> Result<(), String> {
        validate(purpose, &SecretBytes::new(value.as_bytes().to_vec()))
    }

    #[test]
    fn fitness_of_a_value_for_sigv4() {
        let sigv4 = SecretPurpose::Sigv4(Sigv4Grant::new(vec!["sts".into()], vec!["eu-west-1".into()]).unwrap());
        for good in ["wJalr/K7+x", r#"{"AccessKeyId": "AKIA", "SecretAccessKey": "wJalr"}"#] {
            assert_eq!(judged(&sigv4, good), Ok(()), "{good}");
        }
        for bad in ["two hunter2", r#"{"AccessKey": "hunter2"}"#, "[default]\naws_access_key_id = hunter2"] {
            assert!(!judged(&sigv4, bad).unwrap_err().contains("hunter2"), "{bad}");
        }
    }

    #[test]
    fn fitness_of_a_value_for_scram() {
        let scram = SecretPurpose::Scram(ScramGrant::new("carol".to_owned()).unwrap());
        assert_eq!(judged(&scram, "correct horse"), Ok(()));
        for bad in ["", "hünter2", "hunter2\thunter2"] {
            let error = judged(&scram, bad).unwrap_err();
            assert!(error.contains("visible ASCII") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn fitness_of_a_value_for_signatures() {
        let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let all = vec![SignatureAlgorithm::Rs256, SignatureAlgorithm::Es256, SignatureAlgorithm::EdDsa];
        let jwt = JwtGrant::new(all.clone(), vec!["me".into()], vec!["them".into()], Span::secs(60)).unwrap();
        for purpose in [SecretPurpose::Sign(all), SecretPurpose::Jwt(jwt)] {
            assert_eq!(judged(&purpose, jwk), Ok(()));
            assert!(!judged(&purpose, "hunter2").unwrap_err().contains("hunter2"));
        }
        assert!(judged(&SecretPurpose::Sign(vec![SignatureAlgorithm::Rs256]), jwk).is_err());
        assert_eq!(judged(&SecretPurpose::HmacSha256, "anything"), Ok(()));
    }
}
