//! Addresses of servers in settings, and the names under which clients look for their tokens.

use deputy_kit::url::Url;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The most servers of one set.
pub const MAX_SERVERS: usize = 8;

/// The longest name of a host, a user or a service, in bytes.
pub const MAX_NAME: usize = 255;

/// A server: a host's name or IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// The name, or the address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The service's principal at a host: `_HOST` stands for its name in lower case.
#[must_use]
pub fn principal_at(principal: &str, host: &str) -> String {
    principal.replace("_HOST", &host.to_ascii_lowercase())
}

impl ServerAddress {
    /// An address whose parts came some other way, if the host is a name or an IP address.
    #[must_use]
    pub fn new(host: String, port: u16) -> Option<Self> {
        is_host(&host).then_some(Self { host, port })
    }

    /// Reads `host:port`, or a host alone if there is a default port.
    ///
    /// # Errors
    /// For other texts. The error completes the sentence "setting x: …".
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, String> {
        let wrong = || format!("`{}` is not a server such as nn1.example.com:8020", short(text));
        let (host, port) = match text.rsplit_once(':') {
            // A bare IPv6 address has colons of its own.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().ok().filter(|port| *port != 0))
            }
            _ => (text, default_port),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.ok_or_else(wrong)?;
        if is_host(host) { Ok(Self { host: host.to_owned(), port }) } else { Err(wrong()) }
    }

    /// Reads one to eight servers with commas between.
    ///
    /// # Errors
    /// As for [`Self::parse`], and if a server is listed twice.
    pub fn parse_list(text: &str, default_port: Option<u16>) -> Result<Vec<Self>, String> {
        let servers: Vec<Self> =
            text.split(',').map(|server| Self::parse(server.trim(), default_port)).collect::<Result<_, _>>()?;
        let servers = bounded(servers)?;
        let twice =
            servers.iter().enumerate().find(|(index, server)| servers.iter().take(*index).any(|it| it == *server));
        match twice {
            Some((_, server)) => Err(format!("{server} is listed twice")),
            None => Ok(servers),
        }
    }

    /// The name under which clients look for the server's token, if they do not use its IP address
    /// (`hadoop.security.token.service.use_ip = false`).
    #[must_use]
    pub fn service_by_name(&self) -> String {
        format!("{}:{}", self.host.to_ascii_lowercase(), self.port)
    }
}

/// The servers of a set, if there are not too many.
///
/// # Errors
/// If there are. The error completes the sentence "setting x: …".
pub fn bounded<T>(servers: Vec<T>) -> Result<Vec<T>, String> {
    match servers.len() {
        0..=MAX_SERVERS => Ok(servers),
        count => Err(format!("{count} servers, of at most {MAX_SERVERS}")),
    }
}

/// Reads one to eight URLs without a query, with commas between.
///
/// # Errors
/// For other texts. The error completes the sentence "setting x: …".
pub fn parse_urls(text: &str) -> Result<Vec<Url>, String> {
    let urls: Vec<Url> = text.split(',').map(|url| Url::parse(url.trim())).collect::<Result<_, _>>()?;
    match urls.iter().find(|url| url.target.contains('?')) {
        Some(url) => Err(format!("a URL without a query is needed, such as http://{}", url.authority)),
        None => bounded(urls),
    }
}

/// The name under which clients look for the token of a server at this address
/// (`org.apache.hadoop.security.SecurityUtil.buildTokenService`).
#[must_use]
pub fn service_by_address(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => format!("{ip}:{}", address.port()),
        // As Java's `InetAddress.getHostAddress` writes it: all eight groups.
        IpAddr::V6(ip) => {
            let groups = ip.segments().map(|group| format!("{group:x}"));
            format!("{}:{}", groups.join(":"), address.port())
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn is_host(host: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=255).contains(&host.len()) && (host.bytes().all(is_name) || host.parse::<IpAddr>().is_ok())
}

fn short(text: &str) -> String {
    deputy_kit::text::one_line(text, 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("nn1.example.com:8020", "nn1.example.com", 8020),
            ("nn1", "nn1", 8020),
            ("10.0.0.1:9000", "10.0.0.1", 9000),
            ("[2001:db8::1]:9000", "2001:db8::1", 9000),
            ("2001:db8::1", "2001:db8::1", 8020),
            ("[::1]", "::1", 8020),
        ] {
            let address = ServerAddress::parse(text, Some(8020)).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
        }
        for text in
            ["", ":8020", "nn1:", "nn1:0", "nn1:65536", "nn1:x", "n n1:1", "a/b:1", "nn1:1:2", "[nn1]x:1", "é:1"]
        {
            assert!(ServerAddress::parse(text, Some(8020)).is_err(), "{text:?} passed");
        }
        assert!(ServerAddress::parse("nn1", None).unwrap_err().starts_with("`nn1` is not a server such as"));
    }

    #[test]
    fn address_list_has_each_server_once() {
        let servers = ServerAddress::parse_list("nn1:8020, nn2:8020", None).unwrap();
        assert_eq!(servers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["nn1:8020", "nn2:8020"]);
        assert_eq!(ServerAddress::parse_list("nn1:1,nn1:1", None), Err("nn1:1 is listed twice".to_owned()));
        assert!(ServerAddress::parse_list("nn1:1,", None).is_err());
        let many: Vec<_> = (1..=9).map(|number| format!("nn{number}:1")).collect();
        assert_eq!(ServerAddress::parse_list(&many.join(","), None), Err("9 servers, of at most 8".to_owned()));
    }

    #[test]
    fn address_names_a_token_as_clients_do() {
        assert_eq!(
            ServerAddress::parse("NN1.Example.com:8020", None).unwrap().service_by_name(),
            "nn1.example.com:8020"
        );
        assert_eq!(service_by_address("10.0.0.1:8020".parse().unwrap()), "10.0.0.1:8020");
        assert_eq!(service_by_address("[::1]:8020".parse().unwrap()), "0:0:0:0:0:0:0:1:8020");
    }
}
