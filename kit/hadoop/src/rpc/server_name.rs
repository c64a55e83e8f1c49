//! The Kerberos principal of a server that names itself.
//!
//! In Hadoop RPC the server says who it is before it has proven anything. So its word is compared with what the caller
//! expects, and the host compares the result with the grant.

use super::error::RpcError;
use crate::address::{MAX_NAME, principal_at};
use deputy_kit::text::one_line;

/// Which server may answer.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedServer<'a> {
    host: &'a str,
    principal: Option<&'a str>,
}

impl<'a> ExpectedServer<'a> {
    /// The server at `host`, to which the connection leads. By default every service of this host; with a `principal`, such
    /// as `nn/_HOST@EXAMPLE.COM`, that one, where `_HOST` is the host.
    #[must_use]
    pub fn new(host: &'a str, principal: Option<&'a str>) -> Self {
        Self { host, principal }
    }

    /// The principal to open a context with, if the server's name is the expected one.
    ///
    /// # Errors
    /// If it is not, or is no name at all.
    pub fn target(&self, service: &str, host: &str) -> Result<String, RpcError> {
        let offered = format!("{service}/{host}");
        let Some(principal) = self.principal else {
            return if is_name(service) && is_name(host) && host.eq_ignore_ascii_case(self.host) {
                Ok(offered)
            } else {
                Err(unexpected(&offered, &format!("{}/{}", "SERVICE", self.host)))
            };
        };
        let target = principal_at(principal, self.host);
        let name = target.split_once('@').map_or(target.as_str(), |(name, _)| name);
        if offered.eq_ignore_ascii_case(name) { Ok(target) } else { Err(unexpected(&offered, &target)) }
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/@\\".contains(&byte))
}

fn unexpected(offered: &str, expected: &str) -> RpcError {
    RpcError::ServerName { offered: one_line(offered, MAX_NAME), expected: one_line(expected, MAX_NAME) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_name_is_that_of_the_host() {
        let expected = ExpectedServer::new("nn1.example.com", None);
        assert_eq!(expected.target("hdfs", "nn1.example.com").unwrap(), "hdfs/nn1.example.com");
        assert_eq!(expected.target("nn", "NN1.example.com").unwrap(), "nn/NN1.example.com");
        let long = "a".repeat(300);
        for (service, host) in [
            ("hdfs", "nn2.example.com"),
            ("hdfs", "nn1.example.com@EVIL.ORG"),
            ("", "nn1.example.com"),
            ("hdfs/x", "nn1.example.com"),
            ("h d", "nn1.example.com"),
            ("hdfs\n", "nn1.example.com"),
            (&long, "nn1.example.com"),
            ("hdfs", ""),
        ] {
            let error = expected.target(service, host).unwrap_err();
            assert!(matches!(error, RpcError::ServerName { .. }), "{error}");
        }
    }

    #[test]
    fn server_name_is_that_of_the_setting() {
        let expected = ExpectedServer::new("10.0.0.1", Some("hdfs/nn1.example.com@EXAMPLE.COM"));
        assert_eq!(expected.target("hdfs", "nn1.example.com").unwrap(), "hdfs/nn1.example.com@EXAMPLE.COM");
        let error = expected.target("hdfs", "nn2.example.com").unwrap_err().to_string();
        assert_eq!(
            error,
            "the server calls itself `hdfs/nn2.example.com`, and `hdfs/nn1.example.com@EXAMPLE.COM` is expected: set \
             `principal` to accept another name"
        );
        let expected = ExpectedServer::new("NN1.example.com", Some("nn/_HOST"));
        assert_eq!(expected.target("nn", "nn1.example.com").unwrap(), "nn/nn1.example.com");
        assert!(expected.target("hdfs", "nn1.example.com").is_err());
    }
}
