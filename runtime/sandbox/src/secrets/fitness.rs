//! Whether a secret's value is one that its purpose can use, found out before anything is signed with it.

use deputy_core::SecretBytes;
use deputy_core::grant::{Algorithm, Purpose};

use super::key::{KeyError, SigningKey};
use super::sigv4;

/// Judges a value by its purpose. The error's text holds nothing of it.
pub(crate) fn judge(purpose: &Purpose, value: &SecretBytes) -> Result<(), String> {
    match purpose {
        Purpose::Sigv4(_) => sigv4::judge(value).map_err(|error| error.to_string()),
        Purpose::Jwt(grant) => key(grant.algorithms(), value),
        Purpose::Sign(algorithms) => key(algorithms.iter().copied(), value),
        Purpose::HmacSha256 | Purpose::Pbkdf2 => Ok(()),
    }
}

/// A key is good for one algorithm, of several that may be granted.
fn key(algorithms: impl Iterator<Item = Algorithm>, value: &SecretBytes) -> Result<(), String> {
    let mut first: Option<KeyError> = None;
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
    use deputy_core::grant::{JwtGrant, Sigv4Grant};

    fn judged(purpose: &Purpose, value: &str) -> Result<(), String> {
        judge(purpose, &SecretBytes::new(value.as_bytes().to_vec()))
    }

    #[test]
    fn fitness_of_a_value_for_sigv4() {
        let sigv4 = Purpose::Sigv4(Sigv4Grant::new(vec!["sts".into()], vec!["eu-west-1".into()]).unwrap());
        for good in ["wJalr/K7+x", r#"{"AccessKeyId": "AKIA", "SecretAccessKey": "wJalr"}"#] {
            assert_eq!(judged(&sigv4, good), Ok(()), "{good}");
        }
        for bad in ["two hunter2", r#"{"AccessKey": "hunter2"}"#, "[default]\naws_access_key_id = hunter2"] {
            assert!(!judged(&sigv4, bad).unwrap_err().contains("hunter2"), "{bad}");
        }
    }

    #[test]
    fn fitness_of_a_value_for_signatures() {
        let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let all = vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];
        let jwt = JwtGrant::new(all.clone(), vec!["me".into()], vec!["them".into()], Span::secs(60)).unwrap();
        for purpose in [Purpose::Sign(all), Purpose::Jwt(jwt)] {
            assert_eq!(judged(&purpose, jwk), Ok(()));
            assert!(!judged(&purpose, "hunter2").unwrap_err().contains("hunter2"));
        }
        assert!(judged(&Purpose::Sign(vec![Algorithm::Rs256]), jwk).is_err());
        assert_eq!(judged(&Purpose::HmacSha256, "anything"), Ok(()));
    }
}
