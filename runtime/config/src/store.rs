//! `store` in `[coordinator]`: the state in etcd instead of the state directory.

use std::path::{Path, PathBuf};

use deputy_core::{EtcdEndpoint, EtcdPrefix, SecretSource};

use crate::diagnostic::DiagnosticSink;
use crate::secret;
use crate::value::{Located, TableReader, optional};

/// etcd, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdSection {
    /// At least one.
    pub endpoints: Vec<EtcdEndpoint>,
    pub prefix: EtcdPrefix,
    /// The certificates that those of etcd's members are checked with.
    pub roots: Option<PathBuf>,
    /// The certificate with its chain, and its key.
    pub client_certificate: Option<(PathBuf, SecretSource)>,
    /// The user, and the password.
    pub user: Option<(String, SecretSource)>,
}

/// More members make etcd slower and not safer.
const MAX_ENDPOINTS: usize = 9;

const MAX_USER: usize = 128;

const LIKE: &str = "{ etcd = [\"https://etcd-1.example.com:2379\"], roots = \"etcd-ca.pem\" }";

/// Reads the table; `None` after an error.
pub(crate) fn read(sink: &mut DiagnosticSink, base: &Path, value: Located<'_>) -> Option<EtcdSection> {
    let mut fields = value.table(sink, LIKE)?;
    let endpoints = fields.required(sink, "etcd", "[\"https://etcd-1.example.com:2379\"]");
    let endpoints = endpoints.and_then(|value| self::endpoints(sink, value));
    let prefix = optional(fields.optional("prefix"), |v| v.parsed::<EtcdPrefix>(sink, "\"deputy/\""));
    let written_roots = fields.optional("roots");
    let roots = optional(written_roots, |v| v.path(sink, base));
    let written_certificate = fields.optional("client-certificate");
    let certificate = optional(written_certificate, |v| client_certificate(sink, base, v));
    let user = user(sink, base, &mut fields);
    fields.finish(sink);
    let endpoints = endpoints?;
    if endpoints.iter().any(EtcdEndpoint::is_tls) && roots.as_ref().is_some_and(Option::is_none) {
        sink.error(value.at(), "`https` needs the roots of etcd's certificates")
            .expected("needs roots = \"etcd-ca.pem\"");
        return None;
    }
    if !endpoints.iter().any(EtcdEndpoint::is_tls)
        && let Some(unused) = written_roots.or(written_certificate)
    {
        sink.error(unused.at(), "endpoints at http:// have no TLS").expected("needs an https:// endpoint");
        return None;
    }
    Some(EtcdSection {
        endpoints,
        prefix: prefix?.unwrap_or_default(),
        roots: roots?,
        client_certificate: certificate?,
        user: user?,
    })
}

fn endpoints(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Vec<EtcdEndpoint>> {
    let listed = value.unique_list::<EtcdEndpoint>(sink, "[\"https://etcd-1.example.com:2379\"]")?;
    if listed.is_empty() || listed.len() > MAX_ENDPOINTS {
        sink.error(value.at(), "this is not a list of etcd's members")
            .expected(format!("1 to {MAX_ENDPOINTS} endpoints"));
        return None;
    }
    for (endpoint, at) in &listed {
        if !endpoint.is_tls() && !endpoint.is_loopback() {
            sink.error(at.clone(), "without TLS, others on the network could read the password and change the state")
                .expected("https, or an address of this machine");
            return None;
        }
    }
    Some(listed.into_iter().map(|(endpoint, _)| endpoint).collect())
}

/// `client-certificate = { chain = "etcd.pem", key = { file = "etcd.key" } }`
fn client_certificate(sink: &mut DiagnosticSink, base: &Path, value: Located<'_>) -> Option<(PathBuf, SecretSource)> {
    let mut fields = value.table(sink, "{ chain = \"etcd.pem\", key = { file = \"etcd.key\" } }")?;
    let chain = fields.required(sink, "chain", "\"etcd.pem\"").and_then(|value| value.path(sink, base));
    let key = fields.required(sink, "key", "{ file = \"etcd.key\" }");
    let key = key.and_then(|value| secret::source_table(sink, base, value, "{ file = \"etcd.key\" }"));
    fields.finish(sink);
    Some((chain?, key?))
}

/// Reads `user` and `password`.
fn user(
    sink: &mut DiagnosticSink,
    base: &Path,
    fields: &mut TableReader<'_>,
) -> Option<Option<(String, SecretSource)>> {
    let written = fields.optional("user");
    let user = optional(written, |value| {
        let user = value.text(sink, "\"deputy\"")?;
        if user.is_empty() || user.len() > MAX_USER {
            sink.error(value.at(), "this is not a user of etcd").expected(format!("1 to {MAX_USER} characters"));
            return None;
        }
        Some(user.to_owned())
    });
    let password_written = fields.optional("password");
    let password = optional(password_written, |v| secret::source_table(sink, base, v, "{ file = \"etcd.password\" }"));
    match (user?, password?) {
        (Some(user), Some(password)) => Some(Some((user, password))),
        (None, None) => Some(None),
        (Some(_), None) => {
            let at = written.map_or(0..0, |value| value.at());
            sink.error(at, "`user` needs a password").expected("needs password = { file = \"etcd.password\" }");
            None
        }
        (None, Some(_)) => {
            let at = password_written.map_or(0..0, |value| value.at());
            sink.error(at, "`password` needs a user").expected("needs user = \"deputy\"");
            None
        }
    }
}
