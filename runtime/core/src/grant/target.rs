//! The target of a request: nothing in it is optional, relative or ambiguous.

use std::fmt;

use super::{Host, HostError, Method, OverrideHeader, RuleError};

/// The protocol of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// HTTP without TLS.
    Http,
    /// HTTP over TLS.
    Https,
    /// Bytes over TCP.
    Tcp,
}

/// A host, a port and a protocol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    scheme: Scheme,
    host: Host,
    port: u16,
}

/// A target, a method and a path, and the headers that may change what a server takes these for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTarget {
    target: Target,
    method: Method,
    path: String,
    overrides: Vec<OverrideHeader>,
}

/// Why a request has no valid target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// CONNECT, TRACE, TRACK, or not a method.
    #[error("the method is not one that can be granted")]
    Method,
    #[error(transparent)]
    Host(#[from] HostError),
    /// Not origin form.
    #[error("the path does not begin with a slash or holds characters that are not allowed in one")]
    Path,
    /// Port 0, over 65535, empty, or with a sign or leading zeros.
    #[error("the port is not a number from 1 to 65535 in its usual form")]
    Port,
    /// Neither http nor https.
    #[error("the scheme is neither http nor https")]
    Scheme,
    /// `user:password@host`
    #[error("the authority holds user information")]
    Userinfo,
}

impl Scheme {
    /// The scheme as in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
        }
    }

    /// The default port of the scheme.
    pub fn default_port(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Tcp => None,
        }
    }
}

impl Target {
    /// A target from its parts.
    pub fn new(scheme: Scheme, host: Host, port: u16) -> Self {
        Self { scheme, host, port }
    }

    /// Reads `host` or `host:port`.
    ///
    /// # Errors
    /// If there is more in it, if it can be read in two ways, or if the port is missing and the scheme has none.
    pub fn parse(scheme: Scheme, authority: &str) -> Result<Self, TargetError> {
        let (host, port) = split(authority)?;
        let port = match port {
            Some(text) => self::port(text)?,
            None => scheme.default_port().ok_or(TargetError::Port)?,
        };
        Ok(Self { scheme, host: host.parse()?, port })
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Target {
    /// With the port in any case, so that no reader has to know a default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.name(), self.host, self.port)
    }
}

impl HttpTarget {
    /// Reads the parts of an HTTP request: scheme, authority, method, path with or without a query, and names of headers.
    ///
    /// # Errors
    /// If one of them is missing or can be read in two ways.
    pub fn parse<'h>(
        scheme: &str,
        authority: &str,
        method: &str,
        path: &str,
        headers: impl IntoIterator<Item = &'h str>,
    ) -> Result<Self, TargetError> {
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(TargetError::Scheme),
        };
        let target = Target::parse(scheme, authority)?;
        let method = method.parse().map_err(|_: RuleError| TargetError::Method)?;
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let path = if path.is_empty() { "/" } else { path };
        let plain = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if !plain {
            return Err(TargetError::Path);
        }
        let overrides = headers.into_iter().filter_map(OverrideHeader::of).collect();
        Ok(Self { target, method, path: path.to_owned(), overrides })
    }

    /// Reads an absolute URL, for a request without override headers.
    ///
    /// # Errors
    /// If a part of it is missing or can be read in two ways.
    pub fn parse_url(url: &str, method: &str) -> Result<Self, TargetError> {
        let (scheme, authority, path) = split_url(url).ok_or(TargetError::Scheme)?;
        Self::parse(scheme, authority, method, path, [])
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its headers that could turn it into another request.
    pub fn overrides(&self) -> &[OverrideHeader] {
        &self.overrides
    }
}

/// Splits an authority into host and port.
pub(super) fn split(authority: &str) -> Result<(&str, Option<&str>), TargetError> {
    if authority.contains('@') {
        return Err(TargetError::Userinfo);
    }
    let brackets_end = authority.rfind(']').unwrap_or(0);
    match authority.rfind(':').filter(|at| *at >= brackets_end) {
        Some(at) => {
            let (host, port) = authority.split_at_checked(at).ok_or(TargetError::Port)?;
            Ok((host, port.strip_prefix(':')))
        }
        None => Ok((authority, None)),
    }
}

/// Scheme, authority and path of an absolute URL. `None` if it has no scheme.
pub fn split_url(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, "/"));
    Some((scheme, authority, path))
}

pub(super) fn port(text: &str) -> Result<u16, TargetError> {
    let port = text.parse::<u16>().map_err(|_| TargetError::Port)?;
    if port != 0 && port.to_string() == text { Ok(port) } else { Err(TargetError::Port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(scheme: &str, authority: &str, path: &str) -> Result<String, TargetError> {
        HttpTarget::parse(scheme, authority, "GET", path, []).map(|t| format!("{}{}", t.target(), t.path()))
    }

    #[test]
    fn target_has_the_default_port_of_its_scheme() {
        assert_eq!(parse("https", "a.example", "/x?q=1"), Ok("https://a.example:443/x".into()));
        assert_eq!(parse("HTTP", "A.example", ""), Ok("http://a.example:80/".into()));
        assert_eq!(parse("http", "[::1]:8080", "/"), Ok("http://[::1]:8080/".into()));
        assert_eq!(parse("http", "[::1]", "/"), Ok("http://[::1]:80/".into()));
        assert_eq!(parse("http", "[::]", "/"), Ok("http://[::]:80/".into()));
        assert_eq!(Target::parse(Scheme::Tcp, "a.example"), Err(TargetError::Port));
    }

    #[test]
    fn target_with_an_ambiguous_authority_is_rejected() {
        use TargetError::*;
        for (authority, error) in [
            ("good.example@evil.example", Userinfo),
            ("user:pass@evil.example:80", Userinfo),
            ("a.example:", Port),
            ("a.example:0", Port),
            ("a.example:65536", Port),
            ("a.example:+80", Port),
            ("a.example:080", Port),
            ("a.example:80:80", Host(HostError::Odd)),
            ("a.example: 80", Port),
            ("", Host(HostError::Empty)),
            (":80", Host(HostError::Empty)),
            ("a.example/evil", Host(HostError::Odd)),
            ("::1", Host(HostError::Odd)),
            ("a.example\\@b", Userinfo),
            ("a.example#b", Host(HostError::Odd)),
            ("[::1]x:80", Host(HostError::Odd)),
        ] {
            assert_eq!(parse("http", authority, "/"), Err(error), "{authority:?}");
        }
    }

    #[test]
    fn target_accepts_ports_1_to_65535() {
        assert_eq!(parse("http", "a.example:1", "/"), Ok("http://a.example:1/".into()));
        assert_eq!(parse("http", "a.example:65535", "/"), Ok("http://a.example:65535/".into()));
    }

    #[test]
    fn target_that_cannot_be_granted_is_rejected() {
        for scheme in ["", "ftp", "tcp", "file", "httpss"] {
            assert_eq!(parse(scheme, "a.example", "/"), Err(TargetError::Scheme), "{scheme}");
        }
        for method in ["", "CONNECT", "TRACE", "connect", "GET /", "G\u{e9}T"] {
            assert_eq!(
                HttpTarget::parse("http", "a.example", method, "/", []).err(),
                Some(TargetError::Method),
                "{method}"
            );
        }
        for path in ["x", "http://evil.example/", "*", "/a b", "/a\r\nhost: b", "/a#b", "/\u{e9}"] {
            assert_eq!(parse("http", "a.example", path), Err(TargetError::Path), "{path}");
        }
    }
}
