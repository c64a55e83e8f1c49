//! The servers that an operator's settings name.
//!
//! A component chooses which of its settings it turns into hosts. So a word counts only where it is written as a server: a
//! region or a scope is no host of the operator's.

use std::collections::BTreeMap;

use super::Host;

/// A server in a setting: in a URL, as `host:port`, or a name with a dot or an address alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrittenServer {
    /// `http`, `https` or another one, in lower case, if one is written.
    pub(super) scheme: Option<String>,
    pub(super) host: Host,
    /// `None` if the component chooses it: it knows the port that its service has.
    pub(super) port: Option<u16>,
}

impl WrittenServer {
    /// Those of all settings. A setting may have several, with commas, semicolons or spaces between.
    pub(super) fn all(settings: &BTreeMap<String, String>) -> Vec<Self> {
        let parts = settings.values().flat_map(|value| value.split([',', ';', ' ']));
        parts.filter_map(Self::read).collect()
    }

    fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        // Programs read a URL with a backslash in different ways.
        let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.contains('\\'))?;
        // The host follows the last one: what is before it is a user.
        let server = if scheme.is_some() { authority.rsplit('@').next()? } else { authority };
        let (host, port) = host_and_port(server)?;
        let port = port.or(match scheme.as_deref() {
            Some("http") => Some(80),
            Some("https") => Some(443),
            _ => None,
        });
        let is_server = scheme.is_some() || port.is_some() || is_qualified(&host);
        is_server.then_some(Self { scheme, host, port })
    }
}

/// `host`, `host:port`, `[::1]:port`
fn host_and_port(text: &str) -> Option<(Host, Option<u16>)> {
    let has_port = text.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
    match has_port {
        Some((host, port)) => Some((host.parse().ok()?, Some(port.parse().ok()?))),
        None => Some((text.parse().ok()?, None)),
    }
}

/// A single label could be any word.
fn is_qualified(host: &Host) -> bool {
    match host {
        Host::Address(_) => true,
        Host::Name(name) => name.contains('.'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(setting: &str) -> Vec<String> {
        let servers = WrittenServer::all(&BTreeMap::from([("a".to_owned(), setting.to_owned())]));
        let port = |port: Option<u16>| port.map_or_else(|| "any".to_owned(), |port| port.to_string());
        servers.iter().map(|server| format!("{} {}", server.host, port(server.port))).collect()
    }

    #[test]
    fn server_is_read_where_it_is_written_as_one() {
        for (setting, servers) in [
            ("https://Minio.example:9000/sts?x=https://evil.example", &["minio.example 9000"][..]),
            ("https://minio", &["minio 443"]),
            ("http://minio/internal", &["minio 80"]),
            ("https://good.example@evil.example/", &["evil.example 443"]),
            ("thrift://ms1:9083, thrift://ms2", &["ms1 9083", "ms2 any"]),
            ("kms://https@kms1;kms2:9600/kms", &["kms1 any", "kms2 9600"]),
            ("zk1:2181,zk2:2181/hbase", &["zk1 2181", "zk2 2181"]),
            ("nn1.example.com", &["nn1.example.com any"]),
            ("10.0.0.7 [fd00::1]:9000", &["10.0.0.7 any", "[fd00::1] 9000"]),
            ("http://[::1]", &["[::1] 80"]),
            ("HTTPS://Minio", &["minio 443"]),
        ] {
            assert_eq!(written(setting), servers, "{setting}");
        }
    }

    #[test]
    fn server_is_no_other_word() {
        for setting in [
            "",
            "us-east-1",
            "vault",
            "arn:aws:iam::123456789012:role/worker",
            "hdfs/nn1.example.com@EXAMPLE.COM",
            "alice@corp.internal",
            "openid offline_access",
            "localhost.",
            "127.1:80",
            "http://2130706433/",
            "http://0x7f.1",
            "https://*.example.com",
            "https://good.example\\@evil.example",
            "https://g\u{f6}\u{f6}d.example",
            "https://",
            "minio:99999",
            "minio:",
            "::1",
        ] {
            assert_eq!(written(setting), [""; 0], "{setting}");
        }
    }
}
