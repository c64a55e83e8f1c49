//! An access token by a client whose secret signs: `client_secret_jwt` (OpenID Connect Core 1.0, section 9).
//!
//! The secret is used by handle: the host computes the HMAC, and no code here ever has the secret.

use bindings::delegation::tokens::secrets::{self, SecretError};
use bindings::exports::delegation::tokens::provider::Guest;
use deputy_kit::settings::{SettingsReader, wrong_setting};
use deputy_kit::types::{Failure, Settings, Tokens};
use deputy_kit::{answer, bearer::bearer, clock, encode, failure, tokens::BEARER_TOKEN, url::Url};

deputy_kit::export_component!(
    Provider in "../../../../wit",
    "package deputy:connector;
     world component {
         include delegation:tokens/token-provider@0.2.0;
         include delegation:tokens/uses-secrets@0.2.0;
     }"
);

struct Provider;

struct Options<'a> {
    url: Url,
    client: &'a str,
    audience: &'a str,
}

fn options(settings: &Settings) -> Result<Options<'_>, Failure> {
    let settings = SettingsReader::new(settings, &["token-url", "client-id", "audience"])?;
    let text = settings.required("token-url")?;
    let url = Url::parse(text).map_err(|problem| wrong_setting("token-url", &problem))?;
    let audience = settings.optional("audience").unwrap_or(text);
    Ok(Options { url, client: settings.required("client-id")?, audience })
}

/// A JWT that is good for a minute.
fn assertion(client: &str, audience: &str) -> Result<String, Failure> {
    let now = clock::now();
    let (client, audience, issued) = (encode::json(client), encode::json(audience), now / 1000);
    let claims = format!(
        r#"{{"iss":{client},"sub":{client},"aud":{audience},"jti":"{now}","iat":{issued},"exp":{}}}"#,
        issued.saturating_add(60)
    );
    let body = [r#"{"alg":"HS256","typ":"JWT"}"#, &claims].map(|part| encoded(part.as_bytes())).join(".");
    let mac = secrets::open("client-secret").and_then(|secret| secret.hmac_sha256(body.as_bytes()));
    Ok(format!("{body}.{}", encoded(&mac.map_err(not_used)?)))
}

fn encoded(part: &[u8]) -> String {
    encode::base64(part).replace('+', "-").replace('/', "_").replace('=', "")
}

fn not_used(error: SecretError) -> Failure {
    match error {
        SecretError::Unavailable(why) => failure::unavailable(format!("secret `client-secret`: {why}")),
        SecretError::Denied(why) | SecretError::Invalid(why) => {
            failure::misconfigured(format!("secret `client-secret`: {why}"))
        }
    }
}

impl Guest for Provider {
    fn service_name(_: Settings) -> Result<String, Failure> {
        Ok("oauth2".to_owned())
    }

    fn kinds(_: Settings) -> Result<Vec<String>, Failure> {
        Ok(vec![BEARER_TOKEN.to_owned()])
    }

    fn tokens_required(settings: Settings) -> Result<bool, Failure> {
        options(&settings).map(|_| true)
    }

    fn obtain(settings: Settings) -> Result<Tokens, Failure> {
        let Options { url, client, audience } = options(&settings)?;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion(client, audience)?),
        ];
        bearer(&answer::post_form(&url, form)?)
    }
}
