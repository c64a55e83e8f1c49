//! The settings of a service with Hadoop RPC, which the providers of HDFS and YARN share.

use crate::address::{MAX_NAME, ServerAddress, service_by_address};
use crate::sasl::Qualities;
use deputy_kit::description::SettingSpec;
use deputy_kit::settings::{SettingsReader, wrong_setting};
use deputy_kit::types::Failure;
use std::net::SocketAddr;

/// These settings, beside that of the servers.
pub const RPC_SETTINGS: [SettingSpec; 6] = [USE_IP, SERVICE, PRINCIPAL, PROTECTION, RENEWER, DOAS];

const PRINCIPAL: SettingSpec = SettingSpec::new(
    "principal",
    "text",
    "the servers' principal, if they may call themselves by another name than their host's: NAME/_HOST@EXAMPLE.COM",
);

/// How clients find the server's address.
pub const USE_IP: SettingSpec = SettingSpec::new(
    "use-ip",
    "true | false",
    "false if clients set hadoop.security.token.service.use_ip=false, and look for host:port instead of ip:port",
)
.default("true");

/// The name under which clients look for the token.
pub const SERVICE: SettingSpec =
    SettingSpec::new("service", "text", "another name under which clients look for the token");

/// The qualities of protection that are accepted.
pub const PROTECTION: SettingSpec = SettingSpec::new(
    "protection",
    "list",
    "accepted protections, comma-separated: authentication, integrity, privacy. The strongest that the server offers is taken",
)
.default("all three");

/// Who renews.
pub const RENEWER: SettingSpec = SettingSpec::new(
    "renewer",
    "text",
    "who may renew, if another program does it, such as yarn: then `lifetime` of the instance says until when the token works",
);

/// The user that the token is for.
pub const DOAS: SettingSpec = SettingSpec::new(
    "doas",
    "text",
    "a user that the token is for: the principal renews it, and must be a proxy user of the service",
);

/// The checked settings.
#[derive(Debug)]
pub struct RpcSettings<'a> {
    /// The servers: one, or all of a set.
    pub servers: Vec<ServerAddress>,
    /// The servers' principal, if they may call themselves by another name than their host's.
    pub principal: Option<&'a str>,
    /// The qualities of protection that are accepted.
    pub qualities: Qualities,
    /// Who may renew, if it is not the instance's own principal. Then only another program can renew.
    pub renewer: Option<&'a str>,
    /// The user that the token is for, if that is not the instance's own principal.
    pub doas: Option<&'a str>,
    /// How clients look for the token.
    pub service: TokenServiceName,
}

/// The name under which clients look for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenServiceName {
    /// This one.
    Given(String),
    /// IP address and port of the server: Hadoop's default.
    ServerAddress,
    /// Host and port of the server: `hadoop.security.token.service.use_ip` is false.
    ServerHost,
}

impl TokenServiceName {
    /// The name of a token from this server.
    #[must_use]
    pub fn of(&self, server: &ServerAddress, peer: SocketAddr) -> String {
        match self {
            Self::Given(name) => name.clone(),
            Self::ServerAddress => service_by_address(peer),
            Self::ServerHost => server.service_by_name(),
        }
    }
}

impl<'a> RpcSettings<'a> {
    /// Reads them. `servers` is the name of the setting with the servers, and `set_name` is the name under which clients look
    /// for the token of a set, if there is one.
    ///
    /// # Errors
    /// `misconfigured`, with the setting.
    pub fn read(
        settings: &SettingsReader<'a>,
        servers: &str,
        default_port: u16,
        set_name: Option<String>,
    ) -> Result<Self, Failure> {
        settings.required(servers)?;
        let list = settings.parsed(servers, |text| ServerAddress::parse_list(text, Some(default_port)))?;
        let qualities = settings.parsed("protection", Qualities::parse)?.unwrap_or(Qualities::ANY);
        let use_ip = settings.parsed("use-ip", yes_or_no)?.unwrap_or(true);
        let given = settings.parsed("service", name)?.map(str::to_owned);
        let service = match given.or(set_name) {
            Some(name) => TokenServiceName::Given(name),
            None if use_ip => TokenServiceName::ServerAddress,
            None => TokenServiceName::ServerHost,
        };
        Ok(Self {
            servers: list.unwrap_or_default(),
            principal: settings.parsed("principal", principal)?,
            qualities,
            renewer: settings.parsed("renewer", name)?,
            doas: settings.parsed("doas", name)?,
            service,
        })
    }

    /// Several servers that clients know by one name need that name.
    ///
    /// # Errors
    /// `misconfigured`, with the setting `missing` that would give it.
    pub fn require_name(&self, missing: &str) -> Result<(), Failure> {
        if self.servers.len() > 1 && !matches!(self.service, TokenServiceName::Given(_)) {
            return Err(wrong_setting(missing, "needed with several servers: clients look for the token by it"));
        }
        Ok(())
    }
}

/// A name of a user or service: one word of printable ASCII, which may have inner spaces.
///
/// # Errors
/// For other texts. The error completes the sentence "setting x: …".
pub fn name(text: &str) -> Result<&str, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && text.trim() == text;
    if is_plain && (1..=MAX_NAME).contains(&text.len()) {
        Ok(text)
    } else {
        Err(format!("must be 1 to {MAX_NAME} printable ASCII characters"))
    }
}

/// The principal of a server: `hdfs/nn1.example.com@EXAMPLE.COM`, `nn/_HOST@EXAMPLE.COM`.
///
/// # Errors
/// For other texts. The error completes the sentence "setting x: …".
pub fn principal(text: &str) -> Result<&str, String> {
    let name = text.split_once('@').map_or(text, |(name, _)| name);
    match name.split_once('/') {
        Some((service, host)) if !service.is_empty() && !host.is_empty() && !text.contains(' ') => self::name(text),
        _ => Err("not a principal of a service, such as nn/_HOST@EXAMPLE.COM".to_owned()),
    }
}

/// `true` or `false`.
///
/// # Errors
/// For other texts. The error completes the sentence "setting x: …".
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::settings::settings_of;
    use deputy_kit::types::Setting;

    fn read<'a>(settings: &'a [Setting], set_name: Option<&str>) -> Result<RpcSettings<'a>, Failure> {
        const SERVERS: [SettingSpec; 1] = [SettingSpec::new("namenodes", "list", "the servers")];
        let reader = SettingsReader::described(settings, &[&SERVERS, &RPC_SETTINGS])?;
        RpcSettings::read(&reader, "namenodes", 8020, set_name.map(str::to_owned))
    }

    #[test]
    fn rpc_settings_have_defaults() {
        let written = settings_of(&[("namenodes", "nn1")]);
        let read = read(&written, None).unwrap();
        assert_eq!(read.servers, [ServerAddress { host: "nn1".to_owned(), port: 8020 }]);
        assert_eq!((read.principal, read.renewer, read.doas), (None, None, None));
        assert_eq!((read.qualities, read.service), (Qualities::ANY, TokenServiceName::ServerAddress));
    }

    #[test]
    fn rpc_settings_name_the_token_as_clients_do() {
        let peer = "10.0.0.1:8020".parse().unwrap();
        for (pairs, set_name, expected) in [
            (vec![], None, "10.0.0.1:8020"),
            (vec![("use-ip", "false")], None, "nn1.example.com:8020"),
            (vec![], Some("ha-hdfs:prod"), "ha-hdfs:prod"),
            (vec![("service", "x:1"), ("use-ip", "false")], Some("ha-hdfs:prod"), "x:1"),
        ] {
            let written = settings_of(&[&[("namenodes", "NN1.example.com")], pairs.as_slice()].concat());
            let read = read(&written, set_name).unwrap();
            assert_eq!(read.service.of(&read.servers[0], peer), expected);
        }
    }

    #[test]
    fn rpc_settings_need_a_name_for_several_servers() {
        let written = settings_of(&[("namenodes", "nn1,nn2")]);
        let failure = read(&written, None).unwrap().require_name("nameservice").unwrap_err();
        assert_eq!(failure.setting.as_deref(), Some("nameservice"));
        assert!(read(&written, Some("ha-hdfs:prod")).unwrap().require_name("nameservice").is_ok());
    }

    #[test]
    fn rpc_settings_that_are_wrong_are_named() {
        for (name, value) in [
            ("namenodes", "nn1:x"),
            ("principal", "hdfs"),
            ("principal", "hdfs/"),
            ("principal", "/nn1"),
            ("principal", "hdfs/nn 1"),
            ("protection", "auth"),
            ("renewer", "yarn\u{7}"),
            ("doas", "böb"),
            ("use-ip", "yes"),
            ("service", &"x".repeat(256)),
        ] {
            let mut written = settings_of(&[("namenodes", "nn1"), (name, value)]);
            if name == "namenodes" {
                written.remove(0);
            }
            let failure = read(&written, None).unwrap_err();
            assert_eq!(failure.setting.as_deref(), Some(name), "{failure:?}");
        }
        assert_eq!(read(&[], None).unwrap_err().setting.as_deref(), Some("namenodes"));
    }
}
