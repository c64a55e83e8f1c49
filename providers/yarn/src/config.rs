//! The settings of an instance, validated before any connection.

use crate::Yarn;
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::settings::{SettingsReader, wrong_setting};
use deputy_kit::tcp;
use deputy_kit::types::{Failure, Setting};
use deputy_kit::url::Url;
use deputy_kit_hadoop::address::{ServerAddress, parse_urls, service_by_address};
use deputy_kit_hadoop::rest::{RestServer, cluster};
use deputy_kit_hadoop::rpc_settings::{RPC_SETTINGS, RpcSettings, TokenServiceName};
use deputy_kit_hadoop::wants;
use std::net::SocketAddr;

/// The default of `yarn.resourcemanager.address`.
const PORT: u16 = 8032;

/// The principal of ResourceManagers, unless the settings name another one.
const PRINCIPAL: &str = "rm/_HOST";

/// What requests over HTTP do.
const METHODS: [&str; 2] = ["POST", "DELETE"];

/// The settings that are its own, as they are read and described.
const SETTINGS: [SettingSpec; 2] = [
    SettingSpec::new(
        "resourcemanagers",
        "list",
        "the ResourceManager, or all of an HA set in the order of yarn.resourcemanager.ha.rm-ids, with commas between: rm1.example.com, by default port 8032; clients look for the token by all of them",
    )
    .needed(),
    SettingSpec::new(
        "urls",
        "list",
        "obtain over HTTP instead, with commas between: https://rm1.example.com:8090; then principal and protection are errors",
    ),
];

/// The validated settings.
#[derive(Debug)]
pub(crate) struct YarnConfig<'a> {
    pub(crate) rpc: RpcSettings<'a>,
    /// Where the same is to be had over HTTP. Empty: by RPC.
    pub(crate) urls: Vec<RestServer>,
}

impl<'a> YarnConfig<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let settings = SettingsReader::described(settings, Yarn::SETTINGS)?;
        let rpc = RpcSettings::read(&settings, "resourcemanagers", PORT, None)?;
        let urls = settings.parsed("urls", parse_urls)?.unwrap_or_default();
        let urls = urls.into_iter().map(operations).collect::<Vec<_>>();
        let unused = ["principal", "protection"].into_iter().find(|name| settings.optional(name).is_some());
        match unused {
            Some(name) if !urls.is_empty() => Err(wrong_setting(name, "has no effect beside `urls`")),
            _ => Ok(Self { rpc, urls }),
        }
    }

    /// The name under which clients look for the token: those of all ResourceManagers, with commas between
    /// (`ClientRMProxy.getTokenService`).
    ///
    /// # Errors
    /// If a name is looked up and not found, or no `tcp` rule names its host.
    pub(crate) fn service(&self) -> Result<String, Failure> {
        let each = self.rpc.servers.iter().map(|server| self.service_of(server));
        match &self.rpc.service {
            TokenServiceName::Given(name) => Ok(name.clone()),
            _ => Ok(each.collect::<Result<Vec<_>, _>>()?.join(",")),
        }
    }

    fn service_of(&self, server: &ServerAddress) -> Result<String, Failure> {
        match self.rpc.service {
            TokenServiceName::ServerHost => Ok(server.service_by_name()),
            _ => Ok(service_by_address(SocketAddr::new(tcp::look_up(&server.host)?, server.port))),
        }
    }
}

impl Describe for Yarn {
    const TITLE: &'static str = "Delegation tokens of YARN's ResourceManager, by Hadoop RPC or over HTTP";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS, &RPC_SETTINGS];

    fn wants(settings: &[Setting]) -> Result<Vec<Want>, Failure> {
        let YarnConfig { rpc, urls } = YarnConfig::read(settings)?;
        let reason = "obtains, renews and cancels tokens";
        if urls.is_empty() {
            return Ok(wants::by_rpc(&rpc.servers, rpc.principal.unwrap_or(PRINCIPAL), reason));
        }
        let mut wanted = wants::by_http(&urls, &METHODS, reason);
        if rpc.service == TokenServiceName::ServerAddress {
            wanted.extend(wants::tcp(&rpc.servers, "looks up the address by which clients look for the token"));
        }
        wanted.push(Want::of("kerberos").reason("the name of the renewer"));
        Ok(wanted)
    }
}

/// The address of the operations of a ResourceManager.
fn operations(url: Url) -> RestServer {
    let target = format!("{}{}", url.target.trim_end_matches('/'), cluster::PATH);
    RestServer { url: Url { target, ..url } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::settings::settings_of;

    #[test]
    fn config_names_the_token_by_all_resourcemanagers() {
        for (pairs, service) in [
            (vec![("resourcemanagers", "10.0.0.1,10.0.0.2:8033")], "10.0.0.1:8032,10.0.0.2:8033"),
            (vec![("resourcemanagers", "RM1.example.com,rm2"), ("use-ip", "false")], "rm1.example.com:8032,rm2:8032"),
            (vec![("resourcemanagers", "rm1,rm2"), ("service", "x")], "x"),
        ] {
            let written = settings_of(&pairs);
            assert_eq!(YarnConfig::read(&written).unwrap().service().unwrap(), service);
        }
    }

    #[test]
    fn config_finds_the_operations_below_a_url() {
        let urls = "https://rm1.example.com:8090, http://gateway/yarn/";
        let written = settings_of(&[("resourcemanagers", "rm1"), ("urls", urls)]);
        let urls: Vec<String> = YarnConfig::read(&written).unwrap().urls.iter().map(ToString::to_string).collect();
        assert_eq!(
            urls,
            [
                "https://rm1.example.com:8090/ws/v1/cluster/delegation-token",
                "http://gateway/yarn/ws/v1/cluster/delegation-token"
            ]
        );
    }

    #[test]
    fn config_that_is_wrong_names_the_setting() {
        let many = ["http://rm"; 9].join(",");
        for (pairs, setting) in [
            (vec![], "resourcemanagers"),
            (vec![("urls", "http://rm1:8088")], "resourcemanagers"),
            (vec![("resourcemanagers", "http://rm1:8088")], "resourcemanagers"),
            (vec![("resourcemanagers", "rm1"), ("urls", "rm1:8088")], "urls"),
            (vec![("resourcemanagers", "rm1"), ("urls", "http://rm1:8088?x=y")], "urls"),
            (vec![("resourcemanagers", "rm1"), ("urls", &many)], "urls"),
            (vec![("resourcemanagers", "rm1"), ("urls", "http://rm1"), ("principal", "rm/_HOST")], "principal"),
            (vec![("resourcemanagers", "rm1"), ("urls", "http://rm1"), ("protection", "privacy")], "protection"),
            (vec![("resourcemanagers", "rm1"), ("nameservice", "x")], "nameservice"),
        ] {
            let written = settings_of(&pairs);
            let failure = YarnConfig::read(&written).unwrap_err();
            assert_eq!(failure.setting.as_deref(), Some(setting), "{failure:?}");
        }
    }
}
