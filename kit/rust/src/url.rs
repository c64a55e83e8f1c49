//! URLs of requests.
//!
//! Not the crate `url`, for the size of components: it brings the tables of IDNA, and accepts more than a signature can
//! cover.

use std::fmt;

/// The parts of an `http` or `https` URL. The host is lower-case and a default port is removed, so that `authority` is
/// exactly the `Host` header of the request, which signatures cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether the scheme is `https`.
    pub secure: bool,
    /// Host, and port where it is not the scheme's own.
    pub authority: String,
    /// Path and query, beginning with `/`.
    pub target: String,
}

impl Url {
    /// Parses the URL of a setting. The error completes the sentence "setting x: …".
    ///
    /// # Errors
    /// Other schemes, user names, fragments, and characters that are not valid in a URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("not a URL: it must begin with https://")?;
        let (secure, default_port) = match scheme {
            "https" => (true, ":443"),
            "http" => (false, ":80"),
            _ => return Err("only http:// and https:// are supported".to_owned()),
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("spaces and characters beyond ASCII must be percent-encoded".to_owned());
        }
        if rest.contains('#') {
            return Err("a fragment (#…) is never sent: remove it".to_owned());
        }
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(at).unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err("a user name or password is not allowed in a URL".to_owned());
        }
        let authority = authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase();
        if !is_authority(&authority) {
            return Err("the host or the port is not valid".to_owned());
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { secure, authority, target: format!("{slash}{target}") })
    }
}

fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) if host.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')) => {
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').unwrap_or("none")) })
        }
        Some(_) => return false,
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let named = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':'));
    let numbered = port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    !host.is_empty() && named && numbered
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the query, which may hold a secret.
        let path = self.target.split('?').next().unwrap_or("/");
        write!(f, "{}://{}{path}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String) {
        let url = Url::parse(text).unwrap();
        (url.authority, url.target)
    }

    #[test]
    fn url_authority_is_the_host_header() {
        assert_eq!(parts("https://STS.example:443/"), ("sts.example".into(), "/".into()));
        assert_eq!(parts("http://sts.example:80"), ("sts.example".into(), "/".into()));
        assert_eq!(parts("https://sts.example:80/a?b=c"), ("sts.example:80".into(), "/a?b=c".into()));
        assert_eq!(parts("http://127.0.0.1:8333?x"), ("127.0.0.1:8333".into(), "/?x".into()));
        assert_eq!(parts("http://[::1]:8333/"), ("[::1]:8333".into(), "/".into()));
    }

    #[test]
    fn url_rejects_anything_unusual() {
        for text in [
            "",
            "sts.example",
            "ftp://a/",
            "https://",
            "https://:443/",
            "https://a b/",
            "https://u:p@host/",
            "https://h/#x",
            "https://h:99999/",
            "https://h:+1/",
            "https://h:1:2/",
            "https://[::1/",
            "https://[::1]x/",
            "https://é/",
            "https://h\r\n/",
        ] {
            assert!(Url::parse(text).is_err(), "{text:?} passed");
        }
    }

    #[test]
    fn url_prints_without_its_query() {
        assert_eq!(Url::parse("https://h:8443/token?key=1").unwrap().to_string(), "https://h:8443/token");
    }
}
