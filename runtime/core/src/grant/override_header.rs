//! Headers that make a server treat a request as another one.
//!
//! Frameworks, gateways and proxies honour them: a request with a granted method and path then acts as one with another
//! method, path, host or origin. So each of them needs a grant. Only `Forwarded` has a specification (RFC 7239); the
//! names here are those that Rack, Express, Symfony, ASP.NET, IIS, Traefik, nginx and Google's APIs document.

use std::fmt;
use std::str::FromStr;

use super::RuleError;

/// The name of such a header, in lower case and with hyphens: `x-http-method-override`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OverrideHeader(String);

/// Names without one of the prefixes below.
const NAMES: [&str; 11] = [
    "client-ip",
    "forwarded",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-real-ip",
    "x-scheme",
    "x-script-name",
    "x-url-scheme",
];

/// The prefixes of all others.
const PREFIXES: [&str; 4] = ["x-forwarded", "x-http-method", "x-original-", "x-rewrite-"];

/// The suffix of others, as in `x-method-override`.
const SUFFIX: &str = "-override";

impl OverrideHeader {
    /// The header of this name, if it is one. An underscore counts as a hyphen: behind CGI's variables, and so in most
    /// frameworks, both are the same header.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase().replace('_', "-");
        let is_one = NAMES.contains(&name.as_str())
            || name.ends_with(SUFFIX)
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        is_one.then_some(Self(name))
    }
}

impl FromStr for OverrideHeader {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let is_token = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        Self::of(text).filter(|_| is_token).ok_or(RuleError::OverrideHeader)
    }
}

impl fmt::Display for OverrideHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn override_header_is_recognised_however_it_is_written() {
        for (text, name) in [
            ("X-HTTP-Method-Override", "x-http-method-override"),
            ("x_http_method_override", "x-http-method-override"),
            ("X-HTTP-Method", "x-http-method"),
            ("X-Method_Override", "x-method-override"),
            ("X-Original-URL", "x-original-url"),
            ("x-rewrite-url", "x-rewrite-url"),
            ("X-Forwarded-For", "x-forwarded-for"),
            ("x-forwarded-prefix", "x-forwarded-prefix"),
            ("X_Forwarded_Host", "x-forwarded-host"),
            ("FORWARDED", "forwarded"),
            ("X-Real-IP", "x-real-ip"),
        ] {
            assert_eq!(OverrideHeader::of(text).map(|header| header.to_string()).as_deref(), Some(name), "{text}");
            assert_eq!(text.parse::<OverrideHeader>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn override_header_is_no_other_header() {
        for text in
            ["", "accept", "authorization", "content-type", "x-amz-date", "x-vault-token", "forwarded-by", "override"]
        {
            assert_eq!(OverrideHeader::of(text), None, "{text}");
        }
        for text in ["x-forwarded-f\u{f6}r", "x-forwarded for", "accept", "x-forwarded-for:"] {
            assert_eq!(text.parse::<OverrideHeader>(), Err(RuleError::OverrideHeader), "{text}");
        }
    }
}
