//! Rules for outgoing requests and connections.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::target::{port, split};
use super::{HostError, HostPattern, HttpTarget, KerberosTarget, Network, OverrideHeader, Scheme, Target, TargetError};
use crate::{DeniedRequest, OverriddenRequest, PolicyDenial, SecretName};

/// The servers of an HTTP rule: `https://sts.eu-west-1.amazonaws.com`, `http://*.example.com:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpPattern {
    scheme: Scheme,
    host: HostPattern,
    port: u16,
}

/// A rule that allows HTTP requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRule {
    pub pattern: HttpPattern,
    /// Allowed methods; empty for all but CONNECT, TRACE and TRACK.
    pub methods: Vec<Method>,
    pub paths: PathRules,
    /// Allowed headers among those that could turn the request into another one.
    pub overrides: Vec<OverrideHeader>,
    /// Permitted networks beside public addresses.
    pub networks: Vec<Network>,
    /// How the host sends an allowed request.
    pub send: RequestOptions,
}

/// How the host sends a request that a rule allows. The component does not see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestOptions {
    /// How it is protected, if the rule is for `https`.
    pub tls: TlsOptions,
    /// Secrets to add to the request.
    pub inject: Vec<Injection>,
    /// The service for which it adds a Kerberos token: `Authorization: Negotiate` (RFC 4559).
    pub negotiate: Option<KerberosTarget>,
    /// Whether the response may contain what was added.
    pub allow_echo: bool,
}

/// How the host speaks TLS with the servers of a rule. Their certificates are always verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// PEM certificates to trust instead of the system's.
    pub roots: Option<PathBuf>,
    /// PEM certificate chain to present to the server, and the secret that holds its PEM key.
    pub client: Option<(PathBuf, SecretName)>,
}

/// A secret that the host adds to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// The place in the request. What the component put there is replaced.
    pub place: InjectionPoint,
    pub secret: SecretName,
    pub form: InjectionEncoding,
}

/// The place of a secret in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InjectionPoint {
    /// A field of an `application/x-www-form-urlencoded` body.
    Field(String),
    /// A header, in lower case.
    Header(String),
}

/// The encoding of a secret in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InjectionEncoding {
    /// `Basic`, then user and secret in Base64 (RFC 7617).
    Basic { user: String },
    /// The same for a client of OAuth 2.0, which form-encodes both before they are put together (RFC 6749, 2.3.1).
    OauthBasic {
        /// The client's id.
        client: String,
    },
    /// The value behind a prefix, such as `Bearer `.
    Plain { prefix: String },
}

/// A rule that allows TCP connections: `broker.example.com:9093`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpRule {
    pub host: HostPattern,
    pub port: u16,
    /// Permitted networks beside public addresses.
    pub networks: Vec<Network>,
    /// How the host speaks TLS with the server, below the component's own protocol. `None`: it does not.
    pub tls: Option<TlsOptions>,
}

/// The paths that a rule allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRules {
    Any,
    /// The paths below one of these prefixes.
    Prefixes(Vec<PathPrefix>),
}

/// `/v1/auth`: allows itself and what is below it, `/v1/auth/login`, but not `/v1/authors`. `/` allows all plain paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPrefix(String);

/// An HTTP method that can be granted: a token (RFC 9110 5.6.2) in upper case, and none of CONNECT, TRACE and TRACK. The
/// last two have a server send the request back, with what the host added to it; IIS knows TRACE as TRACK.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Method(String);

/// Why a text is not a rule, or not a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// An invalid host or wildcard.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Not a method, or one that cannot be granted.
    #[error(
        "not a method that can be granted: write \"GET\", \"POST\" and the like; CONNECT, TRACE and TRACK are always refused"
    )]
    Method,
    /// A header that does not turn a request into another one, and so needs no grant.
    #[error(
        "not a header that needs a grant: write \"x-forwarded-for\", \"x-http-method-override\" and the like; others are always allowed"
    )]
    OverrideHeader,
    /// No path prefix.
    #[error("not a path prefix: begin with \"/\", write no \"..\", query, or percent-encoded slash or dot")]
    Path,
    /// An invalid or missing port.
    #[error("the port is missing or not a number from 1 to 65535")]
    Port,
    /// Neither http nor https.
    #[error("write \"https://host\" or \"http://host:port\"")]
    Scheme,
    /// Something after host and port.
    #[error("nothing may follow the host and port: name paths with `paths = [\"/…\"]`")]
    Tail,
    /// `user@host`
    #[error("a rule cannot contain user information: add credentials with `headers` from a secret")]
    Userinfo,
}

impl From<TargetError> for RuleError {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Host(error) => Self::Host(error),
            TargetError::Method => Self::Method,
            TargetError::Path => Self::Path,
            TargetError::Port => Self::Port,
            TargetError::Scheme => Self::Scheme,
            TargetError::Userinfo => Self::Userinfo,
        }
    }
}

impl HttpRule {
    /// Whether every request that `other` allows is allowed by this rule.
    pub fn covers(&self, other: &Self) -> bool {
        self.pattern.scheme == other.pattern.scheme
            && self.pattern.port == other.pattern.port
            && self.pattern.host.covers(&other.pattern.host)
            && (self.methods.is_empty()
                || (!other.methods.is_empty() && other.methods.iter().all(|m| self.methods.contains(m))))
            && self.paths.covers(&other.paths)
            && other.overrides.iter().all(|header| self.overrides.contains(header))
            && other.networks.iter().all(|network| self.networks.contains(network))
    }

    /// A request that the rule allows, if it is for one host.
    pub fn sample(&self) -> Option<HttpTarget> {
        let HostPattern::Exactly(host) = &self.pattern.host else { return None };
        let authority = format!("{host}:{}", self.pattern.port);
        let method = self.methods.first().map_or("GET".to_owned(), ToString::to_string);
        let path = match &self.paths {
            PathRules::Any => "/".to_owned(),
            PathRules::Prefixes(prefixes) => prefixes.first()?.to_string(),
        };
        HttpTarget::parse(self.pattern.scheme.name(), &authority, &method, &path, []).ok()
    }

    /// `Ok` if the rule allows the request, else the first part that it does not allow.
    pub(super) fn judge(&self, request: &HttpTarget) -> Result<(), PolicyDenial> {
        let target = request.target();
        if !self.pattern.host.matches(target.host()) {
            Err(PolicyDenial::Host { target: target.clone() })
        } else if self.pattern.scheme != target.scheme() {
            Err(PolicyDenial::Scheme { target: target.clone() })
        } else if self.pattern.port != target.port() {
            Err(PolicyDenial::Port { target: target.clone() })
        } else if !self.methods.is_empty() && !self.methods.contains(request.method()) {
            Err(PolicyDenial::Method { target: target.clone(), request: denied(request) })
        } else if !self.paths.allow(request.path()) {
            Err(PolicyDenial::Path { target: target.clone(), request: denied(request) })
        } else if let Some(header) = request.overrides().iter().find(|header| !self.overrides.contains(header)) {
            let method = request.method().clone();
            let path = request.path().to_owned();
            let request = OverriddenRequest { method, path, header: header.to_string() };
            Err(PolicyDenial::OverrideHeader { target: target.clone(), request: Box::new(request) })
        } else {
            Ok(())
        }
    }
}

fn denied(request: &HttpTarget) -> Box<DeniedRequest> {
    Box::new(DeniedRequest { method: request.method().clone(), path: request.path().to_owned() })
}

impl FromStr for HttpPattern {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (scheme, rest) = text.split_once("://").ok_or(RuleError::Scheme)?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(RuleError::Scheme),
        };
        if rest.contains(['/', '?', '#']) {
            return Err(RuleError::Tail);
        }
        let (host, written) = split(rest)?;
        let port = match written {
            Some(text) => port(text)?,
            None => scheme.default_port().ok_or(RuleError::Port)?,
        };
        Ok(Self { scheme, host: host.parse()?, port })
    }
}

impl fmt::Display for HttpPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        if self.scheme.default_port() == Some(self.port) { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl HttpPattern {
    /// The pattern that allows this target and nothing else.
    pub fn exactly(target: &Target) -> Self {
        Self { scheme: target.scheme(), host: HostPattern::Exactly(target.host().clone()), port: target.port() }
    }

    /// Whether the rule allows this target.
    pub fn matches(&self, target: &Target) -> bool {
        self.host.matches(target.host()) && self.scheme == target.scheme() && self.port == target.port()
    }

    pub fn host(&self) -> &HostPattern {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }
}

impl FromStr for TcpRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        if text.contains(['/', '?', '#']) {
            return Err(RuleError::Tail);
        }
        let (host, written) = split(text)?;
        let port = port(written.ok_or(RuleError::Port)?)?;
        Ok(Self { host: host.parse()?, port, networks: Vec::new(), tls: None })
    }
}

impl fmt::Display for TcpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl PathRules {
    /// Whether the path may be requested. If prefixes are named, none of them matches a path that a server could read in
    /// another way (dot segments, encoded slashes or dots, backslashes, empty segments, parameters).
    pub fn allow(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Prefixes(prefixes) => plain(path) && prefixes.iter().any(|prefix| prefix.has(path)),
        }
    }

    /// Whether every path that `other` allows is allowed here.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Prefixes(_), Self::Any) => false,
            (Self::Prefixes(own), Self::Prefixes(others)) => others.iter().all(|o| own.iter().any(|p| p.has(&o.0))),
        }
    }
}

impl PathPrefix {
    fn has(&self, path: &str) -> bool {
        let prefix = self.0.trim_end_matches('/');
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            && (path.len() >= self.0.len())
    }
}

impl FromStr for PathPrefix {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let sound = text.bytes().all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#' && b != b'*');
        if sound && plain(text) { Ok(Self(text.to_owned())) } else { Err(RuleError::Path) }
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn plain(path: &str) -> bool {
    let encoded = path.to_ascii_lowercase();
    let hides = ["%2e", "%2f", "%5c", "%00", "%25", "%3b"].iter().any(|code| encoded.contains(code));
    let dots = path.split('/').any(|segment| segment == "." || segment == "..");
    path.starts_with('/') && !hides && !dots && !path.contains(['\\', ';']) && !path.contains("//")
}

/// Whether a method or a header's name may have this byte (RFC 9110, section 5.6.2).
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl FromStr for Method {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let method = text.to_ascii_uppercase();
        let refused = ["CONNECT", "TRACE", "TRACK"].contains(&method.as_str());
        if method.is_empty() || method.len() > 32 || refused || method != text || !method.bytes().all(is_token_byte) {
            return Err(RuleError::Method);
        }
        Ok(Self(method))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_pattern_survives_the_round_trip() {
        for text in [
            "https://a.example",
            "http://a.example:8080",
            "https://*.example.com",
            "http://127.0.0.1:8333",
            "https://[::1]:8443",
        ] {
            assert_eq!(text.parse::<HttpPattern>().unwrap().to_string(), text);
        }
        assert_eq!("https://a.example:443".parse::<HttpPattern>().unwrap().to_string(), "https://a.example");
        for text in ["a.example:9093", "*.example.com:9093", "[::1]:1"] {
            assert_eq!(text.parse::<TcpRule>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn rule_pattern_with_missing_or_excess_parts_is_rejected() {
        use RuleError::*;
        for (text, error) in [
            ("", Scheme),
            ("a.example", Scheme),
            ("ftp://a.example", Scheme),
            ("tcp://a.example:1", Scheme),
            ("https://a.example/", Tail),
            ("https://a.example?x", Tail),
            ("https://u@a.example", Userinfo),
            ("https://", Host(HostError::Empty)),
            ("https://*", Host(HostError::Wildcard)),
            ("https://a.example:0", Port),
            ("https://a.example:*", Port),
        ] {
            assert_eq!(text.parse::<HttpPattern>(), Err(error), "{text}");
        }
        for (text, error) in
            [("a.example", Port), ("tcp://a.example:1", Tail), ("a.example:1/", Tail), (":1", Host(HostError::Empty))]
        {
            assert_eq!(text.parse::<TcpRule>(), Err(error), "{text}");
        }
    }

    #[test]
    fn rule_path_prefix_survives_the_round_trip() {
        for text in ["/", "/v1", "/v1/auth/"] {
            assert_eq!(text.parse::<PathPrefix>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn rule_path_prefix_ends_at_a_segment() {
        let paths = |prefix: &str| PathRules::Prefixes(vec![prefix.parse().unwrap()]);
        for (prefix, path, allowed) in [
            ("/v1/auth", "/v1/auth", true),
            ("/v1/auth", "/v1/auth/", true),
            ("/v1/auth", "/v1/auth/login", true),
            ("/v1/auth", "/v1/authors", false),
            ("/v1/auth", "/v1", false),
            ("/v1/auth/", "/v1/auth/x", true),
            ("/v1/auth/", "/v1/auth/", true),
            ("/v1/auth/", "/v1/auth", false),
            ("/", "/", true),
            ("/", "/anything", true),
            ("/a", "/b/a", false),
        ] {
            assert_eq!(paths(prefix).allow(path), allowed, "{prefix} {path}");
        }
    }

    #[test]
    fn rule_path_that_a_server_could_normalise_matches_no_prefix() {
        let root = PathRules::Prefixes(vec!["/".parse().unwrap()]);
        for path in [
            "/a/../b",
            "/a/./b",
            "/a/..",
            "/..",
            "/%2e%2e/b",
            "/%2E/b",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "//a",
            "/a//b",
            "/a%00",
            "/a%252e",
            "/a;x=1",
            "/a%3bx",
        ] {
            assert!(!root.allow(path), "{path}");
            assert!(PathRules::Any.allow(path), "{path}");
            assert_eq!(path.parse::<PathPrefix>(), Err(RuleError::Path), "{path}");
        }
        for path in ["", "a", "/a?b", "/a#b", "/a b", "/a*"] {
            assert_eq!(path.parse::<PathPrefix>(), Err(RuleError::Path), "{path}");
        }
    }

    #[test]
    fn rule_methods_are_upper_case_tokens() {
        for text in ["GET", "POST", "PROPFIND", "M-SEARCH"] {
            assert_eq!(text.parse::<Method>().unwrap().to_string(), text);
        }
        for text in ["", "get", "CONNECT", "TRACE", "TRACK", "GE T", "GET\r\n", &"A".repeat(33)] {
            assert_eq!(text.parse::<Method>(), Err(RuleError::Method), "{text:?}");
        }
        assert!("A".repeat(32).parse::<Method>().is_ok());
    }
}
