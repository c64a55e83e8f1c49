//! The settings of an instance, validated before any connection.

use crate::Hive;
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::settings::SettingsReader;
use deputy_kit::types::{Failure, Setting};
use deputy_kit_hadoop::address::ServerAddress;
use deputy_kit_hadoop::rpc_settings::{DOAS, PROTECTION, RENEWER, name, principal};
use deputy_kit_hadoop::sasl::Qualities;
use deputy_kit_hadoop::wants;

/// The default of `metastore.thrift.port`.
const PORT: u16 = 9083;

/// The metastore's principal, unless the settings name another one.
const PRINCIPAL: &str = "hive/_HOST";

/// The token's name in the file if clients have no signature. Spark gives it the same name, and looks for it there.
const ALIAS: &str = "hive.server2.delegation.token";

/// The settings, as they are read and described.
const SETTINGS: [SettingSpec; 6] = [
    SettingSpec::new(
        "uris",
        "list",
        "hive.metastore.uris, with commas between and tried in turn: thrift://ms1.example.com:9083",
    )
    .needed(),
    SettingSpec::new("principal", "text", "of the metastores: hive.metastore.kerberos.principal").default(PRINCIPAL),
    SettingSpec::new(
        "signature",
        "text",
        "hive.metastore.token.signature of the clients; without it the token is for clients that have none",
    ),
    PROTECTION,
    RENEWER,
    DOAS,
];

/// The validated settings.
#[derive(Debug)]
pub(crate) struct HiveConfig<'a> {
    pub(crate) metastores: Vec<ServerAddress>,
    /// The metastores' principal, where `_HOST` is a metastore's host.
    pub(crate) principal: &'a str,
    pub(crate) qualities: Qualities,
    /// The service of the token, by which clients look for it. Empty if their configuration has none.
    pub(crate) signature: &'a str,
    /// Who may renew, if it is not the instance's own principal. Then only another program can renew.
    pub(crate) renewer: Option<&'a str>,
    /// The user that the token is for, if that is not the instance's own principal.
    pub(crate) doas: Option<&'a str>,
}

impl<'a> HiveConfig<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let settings = SettingsReader::described(settings, Hive::SETTINGS)?;
        settings.required("uris")?;
        Ok(Self {
            metastores: settings.parsed("uris", metastores)?.unwrap_or_default(),
            principal: settings.parsed("principal", principal)?.unwrap_or(PRINCIPAL),
            qualities: settings.parsed("protection", Qualities::parse)?.unwrap_or(Qualities::ANY),
            signature: settings.parsed("signature", name)?.unwrap_or_default(),
            renewer: settings.parsed("renewer", name)?,
            doas: settings.parsed("doas", name)?,
        })
    }

    /// The token's name in the file.
    pub(crate) fn alias(&self) -> &'a str {
        if self.signature.is_empty() { ALIAS } else { self.signature }
    }
}

impl Describe for Hive {
    const TITLE: &'static str = "Delegation tokens of Hive's metastore";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS];

    fn wants(settings: &[Setting]) -> Result<Vec<Want>, Failure> {
        let config = HiveConfig::read(settings)?;
        Ok(wants::by_rpc(&config.metastores, config.principal, "obtains, renews and cancels tokens"))
    }
}

/// The servers of `hive.metastore.uris`: `thrift://ms1.example.com:9083`, with commas between.
fn metastores(text: &str) -> Result<Vec<ServerAddress>, String> {
    let servers: Vec<&str> = text
        .split(',')
        .map(|uri| uri.trim().strip_prefix("thrift://").map(|server| server.trim_end_matches('/')))
        .collect::<Option<_>>()
        .ok_or("not a metastore such as thrift://ms1.example.com:9083")?;
    ServerAddress::parse_list(&servers.join(","), Some(PORT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::settings::settings_of;

    #[test]
    fn config_has_the_uris_of_hive() {
        let written = settings_of(&[("uris", "thrift://ms1:9084, thrift://ms2/")]);
        let config = HiveConfig::read(&written).unwrap();
        let metastores: Vec<String> = config.metastores.iter().map(ToString::to_string).collect();
        assert_eq!(metastores, ["ms1:9084", "ms2:9083"]);
        assert_eq!((config.principal, config.signature, config.alias()), ("hive/_HOST", "", ALIAS));
        let written = settings_of(&[("uris", "thrift://ms1"), ("signature", "prod")]);
        let config = HiveConfig::read(&written).unwrap();
        assert_eq!((config.signature, config.alias()), ("prod", "prod"));
    }

    #[test]
    fn config_that_is_wrong_names_the_setting() {
        let many = ["thrift://ms"; 9].join(",");
        for (pairs, setting) in [
            (vec![], "uris"),
            (vec![("uris", "ms1:9083")], "uris"),
            (vec![("uris", "http://ms1:9083")], "uris"),
            (vec![("uris", "thrift://ms1:9083/default")], "uris"),
            (vec![("uris", "thrift://ms1,ms2")], "uris"),
            (vec![("uris", "thrift://ms1,thrift://ms1:9083")], "uris"),
            (vec![("uris", &many)], "uris"),
            (vec![("uris", "thrift://")], "uris"),
            (vec![("uris", "thrift://ms1"), ("principal", "hive")], "principal"),
            (vec![("uris", "thrift://ms1"), ("protection", "auth-conf")], "protection"),
            (vec![("uris", "thrift://ms1"), ("signature", "a\tb")], "signature"),
            (vec![("uris", "thrift://ms1"), ("renewer", "")], "renewer"),
            (vec![("uris", "thrift://ms1"), ("doas", "böb")], "doas"),
            (vec![("uris", "thrift://ms1"), ("service", "prod")], "service"),
        ] {
            let written = settings_of(&pairs);
            let failure = HiveConfig::read(&written).unwrap_err();
            assert_eq!(failure.setting.as_deref(), Some(setting), "{failure:?}");
        }
    }
}
