//! What the connector wants with its settings.

use crate::S3Sts;
use crate::config::{KEY_FORMAT, SETTINGS, StsConfig};
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::types::{Failure, Setting};

/// The form field that the host adds for a web identity, and the secret that it is from.
const WEB_IDENTITY: (&str, &str) = ("WebIdentityToken", "web-identity-token");

impl Describe for S3Sts {
    const TITLE: &'static str = "Credentials for S3 from AWS STS or a service with its API";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS];

    fn wants(settings: &[Setting]) -> Result<Vec<Want>, Failure> {
        let config = StsConfig::read(settings)?;
        let request = Want::http(&config.endpoint).with("method", "POST").reason("asks STS for credentials");
        let Some(signing) = &config.signing else {
            let (field, secret) = WEB_IDENTITY;
            let request = request.with("secret", secret).with("field", field);
            return Ok(vec![request.with("format", "the web identity token, as its issuer wrote it")]);
        };
        let secret = Want::secret(signing.secret).with("use", "sigv4").with("service", "sts");
        let secret = secret.with("region", signing.region).with("format", KEY_FORMAT);
        Ok(vec![secret.reason("signs requests to STS"), request])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::settings::settings_of;

    fn wants(pairs: &[(&str, &str)]) -> Vec<String> {
        let wants = S3Sts::wants(&settings_of(pairs)).unwrap();
        let text = |want: Want| {
            let texts: Vec<_> =
                want.properties.iter().filter(|(name, _)| !["format", "reason"].contains(name)).collect();
            let texts: Vec<_> = texts.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} {}", want.kind, texts.join(" "))
        };
        wants.into_iter().map(text).collect()
    }

    #[test]
    fn wants_are_the_endpoint_and_the_key_for_sts_alone() {
        let aws = wants(&[("region", "eu-west-1"), ("role-arn", "arn:aws:iam::123456789012:role/worker")]);
        assert_eq!(
            aws,
            [
                "secret name=aws-key use=sigv4 service=sts region=eu-west-1",
                "http url=https://sts.eu-west-1.amazonaws.com path=/ method=POST"
            ]
        );
        let own = wants(&[("region", "us-east-1"), ("endpoint", "http://127.0.0.1:8333/sts"), ("secret", "lab-key")]);
        assert_eq!(
            own,
            [
                "secret name=lab-key use=sigv4 service=sts region=us-east-1",
                "http url=http://127.0.0.1:8333 path=/sts method=POST"
            ]
        );
    }

    #[test]
    fn wants_of_a_web_identity_are_a_form_field_and_no_key() {
        let role = ("role-arn", "arn:aws:iam::123456789012:role/worker");
        let found = wants(&[("operation", "assume-role-with-web-identity"), ("region", "eu-west-1"), role]);
        assert_eq!(
            found,
            [
                "http url=https://sts.eu-west-1.amazonaws.com path=/ method=POST secret=web-identity-token field=WebIdentityToken"
            ]
        );
    }

    #[test]
    fn wants_need_the_settings() {
        assert_eq!(S3Sts::wants(&[]).unwrap_err().setting.as_deref(), Some("region"));
    }
}
