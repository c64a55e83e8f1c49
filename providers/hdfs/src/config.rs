//! The settings of an instance, validated before any connection.

use crate::Hdfs;
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::settings::{SettingsReader, wrong_setting};
use deputy_kit::types::{Failure, Setting};
use deputy_kit_hadoop::rpc_settings::{RPC_SETTINGS, RpcSettings, name};
use deputy_kit_hadoop::wants;

/// The default of `dfs.namenode.rpc-address`.
const PORT: u16 = 8020;

/// The principal of NameNodes, unless the settings name another one.
const PRINCIPAL: &str = "hdfs/_HOST";

/// The settings that are its own, as they are read and described.
const SETTINGS: [SettingSpec; 2] = [
    SettingSpec::new(
        "namenodes",
        "list",
        "the NameNode, all of an HA set, or the routers of a federation, with commas between: nn1.example.com, by default port 8020",
    )
    .needed(),
    SettingSpec::new("nameservice", "text", "the name of dfs.nameservices: clients look for the token as ha-hdfs:NAME")
        .needed_if("with several NameNodes"),
];

/// The validated settings.
#[derive(Debug)]
pub(crate) struct HdfsConfig<'a> {
    pub(crate) rpc: RpcSettings<'a>,
}

impl<'a> HdfsConfig<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let settings = SettingsReader::described(settings, Hdfs::SETTINGS)?;
        let nameservice = settings.parsed("nameservice", name)?;
        if nameservice.is_some_and(|name| name.contains([':', '/', ' '])) {
            return Err(wrong_setting("nameservice", "must be the name alone, as in `dfs.nameservices`: prod"));
        }
        // As `HAUtilClient.buildTokenServiceForLogicalUri` makes it.
        let set_name = nameservice.map(|name| format!("ha-hdfs:{name}"));
        let rpc = RpcSettings::read(&settings, "namenodes", PORT, set_name)?;
        rpc.require_name("nameservice")?;
        Ok(Self { rpc })
    }
}

impl Describe for Hdfs {
    const TITLE: &'static str = "Delegation tokens of HDFS, by Hadoop RPC";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS, &RPC_SETTINGS];

    fn wants(settings: &[Setting]) -> Result<Vec<Want>, Failure> {
        let rpc = HdfsConfig::read(settings)?.rpc;
        Ok(wants::by_rpc(&rpc.servers, rpc.principal.unwrap_or(PRINCIPAL), "obtains, renews and cancels tokens"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::settings::settings_of;
    use deputy_kit_hadoop::rpc_settings::TokenServiceName;

    #[test]
    fn config_names_the_token_of_a_nameservice() {
        let written = settings_of(&[("namenodes", "nn1,nn2:9000"), ("nameservice", "prod")]);
        let config = HdfsConfig::read(&written).unwrap();
        assert_eq!(config.rpc.service, TokenServiceName::Given("ha-hdfs:prod".to_owned()));
        let ports: Vec<u16> = config.rpc.servers.iter().map(|server| server.port).collect();
        assert_eq!(ports, [8020, 9000]);
        let written = settings_of(&[("namenodes", "nn1")]);
        assert_eq!(HdfsConfig::read(&written).unwrap().rpc.service, TokenServiceName::ServerAddress);
    }

    #[test]
    fn config_that_is_wrong_names_the_setting() {
        for (pairs, setting) in [
            (vec![("nameservice", "prod")], "namenodes"),
            (vec![("namenodes", "nn1,nn2")], "nameservice"),
            (vec![("namenodes", "nn1"), ("nameservice", "ha-hdfs:prod")], "nameservice"),
            (vec![("namenodes", "nn1"), ("namenode", "nn2")], "namenode"),
            (vec![("namenodes", "hdfs://nn1:8020")], "namenodes"),
        ] {
            let written = settings_of(&pairs);
            let failure = HdfsConfig::read(&written).unwrap_err();
            assert_eq!(failure.setting.as_deref(), Some(setting), "{failure:?}");
        }
    }
}
