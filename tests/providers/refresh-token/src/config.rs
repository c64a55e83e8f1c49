//! The settings.

use deputy_kit::settings::{SettingsReader, wrong_setting};
use deputy_kit::types::{Failure, Setting};
use deputy_kit::url::Url;

const KNOWN: [&str; 5] = ["token-url", "userinfo-url", "client-id", "scope", "secret"];

/// The checked settings.
#[derive(Debug)]
pub(crate) struct RefreshConfig<'a> {
    pub(crate) url: Url,
    /// Where the service says whose the access token is (OpenID Connect Core, 5.3).
    pub(crate) userinfo: Option<Url>,
    client_id: Option<&'a str>,
    scope: Option<&'a str>,
    /// The name of the secret that holds the first refresh token.
    pub(crate) secret: &'a str,
}

impl<'a> RefreshConfig<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let settings = SettingsReader::new(settings, &KNOWN)?;
        Ok(Self {
            url: url("token-url", settings.required("token-url")?)?,
            userinfo: settings.optional("userinfo-url").map(|text| url("userinfo-url", text)).transpose()?,
            client_id: settings.optional("client-id"),
            scope: settings.optional("scope"),
            secret: settings.optional("secret").unwrap_or("refresh-token"),
        })
    }

    /// The fields of the request.
    pub(crate) fn form<'f>(&'f self, refresh_token: &'f str) -> impl Iterator<Item = (&'f str, &'f str)> {
        let fixed = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        let optional = [("client_id", self.client_id), ("scope", self.scope)];
        fixed.into_iter().chain(optional.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }
}

fn url(name: &str, text: &str) -> Result<Url, Failure> {
    Url::parse(text).map_err(|problem| wrong_setting(name, &problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::encode::form;
    use deputy_kit::settings::settings_of;

    #[test]
    fn config_makes_the_form_of_a_refresh() {
        let written =
            settings_of(&[("token-url", "https://login.example/token"), ("client-id", "deputy"), ("scope", "a b")]);
        let config = RefreshConfig::read(&written).unwrap();
        assert_eq!(config.secret, "refresh-token");
        assert_eq!(
            form(config.form("r/1")),
            "grant_type=refresh_token&refresh_token=r%2F1&client_id=deputy&scope=a%20b"
        );
    }

    #[test]
    fn config_names_the_setting_that_is_wrong() {
        for (pairs, name) in [
            (vec![], "token-url"),
            (vec![("token-url", "login.example")], "token-url"),
            (vec![("token-url", "https://h/"), ("userinfo-url", "h")], "userinfo-url"),
            (vec![("token-url", "https://h/"), ("client_id", "x")], "client_id"),
        ] {
            assert_eq!(RefreshConfig::read(&settings_of(&pairs)).unwrap_err().setting.as_deref(), Some(name));
        }
    }
}
