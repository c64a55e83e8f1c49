//! The settings of an instance, validated before any request.

use crate::WebHdfs;
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::settings::{SettingsReader, wrong_setting};
use deputy_kit::types::{Failure, Setting};
use deputy_kit::url::Url;
use deputy_kit_hadoop::address::{ServerAddress, parse_urls};
use deputy_kit_hadoop::rest::{RestServer, TokenUsers};
use deputy_kit_hadoop::rpc_settings::{DOAS, RENEWER, SERVICE, TokenServiceName, USE_IP, name, yes_or_no};
use deputy_kit_hadoop::wants;

/// The settings, as they are read and described.
const SETTINGS: [SettingSpec; 6] = [
    SettingSpec::new(
        "urls",
        "list",
        "WebHDFS, HttpFS or a gateway, with commas between: https://nn1.example.com:9871; with https the kind inside is SWEBHDFS delegation",
    )
    .needed(),
    SettingSpec::new(
        "nameservice",
        "text",
        "the name of dfs.nameservices: clients look for ha-webhdfs:NAME or ha-swebhdfs:NAME",
    )
    .needed_if("with several URLs"),
    SERVICE,
    USE_IP,
    RENEWER,
    DOAS,
];

/// The path of both WebHDFS and HttpFS, below that of the URL.
const PATH: &str = "/webhdfs/v1/";

/// The validated settings.
#[derive(Debug)]
pub(crate) struct WebHdfsConfig<'a> {
    pub(crate) servers: Vec<RestServer>,
    /// Whether all of them speak TLS.
    pub(crate) secure: bool,
    /// The address of the first one.
    pub(crate) address: ServerAddress,
    pub(crate) service: TokenServiceName,
    pub(crate) users: TokenUsers<'a>,
}

impl<'a> WebHdfsConfig<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let settings = SettingsReader::described(settings, WebHdfs::SETTINGS)?;
        settings.required("urls")?;
        let urls = settings.parsed("urls", parse_urls)?.unwrap_or_default();
        let first = urls.first().ok_or_else(|| wrong_setting("urls", "missing"))?;
        let secure = first.secure;
        if urls.iter().any(|url| url.secure != secure) {
            return Err(wrong_setting("urls", "all must be https://, or all http://"));
        }
        let address = ServerAddress::parse(&first.authority, Some(if secure { 443 } else { 80 }))
            .map_err(|problem| wrong_setting("urls", &problem))?;
        let service = service(&settings, secure)?;
        if urls.len() > 1 && !matches!(service, TokenServiceName::Given(_)) {
            let problem = "needed with several servers: clients look for the token by it";
            return Err(wrong_setting("nameservice", problem));
        }
        let servers = urls.into_iter().map(operations).collect();
        let users = TokenUsers { renewer: settings.parsed("renewer", name)?, doas: settings.parsed("doas", name)? };
        Ok(Self { servers, secure, address, service, users })
    }

    /// The kind by which clients select the token: that of the scheme they use (`WebHdfsConstants`).
    pub(crate) fn kind(&self) -> &'static str {
        if self.secure { "SWEBHDFS delegation" } else { "WEBHDFS delegation" }
    }
}

impl Describe for WebHdfs {
    const TITLE: &'static str = "Delegation tokens of HDFS over HTTP, from WebHDFS, HttpFS or a gateway";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS];

    fn wants(settings: &[Setting]) -> Result<Vec<Want>, Failure> {
        let config = WebHdfsConfig::read(settings)?;
        let mut wanted = wants::by_http(&config.servers, &["GET", "PUT"], "obtains, renews and cancels tokens");
        if config.service == TokenServiceName::ServerAddress {
            let address = std::slice::from_ref(&config.address);
            wanted.extend(wants::tcp(address, "looks up the address by which clients look for the token"));
        }
        Ok(wanted)
    }
}

/// The address of the operations of a server, or of a gateway in front of it.
fn operations(url: Url) -> RestServer {
    let base = url.target.trim_end_matches('/');
    let base = base.strip_suffix(PATH.trim_end_matches('/')).unwrap_or(base);
    let target = format!("{base}{PATH}");
    RestServer { url: Url { target, ..url } }
}

/// How clients look for the token (`WebHdfsFileSystem.initialize`).
fn service(settings: &SettingsReader<'_>, secure: bool) -> Result<TokenServiceName, Failure> {
    let nameservice = settings.parsed("nameservice", name)?;
    if nameservice.is_some_and(|name| name.contains([':', '/', ' '])) {
        return Err(wrong_setting("nameservice", "must be the name alone, as in `dfs.nameservices`: prod"));
    }
    let scheme = if secure { "swebhdfs" } else { "webhdfs" };
    let given = settings.parsed("service", name)?.map(str::to_owned);
    Ok(match given.or_else(|| nameservice.map(|name| format!("ha-{scheme}:{name}"))) {
        Some(name) => TokenServiceName::Given(name),
        None if settings.parsed("use-ip", yes_or_no)?.unwrap_or(true) => TokenServiceName::ServerAddress,
        None => TokenServiceName::ServerHost,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::settings::settings_of;

    #[test]
    fn config_finds_the_operations_below_a_url() {
        for (url, expected) in [
            ("http://nn1:9870", "http://nn1:9870/webhdfs/v1/"),
            ("http://nn1:9870/", "http://nn1:9870/webhdfs/v1/"),
            ("https://nn1:9871/webhdfs/v1", "https://nn1:9871/webhdfs/v1/"),
            ("https://knox:8443/gateway/default", "https://knox:8443/gateway/default/webhdfs/v1/"),
        ] {
            let written = settings_of(&[("urls", url)]);
            let config = WebHdfsConfig::read(&written).unwrap();
            assert_eq!(config.servers[0].to_string(), expected);
        }
    }

    #[test]
    fn config_names_kind_and_service_as_clients_do() {
        let given = |name: &str| TokenServiceName::Given(name.to_owned());
        for (pairs, kind, service) in [
            (vec![("urls", "http://nn1:9870")], "WEBHDFS delegation", TokenServiceName::ServerAddress),
            (vec![("urls", "https://nn1"), ("use-ip", "false")], "SWEBHDFS delegation", TokenServiceName::ServerHost),
            (
                vec![("urls", "http://a,http://b"), ("nameservice", "prod")],
                "WEBHDFS delegation",
                given("ha-webhdfs:prod"),
            ),
            (vec![("urls", "https://a"), ("nameservice", "prod")], "SWEBHDFS delegation", given("ha-swebhdfs:prod")),
            (vec![("urls", "http://a"), ("service", "x:1")], "WEBHDFS delegation", given("x:1")),
        ] {
            let written = settings_of(&pairs);
            let config = WebHdfsConfig::read(&written).unwrap();
            assert_eq!((config.kind(), &config.service), (kind, &service), "{pairs:?}");
        }
        let written = settings_of(&[("urls", "https://nn1")]);
        assert_eq!(WebHdfsConfig::read(&written).unwrap().address.port, 443);
    }

    #[test]
    fn config_that_is_wrong_names_the_setting() {
        for (pairs, setting) in [
            (vec![], "urls"),
            (vec![("urls", "nn1:9870")], "urls"),
            (vec![("urls", "http://nn1/?op=x")], "urls"),
            (vec![("urls", "http://a,https://b"), ("nameservice", "prod")], "urls"),
            (vec![("urls", "http://a,http://b")], "nameservice"),
            (vec![("urls", "http://a"), ("nameservice", "ha-webhdfs:prod")], "nameservice"),
            (vec![("urls", "http://a"), ("use-ip", "no")], "use-ip"),
            (vec![("urls", "http://a"), ("url", "http://b")], "url"),
        ] {
            let written = settings_of(&pairs);
            let failure = WebHdfsConfig::read(&written).unwrap_err();
            assert_eq!(failure.setting.as_deref(), Some(setting), "{failure:?}");
        }
    }
}
