//! `[endpoints]`: local servers that serve what a worker holds. Disabled by default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use deputy_core::InstanceName;

use crate::address;
use crate::diagnostic::DiagnosticSink;
use crate::socket::{self, SocketMode};
use crate::value::{Located, TableReader, optional};

use super::Wanted;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// The Unix socket of `deputy get`, `deputy exec` and `deputy worker status`.
    pub socket: Option<SocketEndpoint>,
    /// Endpoints for AWS SDKs. Addresses and token files are unique.
    pub aws: Vec<AwsEndpointConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketEndpoint {
    /// Without one, the socket is in the state directory.
    pub path: Option<PathBuf>,
    pub mode: SocketMode,
}

/// One instance's credentials by the protocol of AWS's container endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsEndpointConfig {
    /// A loopback address.
    pub listen: SocketAddr,
    pub instance: InstanceName,
    /// The file with the token that a program has to send.
    pub token_file: PathBuf,
}

pub(super) fn read(
    sink: &mut DiagnosticSink,
    base: &Path,
    wanted: Option<&Wanted<'_>>,
    value: Located<'_>,
) -> Endpoints {
    let Some(mut fields) = value.table(sink, "[endpoints]") else { return Endpoints::default() };
    let socket = fields.optional("socket").and_then(|value| unix(sink, base, value));
    let written = fields.optional("aws").map(|value| value.tables(sink, "[[endpoints.aws]]")).unwrap_or_default();
    fields.finish(sink);
    let mut known: Vec<Aws<'_>> = Vec::new();
    for fields in written {
        let one = aws(sink, base, wanted, fields);
        one.check_unique(sink, &known);
        known.push(one);
    }
    Endpoints { socket, aws: known.into_iter().filter_map(Aws::into_endpoint).collect() }
}

fn unix(sink: &mut DiagnosticSink, base: &Path, value: Located<'_>) -> Option<SocketEndpoint> {
    let mut fields = value.table(sink, "[endpoints.socket]")?;
    let path = optional(fields.optional("path"), |v| socket::path(sink, base, v));
    let mode = optional(fields.optional("mode"), |v| v.parsed(sink, "\"0600\""));
    fields.finish(sink);
    Some(SocketEndpoint { path: path?, mode: mode?.unwrap_or_default() })
}

/// One endpoint with the positions of its values.
struct Aws<'t> {
    listen: Option<(SocketAddr, Located<'t>)>,
    instance: Option<InstanceName>,
    token_file: Option<(PathBuf, Located<'t>)>,
}

fn aws<'t>(
    sink: &mut DiagnosticSink,
    base: &Path,
    wanted: Option<&Wanted<'_>>,
    mut fields: TableReader<'t>,
) -> Aws<'t> {
    let listen = fields.required(sink, "listen", "\"127.0.0.1:9911\"");
    let listen = listen.and_then(|value| Some((loopback(sink, value)?, value)));
    let named = fields.required(sink, "instance", "\"s3-prod\"");
    let instance = named.and_then(|value| value.parsed(sink, "\"s3-prod\""));
    if let (Some(wanted), Some(instance), Some(value)) = (wanted, &instance, named) {
        wanted.check(sink, instance, value.at());
    }
    let token_file = fields.required(sink, "token-file", "\"aws.token\"");
    let token_file = token_file.and_then(|value| Some((value.path(sink, base)?, value)));
    fields.finish(sink);
    Aws { listen, instance, token_file }
}

fn loopback(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<SocketAddr> {
    let address = address::read(sink, value, "\"127.0.0.1:9911\"")?;
    if !address.ip().to_canonical().is_loopback() {
        sink.error(value.at(), "other machines could request credentials here, unencrypted")
            .expected("a loopback address, such as \"127.0.0.1:9911\"");
        return None;
    }
    if address.port() == 0 {
        sink.error(value.at(), "programs need a fixed port to connect to").expected("such as \"127.0.0.1:9911\"");
        return None;
    }
    Some(address)
}

impl Aws<'_> {
    /// Reports an address or token file that another endpoint has, too.
    fn check_unique(&self, sink: &mut DiagnosticSink, others: &[Self]) {
        for other in others {
            if let (Some((own, value)), Some((address, first))) = (&self.listen, &other.listen)
                && own == address
            {
                sink.error(value.at(), "another endpoint has the same address")
                    .expected("each endpoint needs its own address or port")
                    .also(first.at(), "the other");
            }
            if let (Some((own, value)), Some((path, first))) = (&self.token_file, &other.token_file)
                && own == path
            {
                sink.error(value.at(), "another endpoint has the same token file")
                    .expected("each endpoint needs its own token")
                    .also(first.at(), "the other");
            }
        }
    }

    fn into_endpoint(self) -> Option<AwsEndpointConfig> {
        let (Some((listen, _)), Some((token_file, _))) = (self.listen, self.token_file) else { return None };
        Some(AwsEndpointConfig { listen, instance: self.instance?, token_file })
    }
}
