//! Credentials of a lease as programs read them from the output of `deputy get`.

use clap::ValueEnum;
use deputy_local::ReceivedPayload;
use deputy_payloads::{AwsCredentials, AwsError, aws_expiration};
use zeroize::Zeroizing;

use crate::error::CommandError;
use crate::exit::Exit;

/// How the credentials of an instance of the service `s3` are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LeaseFormat {
    /// What AWS's libraries expect of a `credential_process`, with the expiry of the lease
    AwsProcess,
    /// Lines for a shell: `export AWS_ACCESS_KEY_ID='…'`
    Env,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum LeaseFormatError {
    #[error("the payload of {instance} holds no AWS credentials")]
    NotAws { instance: String, source: AwsError },
}

/// The credentials of an instance in a form, with a line break at the end.
pub(super) fn text(
    format: LeaseFormat,
    instance: &str,
    lease: &ReceivedPayload,
) -> Result<Zeroizing<String>, CommandError> {
    let text = match format {
        LeaseFormat::AwsProcess => aws_process(lease),
        LeaseFormat::Env => env(lease),
    };
    text.map(Zeroizing::new).map_err(|source| {
        let error = LeaseFormatError::NotAws { instance: instance.to_owned(), source };
        CommandError::new(Exit::Misconfigured, error).hint("--reveal prints a payload of any kind")
    })
}

/// The expiry is the lease's, which the operator may have shortened: a library that goes by it asks again in time.
fn aws_process(lease: &ReceivedPayload) -> Result<String, AwsError> {
    let aws = AwsCredentials::parse(lease.payload.expose())?;
    let expiration = lease.valid_until.as_deref().map(aws_expiration);
    let (key, secret, token) = (aws.access_key_id(), aws.secret_access_key(), aws.session_token());
    Ok(AwsCredentials::new(key, secret, token, expiration.as_deref())?.to_json() + "\n")
}

fn env(lease: &ReceivedPayload) -> Result<String, AwsError> {
    let aws = AwsCredentials::parse(lease.payload.expose())?;
    let expiration = lease.valid_until.as_deref().map(aws_expiration);
    let variables = [
        ("AWS_ACCESS_KEY_ID", Some(aws.access_key_id())),
        ("AWS_SECRET_ACCESS_KEY", Some(aws.secret_access_key())),
        ("AWS_SESSION_TOKEN", aws.session_token()),
        ("AWS_CREDENTIAL_EXPIRATION", expiration.as_deref()),
    ];
    let lines = variables.map(|(name, value)| match value {
        Some(value) => format!("export {name}={}\n", in_quotes(value)),
        // One of other credentials must not stay.
        None => format!("unset {name}\n"),
    });
    Ok(lines.concat())
}

/// One word of a shell.
fn in_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use deputy_core::{S3Place, SecretBytes};

    use super::*;

    fn lease(payload: &str) -> ReceivedPayload {
        ReceivedPayload {
            payload: SecretBytes::new(payload.as_bytes().to_vec()),
            revision: Some(1),
            kind: None,
            valid_until: Some("2026-11-22T17:00:00.500Z".into()),
            service: None,
            place: S3Place::default(),
        }
    }

    #[test]
    fn lease_format_has_the_expiry_of_the_lease() {
        let lease = lease(r#"{"AccessKeyId":"AKIA","SecretAccessKey":"x","Expiration":"2026-11-22T18:00:00Z"}"#);
        assert_eq!(
            aws_process(&lease).unwrap(),
            "{\"Version\":1,\"AccessKeyId\":\"AKIA\",\"SecretAccessKey\":\"x\",\"Expiration\":\"2026-11-22T17:00:00Z\"}\n"
        );
        assert_eq!(
            env(&lease).unwrap(),
            "export AWS_ACCESS_KEY_ID='AKIA'\nexport AWS_SECRET_ACCESS_KEY='x'\nunset AWS_SESSION_TOKEN\n\
             export AWS_CREDENTIAL_EXPIRATION='2026-11-22T17:00:00Z'\n"
        );
    }

    #[test]
    fn lease_format_leaves_nothing_for_a_shell_to_run() {
        let lease = lease(r#"{"AccessKeyId":"a'b","SecretAccessKey":"$(x)`y`\\;"}"#);
        let text = env(&lease).unwrap();
        assert!(
            text.starts_with("export AWS_ACCESS_KEY_ID='a'\\''b'\nexport AWS_SECRET_ACCESS_KEY='$(x)`y`\\;'\n"),
            "{text}"
        );
    }

    #[test]
    fn lease_format_errors_never_have_the_payload() {
        for payload in ["hunter2", r#"{"AccessKeyId":"AKIA","SecretAccessKey":["hunter2"]}"#] {
            for format in [LeaseFormat::AwsProcess, LeaseFormat::Env] {
                let error = text(format, "s3", &lease(payload)).unwrap_err();
                assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            }
        }
    }
}
