//! The services: what each is asked for, by the component in the sandbox.

use deputy_core::grant::{HttpRule, KerberosGrant, PathRules, RequestOptions, TcpRule};
use deputy_core::{Instance, LoginPlan};

use super::REALM;
use crate::Result;
use crate::sandboxed::instance;

/// A kind of service that issues tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceKind {
    HBase,
    Hdfs,
    Hive,
    Kafka,
    Kms,
    WebHdfs,
    Yarn,
}

impl ServiceKind {
    /// The component.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HBase => "hbase",
            Self::Hdfs => "hdfs",
            Self::Hive => "hive",
            Self::Kafka => "kafka",
            Self::Kms => "kms",
            Self::WebHdfs => "webhdfs",
            Self::Yarn => "yarn",
        }
    }

    /// What an obtain is.
    pub(crate) fn steps(self) -> &'static str {
        match self {
            Self::Hdfs | Self::Hive | Self::Yarn => "one connection, login, token, first renewal",
            Self::HBase => "a login at the registry, one at the region server, token",
            Self::Kafka => "login, token, first renewal, a login with the token",
            Self::Kms | Self::WebHdfs => "two requests with a ticket each: token, first renewal",
        }
    }

    /// The principal of the server.
    pub(crate) fn target(self) -> String {
        let service = match self {
            Self::Kms | Self::WebHdfs => "HTTP",
            other => other.name(),
        };
        format!("{service}/localhost@{REALM}")
    }

    /// An instance of its provider with the grants that it needs. `more` are other ports that it connects to.
    pub(crate) fn instance(self, plan: &LoginPlan, port: u16, more: &[u16]) -> Result<Instance> {
        let server = format!("localhost:{port}");
        let url = format!("http://{server}");
        let settings: &[(&str, &str)] = match self {
            Self::HBase => &[("servers", &server), ("protection", "authentication")],
            Self::Hdfs => &[("namenodes", &server), ("protection", "authentication")],
            Self::Hive => &[("uris", &format!("thrift://{server}")), ("protection", "authentication")],
            Self::Kafka => &[("servers", &server), ("authentication", "GSSAPI"), ("token-mechanism", "SCRAM-SHA-256")],
            Self::Kms => &[("provider", &format!("kms://http@{server}/kms"))],
            Self::WebHdfs => &[("urls", &url)],
            Self::Yarn => &[("resourcemanagers", &server), ("protection", "authentication")],
        };
        let mut instance = instance(self.name(), settings)?;
        let target = self.target().parse()?;
        for port in [&[port], more].concat() {
            let networks = vec!["loopback".parse()?];
            instance.grant.tcp.push(TcpRule { host: "localhost".parse()?, port, networks, tls: None });
        }
        let mut targets = vec![target];
        if matches!(self, Self::Kms | Self::WebHdfs) {
            // The host adds its tickets: the component has no use for one.
            let negotiate = targets.pop();
            instance.grant.http.push(HttpRule {
                pattern: url.parse()?,
                methods: Vec::new(),
                paths: PathRules::Any,
                overrides: Vec::new(),
                networks: vec!["loopback".parse()?],
                send: RequestOptions { negotiate, ..RequestOptions::default() },
            });
        }
        instance.grant.kerberos = Some(KerberosGrant { login: plan.clone(), targets });
        Ok(instance)
    }
}
