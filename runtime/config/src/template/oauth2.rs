//! A file for OAuth 2.0: bearer tokens of a client of its own (RFC 6749, 4.4).

use deputy_core::toml_string;

use super::{InstanceTemplate, Server, UrlError, coordinator_head};

#[derive(Debug, Clone)]
pub struct OAuth2Template {
    pub instance: InstanceTemplate,
    pub token_url: String,
    pub client_id: String,
    pub scope: Option<String>,
    /// The file of the client's secret, as the configuration names it.
    pub key: String,
}

impl OAuth2Template {
    /// The configuration.
    ///
    /// # Errors
    /// If the token URL is not a URL.
    pub fn render(&self) -> Result<String, UrlError> {
        let name = &self.instance.name;
        let head = coordinator_head() + &self.instance.head();
        let token_url = toml_string(&self.token_url);
        let client = toml_string(&self.client_id);
        let scope = match &self.scope {
            Some(scope) => format!("scope = {}\n", toml_string(scope)),
            None => "# scope = \"read\"\n".to_owned(),
        };
        let key = toml_string(&self.key);
        let rule = self.instance.rule(&Server::parse(&self.token_url)?);
        Ok(format!(
            "{head}
[instances.{name}.settings]      # docs/providers.md has the others
token-url = {token_url}
{scope}
[instances.{name}.secrets.client-secret]
file = {key}   # mode 0600: the secret alone. The host adds it below; the connector never has it

{rule}headers = {{ authorization = {{ secret = \"client-secret\", oauth2-basic = {client} }} }}
"
        ))
    }
}
