//! The settings of an instance, validated before any request.

use crate::Kms;
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::settings::SettingsReader;
use deputy_kit::types::{Failure, Setting};
use deputy_kit::url::Url;
use deputy_kit_hadoop::address::bounded;
use deputy_kit_hadoop::rest::{RestServer, TokenUsers};
use deputy_kit_hadoop::rpc_settings::{DOAS, RENEWER, name};
use deputy_kit_hadoop::wants;

/// The settings, as they are read and described.
const SETTINGS: [SettingSpec; 4] = [
    SettingSpec::new(
        "provider",
        "text",
        "hadoop.security.key.provider.path, by which clients since Hadoop 3.1 look for the token: kms://https@kms1;kms2:9600/kms",
    )
    .needed(),
    SettingSpec::new("alias", "text", "ip:port of a server, by which older clients look for the token")
        .default("that of provider"),
    RENEWER,
    DOAS,
];

/// The validated settings.
#[derive(Debug)]
pub(crate) struct KmsConfig<'a> {
    pub(crate) servers: Vec<RestServer>,
    /// The URI of the key provider, by which clients look for the token.
    pub(crate) provider: &'a str,
    /// The token's name in the file, by which clients before Hadoop 3.1 look for it: IP address and port of a server.
    pub(crate) alias: &'a str,
    pub(crate) users: TokenUsers<'a>,
}

impl<'a> KmsConfig<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let settings = SettingsReader::described(settings, Kms::SETTINGS)?;
        let provider = settings.required("provider")?;
        let servers = settings.parsed("provider", servers)?.unwrap_or_default();
        let alias = settings.parsed("alias", name)?.unwrap_or(provider);
        let users = TokenUsers { renewer: settings.parsed("renewer", name)?, doas: settings.parsed("doas", name)? };
        Ok(Self { servers, provider, alias, users })
    }
}

impl Describe for Kms {
    const TITLE: &'static str = "Delegation tokens of Hadoop KMS";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS];

    fn wants(settings: &[Setting]) -> Result<Vec<Want>, Failure> {
        let servers = KmsConfig::read(settings)?.servers;
        Ok(wants::by_http(&servers, &["GET", "PUT"], "obtains, renews and cancels tokens"))
    }
}

/// The servers of `hadoop.security.key.provider.path`: `kms://https@kms1;kms2:9600/kms`, where the port is that of all
/// (`KMSClientProvider.Factory`).
fn servers(text: &str) -> Result<Vec<RestServer>, String> {
    let wrong = || "not a key provider such as kms://https@kms1.example.com;kms2.example.com:9600/kms".to_owned();
    let (scheme, rest) = text.strip_prefix("kms://").and_then(|rest| rest.split_once('@')).ok_or_else(wrong)?;
    let (authority, path) = rest.split_once('/').ok_or_else(wrong)?;
    if !matches!(scheme, "http" | "https") || path.contains(['?', '#']) {
        return Err(wrong());
    }
    let (hosts, port) = match authority.split_once(':') {
        Some((hosts, port)) => (hosts, format!(":{port}")),
        None => (authority, String::new()),
    };
    let path = path.trim_end_matches('/');
    let servers: Vec<RestServer> = hosts
        .split(';')
        .map(|host| Url::parse(&format!("{scheme}://{host}{port}/{path}/v1/")).map(|url| RestServer { url }))
        .collect::<Result<_, _>>()
        .map_err(|problem| format!("{problem}: {}", wrong()))?;
    bounded(servers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::settings::settings_of;

    #[test]
    fn config_finds_the_servers_of_a_key_provider() {
        let uri = "kms://https@kms1.example.com;kms2.example.com:9600/kms";
        let written = settings_of(&[("provider", uri)]);
        let config = KmsConfig::read(&written).unwrap();
        let servers: Vec<String> = config.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["https://kms1.example.com:9600/kms/v1/", "https://kms2.example.com:9600/kms/v1/"]);
        assert_eq!((config.provider, config.alias), (uri, uri));
        let written = settings_of(&[("provider", "kms://http@localhost:9600/kms/"), ("alias", "127.0.0.1:9600")]);
        let config = KmsConfig::read(&written).unwrap();
        assert_eq!(config.servers[0].to_string(), "http://localhost:9600/kms/v1/");
        assert_eq!(config.alias, "127.0.0.1:9600");
        let written = settings_of(&[("provider", "kms://https@kms1/kms")]);
        assert_eq!(KmsConfig::read(&written).unwrap().servers[0].to_string(), "https://kms1/kms/v1/");
    }

    #[test]
    fn config_that_is_wrong_names_the_setting() {
        let many = format!("kms://https@{}:9600/kms", ["kms"; 9].join(";"));
        for provider in [
            "https://kms1:9600/kms",
            "kms://kms1:9600/kms",
            "kms://ftp@kms1:9600/kms",
            "kms://https@kms1:9600",
            "kms://https@kms1;:9600/kms",
            "kms://https@kms1:x/kms",
            "kms://https@a@b:9600/kms",
            "kms://https@kms1:9600/kms?x=y",
            "kms://https@/kms",
            &many,
        ] {
            let failure = KmsConfig::read(&settings_of(&[("provider", provider)])).map(drop).unwrap_err();
            assert_eq!(failure.setting.as_deref(), Some("provider"), "{provider}");
        }
        assert_eq!(KmsConfig::read(&[]).unwrap_err().setting.as_deref(), Some("provider"));
    }
}
