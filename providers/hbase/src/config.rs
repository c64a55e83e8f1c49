//! The settings of an instance, validated before any connection.

use crate::HBase;
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::settings::{SettingsReader, wrong_setting};
use deputy_kit::types::{Failure, Setting};
use deputy_kit_hadoop::address::ServerAddress;
use deputy_kit_hadoop::hbase::zookeeper::DEFAULT_PARENT;
use deputy_kit_hadoop::rpc_settings::{PROTECTION, name, principal};
use deputy_kit_hadoop::sasl::Qualities;
use deputy_kit_hadoop::wants;

/// The default of `hbase.master.port`.
const MASTER_PORT: u16 = 16000;

/// The default of `hbase.zookeeper.property.clientPort`.
const ZOOKEEPER_PORT: u16 = 2181;

/// The principal of HBase's servers, unless the settings name another one.
const PRINCIPAL: &str = "hbase/_HOST";

/// The settings, as they are read and described.
const SETTINGS: [SettingSpec; 7] = [
    SettingSpec::new(
        "servers",
        "list",
        "masters or region servers, which know where hbase:meta is, with commas between: m1.example.com, by default port 16000",
    )
    .needed_if("without zookeeper"),
    SettingSpec::new(
        "zookeeper",
        "list",
        "in place of servers: the quorum, with commas between: zk1.example.com, by default port 2181; its node must be readable without a login",
    )
    .needed_if("without servers"),
    SettingSpec::new("zookeeper-parent", "text", "zookeeper.znode.parent").default(DEFAULT_PARENT),
    SettingSpec::new("principal", "text", "of region servers: hbase.regionserver.kerberos.principal").default(PRINCIPAL),
    SettingSpec::new("master-principal", "text", "of `servers`, if it is another one").default("that of principal"),
    PROTECTION,
    SettingSpec::new("doas", "text", "a user that the token is for: the principal must be a proxy user of HBase"),
];

/// The validated settings.
#[derive(Debug)]
pub(crate) struct HBaseConfig<'a> {
    pub(crate) registry: Registry<'a>,
    /// Where `registry` is: any of these servers.
    pub(crate) servers: Vec<ServerAddress>,
    /// The principal of region servers, where `_HOST` is the server's host.
    pub(crate) principal: &'a str,
    pub(crate) qualities: Qualities,
    /// The user that the token is for, if that is not the instance's own principal.
    pub(crate) doas: Option<&'a str>,
}

/// Who knows which region server has `hbase:meta`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Registry<'a> {
    /// Servers of HBase, with their principal.
    HBase { principal: &'a str },
    /// ZooKeeper, with HBase's node.
    ZooKeeper { parent: &'a str },
}

impl<'a> HBaseConfig<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let settings = SettingsReader::described(settings, HBase::SETTINGS)?;
        let hbase = settings.parsed("servers", |text| ServerAddress::parse_list(text, Some(MASTER_PORT)))?;
        let quorum = settings.parsed("zookeeper", |text| ServerAddress::parse_list(text, Some(ZOOKEEPER_PORT)))?;
        let parent = settings.parsed("zookeeper-parent", path)?;
        let own = settings.parsed("principal", principal)?.unwrap_or(PRINCIPAL);
        let masters = settings.parsed("master-principal", principal)?;
        let (registry, servers) = match (hbase, quorum) {
            (Some(servers), None) => (Registry::HBase { principal: masters.unwrap_or(own) }, servers),
            (None, Some(servers)) => (Registry::ZooKeeper { parent: parent.unwrap_or(DEFAULT_PARENT) }, servers),
            (Some(_), Some(_)) => return Err(wrong_setting("zookeeper", "has no effect beside `servers`")),
            (None, None) => return Err(wrong_setting("servers", "needed, or `zookeeper` in its place")),
        };
        match registry {
            Registry::HBase { .. } if parent.is_some() => {
                return Err(wrong_setting("zookeeper-parent", "has no effect without `zookeeper`"));
            }
            Registry::ZooKeeper { .. } if masters.is_some() => {
                return Err(wrong_setting("master-principal", "has no effect without `servers`"));
            }
            _ => {}
        }
        Ok(Self {
            registry,
            servers,
            principal: own,
            qualities: settings.parsed("protection", Qualities::parse)?.unwrap_or(Qualities::ANY),
            doas: settings.parsed("doas", name)?,
        })
    }
}

impl Describe for HBase {
    const TITLE: &'static str = "Authentication tokens of HBase";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS];

    /// The region servers are not in the settings: their operator adds a rule for those that may have `hbase:meta`.
    fn wants(settings: &[Setting]) -> Result<Vec<Want>, Failure> {
        let config = HBaseConfig::read(settings)?;
        let reason = "finds the region server that has hbase:meta; add a rule for each server that may have it";
        let mut wants = wants::by_rpc(&config.servers, config.principal, reason);
        if let Registry::HBase { principal } = config.registry
            && principal != config.principal
        {
            wants.push(Want::kerberos([principal]).reason("logs in to the servers that know it"));
        }
        Ok(wants)
    }
}

/// The path of a node of ZooKeeper.
fn path(text: &str) -> Result<&str, String> {
    match text.strip_prefix('/') {
        Some(rest) if !rest.is_empty() && !rest.ends_with('/') => name(text),
        _ => Err("not the path of a node, such as /hbase".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::settings::settings_of;

    fn ports(config: &HBaseConfig<'_>) -> Vec<u16> {
        config.servers.iter().map(|server| server.port).collect()
    }

    #[test]
    fn config_has_one_registry() {
        let written = settings_of(&[("servers", "m1,rs1:16020"), ("master-principal", "master/_HOST")]);
        let config = HBaseConfig::read(&written).unwrap();
        assert_eq!(config.registry, Registry::HBase { principal: "master/_HOST" });
        assert_eq!((config.principal, ports(&config)), ("hbase/_HOST", vec![16000, 16020]));
        let written = settings_of(&[("servers", "m1"), ("principal", "h/_HOST@EXAMPLE.COM")]);
        let config = HBaseConfig::read(&written).unwrap();
        assert_eq!(config.registry, Registry::HBase { principal: "h/_HOST@EXAMPLE.COM" });
        let written = settings_of(&[("zookeeper", "zk1,zk2:2182"), ("zookeeper-parent", "/hbase-secure")]);
        let config = HBaseConfig::read(&written).unwrap();
        assert_eq!(config.registry, Registry::ZooKeeper { parent: "/hbase-secure" });
        assert_eq!(ports(&config), [2181, 2182]);
        let written = settings_of(&[("zookeeper", "zk1")]);
        assert_eq!(HBaseConfig::read(&written).unwrap().registry, Registry::ZooKeeper { parent: "/hbase" });
    }

    #[test]
    fn config_that_is_wrong_names_the_setting() {
        for (pairs, setting) in [
            (vec![], "servers"),
            (vec![("servers", "m1:x")], "servers"),
            (vec![("servers", "m1"), ("zookeeper", "zk1")], "zookeeper"),
            (vec![("servers", "m1"), ("zookeeper-parent", "/hbase")], "zookeeper-parent"),
            (vec![("zookeeper", "zk1"), ("master-principal", "hbase/_HOST")], "master-principal"),
            (vec![("zookeeper", "zk1,zk1:2181")], "zookeeper"),
            (vec![("zookeeper", "zk1"), ("zookeeper-parent", "hbase")], "zookeeper-parent"),
            (vec![("zookeeper", "zk1"), ("zookeeper-parent", "/")], "zookeeper-parent"),
            (vec![("servers", "m1"), ("principal", "hbase")], "principal"),
            (vec![("servers", "m1"), ("protection", "auth")], "protection"),
            (vec![("servers", "m1"), ("doas", "böb")], "doas"),
            (vec![("servers", "m1"), ("renewer", "alice")], "renewer"),
        ] {
            let written = settings_of(&pairs);
            let failure = HBaseConfig::read(&written).unwrap_err();
            assert_eq!(failure.setting.as_deref(), Some(setting), "{failure:?}");
        }
    }
}
