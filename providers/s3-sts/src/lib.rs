//! Short-lived S3 credentials from AWS STS, or from a server with the same API (MinIO, SeaweedFS, Ceph).
//!
//! One call is one signed form POST and one XML answer. The signing key stays with the host: this component builds the
//! string to sign and asks the secret `sigv4` for the signature, so it imports no way to read a key. A web identity
//! token does not pass through it either: the host adds the form field `WebIdentityToken` (see `docs/providers.md`).
//!
//! `config` reads the settings, `request` and `sigv4` make the request, `answer`, `refusal` and `xml` read the response.
//! They do no I/O and are tested natively; only this file calls the host. Nothing is retried here, no state is kept, and
//! no credential of a response enters an error.

mod answer;
mod config;
mod endpoint;
mod refusal;
mod request;
mod sigv4;
mod wants;
mod xml;

use bindings::delegation::tokens::secrets::{self, SecretError};
use bindings::exports::delegation::tokens::provider::Guest;
use config::{Signing, StsConfig};
use deputy_kit::http::{self, Method};
use deputy_kit::tokens::AWS_CREDENTIAL_PROCESS;
use deputy_kit::types::{Failure, Settings, Tokens};
use deputy_kit::{clock, failure, time};

deputy_kit::export_component!(
    S3Sts,
    "
        package deputy:connector;
        world component {
            include delegation:tokens/token-provider@0.2.0;
            include delegation:tokens/uses-secrets@0.2.0;
            include delegation:tokens/describes-itself@0.2.0;
        }
    "
);

struct S3Sts;

deputy_kit::describe!(S3Sts);

impl Guest for S3Sts {
    fn service_name(_: Settings) -> Result<String, Failure> {
        Ok("s3".to_owned())
    }

    fn kinds(_: Settings) -> Result<Vec<String>, Failure> {
        Ok(vec![AWS_CREDENTIAL_PROCESS.to_owned()])
    }

    fn tokens_required(settings: Settings) -> Result<bool, Failure> {
        StsConfig::read(&settings).map(|_| true)
    }

    fn obtain(settings: Settings) -> Result<Tokens, Failure> {
        let config = StsConfig::read(&settings)?;
        let body = request::form(&config);
        let authorization = config.signing.as_ref().map(|signing| sign(&config, signing, &body)).transpose()?;
        let mut headers = vec![("content-type", request::FORM), ("accept-encoding", "identity")];
        if let Some((date, authorization)) = &authorization {
            headers.extend([("x-amz-date", date.as_str()), ("authorization", authorization.as_str())]);
        }
        let response = http::send(&Method::Post, &config.endpoint, &headers, body.as_bytes())
            .map_err(|error| not_sent(&config, error))?;
        answer::read(config.operation, &response, clock::now())
    }
}

/// The headers `x-amz-date` and `authorization`.
fn sign(config: &StsConfig, signing: &Signing, body: &str) -> Result<(String, String), Failure> {
    let date = time::basic(clock::now());
    let canonical = request::canonical(&config.endpoint, &date, body);
    let scope = sigv4::Scope { date: &date, region: signing.region, service: "sts" };
    let key = secrets::open(signing.secret).map_err(|error| not_signed(signing, error))?;
    let signed = key.sigv4(&sigv4::string_to_sign(&scope, &canonical)).map_err(|error| not_signed(signing, error))?;
    let id = match signed.access_key_id.as_deref() {
        Some(id) => config::access_key_id(id).map_err(|problem| {
            failure::misconfigured(format!("the access key id in secret `{}`: {problem}", signing.secret))
        })?,
        None => signing.access_key_id.ok_or_else(|| {
            failure::misconfigured(format!(
                "secret `{}` holds the secret key alone: put the key's id into setting `access-key-id`, or \
                 {{\"AccessKeyId\": …, \"SecretAccessKey\": …}} into the secret",
                signing.secret
            ))
            .setting("access-key-id")
        })?,
    };
    let authorization = sigv4::authorization(id, &scope, &canonical, &signed.signature);
    Ok((date, authorization))
}

/// Names the default endpoint in the failure: the operator may have forgotten to set another one.
fn not_sent(config: &StsConfig, error: http::SendError) -> Failure {
    match error {
        http::SendError::NotGranted(_) if config.is_default_endpoint => failure::misconfigured(format!(
            "{error}; this is AWS's own endpoint, since `endpoint` is not set: set it to use another service"
        ))
        .setting("endpoint"),
        error => error.into(),
    }
}

fn not_signed(signing: &Signing, error: SecretError) -> Failure {
    let secret = signing.secret;
    match error {
        SecretError::Denied(text) => failure::misconfigured(format!("secret `{secret}` is not granted: {text}")),
        SecretError::Invalid(text) => {
            failure::misconfigured(format!("secret `{secret}` rejected the string to sign: {text}"))
        }
        SecretError::Unavailable(text) => failure::unavailable(format!("secret `{secret}` cannot be used now: {text}")),
    }
}
