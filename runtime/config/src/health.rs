//! `health` and `health-tls` in `[coordinator]`: where probes, scrapers and browsers connect, and with which certificate.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use deputy_core::{HostPort, SecretSource};

use crate::address;
use crate::diagnostic::DiagnosticSink;
use crate::secret;
use crate::value::{Located, TableReader, optional};

/// TLS at the health port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthTls {
    /// The certificate, and those between it and its root.
    pub chain: PathBuf,
    pub key: SecretSource,
    /// The address in URLs of the live page. The certificate is for its host.
    pub advertise: HostPort,
}

const LIKE: &str = "\"127.0.0.1:8270\"";

const TLS_LIKE: &str = "{ chain = \"health.pem\", key = { file = \"health.key\" } }";

const WITHOUT_TLS: &str = "clients are not authenticated here, and see the names of the instances and whether they fail; there \
                           is no live page without `health-tls`";

const WITH_TLS: &str = "the live page needs a session; probes and metrics need none, and show the names of the instances and \
                        whether they fail";

/// Reads both keys; `None` after an error.
pub(crate) fn read(
    sink: &mut DiagnosticSink,
    base: &Path,
    fields: &mut TableReader<'_>,
) -> Option<(Option<SocketAddr>, Option<HealthTls>)> {
    let written = fields.optional("health");
    let address = optional(written, |v| address::read(sink, v, LIKE));
    let written_tls = fields.optional("health-tls");
    let tls = optional(written_tls, |v| tls(sink, base, v));
    if let (Some(value), Some(Some(address))) = (written, address) {
        warn_of_others(sink, value, address, LIKE, if written_tls.is_some() { WITH_TLS } else { WITHOUT_TLS });
    }
    if let (None, Some(at)) = (written, fields.key("health-tls")) {
        sink.error(at, "`health-tls` has no effect: there is no health port")
            .expected("needs health = \"0.0.0.0:8270\"");
        return None;
    }
    let (Some(address), Some((chain, key, advertise))) = (address?, tls?) else { return Some((address?, None)) };
    let advertise = advertise.or_else(|| HostPort::of(address));
    if let (None, Some(value)) = (&advertise, written_tls) {
        sink.error(value.at(), "browsers cannot connect to an unspecified address")
            .expected("needs advertise = \"coordinator.example:8270\"")
            .hint("`advertise` is the address in the URLs that `deputy ui` prints");
    }
    Some((Some(address), Some(HealthTls { chain, key, advertise: advertise? })))
}

fn tls(
    sink: &mut DiagnosticSink,
    base: &Path,
    value: Located<'_>,
) -> Option<(PathBuf, SecretSource, Option<HostPort>)> {
    let mut fields = value.table(sink, TLS_LIKE)?;
    let chain = fields.required(sink, "chain", "\"health.pem\"").and_then(|value| value.path(sink, base));
    let key = fields.required(sink, "key", "{ file = \"health.key\" }");
    let key = key.and_then(|value| secret::source_table(sink, base, value, "{ file = \"health.key\" }"));
    let advertise = fields.optional("advertise");
    let advertise = optional(advertise, |v| v.parsed::<HostPort>(sink, "\"coordinator.example:8270\""));
    fields.finish(sink);
    Some((chain?, key?, advertise?))
}

/// Reads the address of a worker's probes and metrics.
pub(crate) fn of_worker(sink: &mut DiagnosticSink, value: Located<'_>, like: &str) -> Option<SocketAddr> {
    let address = address::read(sink, value, like)?;
    let hint = "clients are not authenticated here, and see the names of the instances and whether they fail";
    warn_of_others(sink, value, address, like, hint);
    Some(address)
}

fn warn_of_others(sink: &mut DiagnosticSink, value: Located<'_>, address: SocketAddr, like: &str, hint: &str) {
    if !address.ip().to_canonical().is_loopback() {
        sink.warning(value.at(), "other machines can reach this address")
            .expected(format!("such as {like}"))
            .hint(hint);
    }
}
