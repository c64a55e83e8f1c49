//! An access token by a client's credentials (RFC 6749, section 4.4).
//!
//! The client's secret does not pass through here: the host adds it to the request, by the operator's http rule.

use bindings::exports::delegation::tokens::provider::Guest;
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::settings::{SettingsReader, wrong_setting};
use deputy_kit::types::{Failure, Setting, Settings, Tokens};
use deputy_kit::{answer, bearer::bearer, tokens::BEARER_TOKEN, url::Url};

deputy_kit::export_component!(
    Provider in "../../../wit",
    "package deputy:connector;
    world component {
        include delegation:tokens/token-provider@0.2.0;
        include delegation:tokens/describes-itself@0.2.0;
    }"
);

deputy_kit::describe!(Provider);

struct Provider;

const SETTINGS: [SettingSpec; 6] = [
    SettingSpec::new("token-url", "url", "the token endpoint").needed(),
    SettingSpec::new("client-id", "text", "the client, where the form names it beside its secret"),
    SettingSpec::new("scope", "text", "the scopes, with spaces between"),
    SettingSpec::new("audience", "text", "the API that the token is for, where the service asks for one"),
    SettingSpec::new("resource", "list", "one or several resources of RFC 8707, with spaces between"),
    SettingSpec::new("form.*", "text", "any other field of the form: form.NAME"),
];

/// The settings, and the form's fields that they stand for.
const FIELDS: [(&str, &str); 3] = [("client-id", "client_id"), ("scope", "scope"), ("audience", "audience")];

/// Fields with a setting of their own, and fields that only the host may add.
const TAKEN: [&str; 7] =
    ["grant_type", "client_id", "scope", "audience", "resource", "client_secret", "client_assertion"];

/// The token endpoint, and the form that goes there.
type Request<'a> = (Url, Vec<(&'a str, &'a str)>);

fn request(settings: &[Setting]) -> Result<Request<'_>, Failure> {
    let settings = SettingsReader::described(settings, Provider::SETTINGS)?;
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
        bearer(&answer::post_form(&url, form)?)
    }
}

impl Describe for Provider {
    const TITLE: &'static str = "Access tokens of OAuth 2.0, by client credentials";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS];

    fn wants(settings: &[Setting]) -> Result<Vec<Want>, Failure> {
        let (url, form) = request(settings)?;
        let want = Want::http(&url).with("method", "POST").reason("asks for a token");
        // The other way, HTTP Basic, needs no setting: the operator's rule has the client.
        let is_in_form = form.iter().any(|(name, _)| *name == "client_id");
        Ok(vec![if is_in_form { want.with("secret", "client-secret").with("field", "client_secret") } else { want }])
    }
}
