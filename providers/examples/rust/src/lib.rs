//! An access token by a client's credentials (RFC 6749, section 4.4).
//!
//! The client's secret does not pass through here: the host adds it to the request, by the operator's http rule.

use bindings::exports::delegation::tokens::provider::Guest;
use deputy_kit::settings::{SettingsReader, wrong_setting};
use deputy_kit::types::{Failure, Settings, Tokens};
use deputy_kit::{answer, tokens::BEARER_TOKEN, url::Url};

deputy_kit::export_component!(
    Provider in "../../../wit",
    "package deputy:connector; world component { include delegation:tokens/token-provider@0.2.0; }"
);

struct Provider;

/// The settings, and the form's fields that they stand for.
const FIELDS: [(&str, &str); 3] = [("client-id", "client_id"), ("scope", "scope"), ("audience", "audience")];

/// Fields with a setting of their own, and fields that only the host may add.
const TAKEN: [&str; 7] =
    ["grant_type", "client_id", "scope", "audience", "resource", "client_secret", "client_assertion"];

/// The token endpoint, and the form that goes there.
type Request<'a> = (Url, Vec<(&'a str, &'a str)>);

fn request(settings: &Settings) -> Result<Request<'_>, Failure> {
    let names = ["token-url", "client-id", "scope", "audience", "resource"];
    let settings = SettingsReader::with_families(settings, &names, &["form"])?;
    if let Some((name, _)) = settings.family("form").find(|(name, _)| TAKEN.contains(name)) {
        let problem = "this field has a setting of its own, or is added by the host";
        return Err(wrong_setting(&format!("form.{name}"), problem));
    }
    let url = Url::parse(settings.required("token-url")?).map_err(|problem| wrong_setting("token-url", &problem))?;
    let given = FIELDS.into_iter().filter_map(|(name, field)| Some((field, settings.optional(name)?)));
    let resources = settings.optional("resource").unwrap_or_default().split_whitespace(); // RFC 8707: one or several
    let fields = given.chain(resources.map(|resource| ("resource", resource))).chain(settings.family("form"));
    Ok((url, fields.chain([("grant_type", "client_credentials")]).collect()))
}

impl Guest for Provider {
    fn service_name(_: Settings) -> Result<String, Failure> {
        Ok("oauth2".to_owned())
    }

    fn kinds(_: Settings) -> Result<Vec<String>, Failure> {
        Ok(vec![BEARER_TOKEN.to_owned()])
    }

    fn tokens_required(settings: Settings) -> Result<bool, Failure> {
        request(&settings).map(|_| true)
    }

    fn obtain(settings: Settings) -> Result<Tokens, Failure> {
        let (url, form) = request(&settings)?;
        answer::bearer(&answer::post_form(&url, form)?)
    }
}
