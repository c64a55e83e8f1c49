//! `[endpoints]`: where programs on this machine can ask a worker for what it holds. Off unless written.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use deputy_core::InstanceName;

use crate::address;
use crate::diagnostic::DiagnosticSink;
use crate::socket::{self, SocketMode};
use crate::value::{Located, TableReader, optional};

use super::Wanted;

/// Where programs can ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// The Unix socket of `deputy get`, `deputy exec` and `deputy worker status`.
    pub socket: Option<SocketEndpoint>,
    /// The addresses that AWS's own libraries ask. No address and no token's file is there twice.
    pub aws: Vec<AwsEndpoint>,
}

/// A Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketEndpoint {
    /// Its place; without one it lies in the state directory.
    pub path: Option<PathBuf>,
    /// Who may connect.
    pub mode: SocketMode,
}

/// One instance's credentials by the protocol of AWS's containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsEndpoint {
    /// An address of this machine alone.
    pub listen: SocketAddr,
    /// Whose credentials.
    pub instance: InstanceName,
    /// The file with the token that a program has to show.
    pub token_file: PathBuf,
}

/// Reads `[endpoints]`.
pub(super) fn read(sink: &mut DiagnosticSink, base: &Path, wanted: Option<&Wanted>, value: Located<'_>) -> Endpoints {
    let Some(mut fields) = value.table(sink, "[endpoints]") else { return Endpoints::default() };
    let socket = fields.optional("socket").and_then(|value| unix(sink, base, value));
    let written = fields.optional("aws").map(|value| value.tables(sink, "[[endpoints.aws]]")).unwrap_or_default();
    fields.finish(sink);
    let mut known: Vec<Aws<'_>> = Vec::new();
    for fields in written {
        let one = aws(sink, base, wanted, fields);
        one.differs(sink, &known);
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

/// One endpoint with the places of its parts.
struct Aws<'t> {
    listen: Option<(SocketAddr, Located<'t>)>,
    instance: Option<InstanceName>,
    token_file: Option<(PathBuf, Located<'t>)>,
}

fn aws<'t>(sink: &mut DiagnosticSink, base: &Path, wanted: Option<&Wanted>, mut fields: TableReader<'t>) -> Aws<'t> {
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
        sink.error(value.at(), "other machines could ask here for credentials, in the clear")
            .expected("an address of this machine alone, such as \"127.0.0.1:9911\"");
        return None;
    }
    if address.port() == 0 {
        sink.error(value.at(), "programs have to know this port").expected("such as \"127.0.0.1:9911\"");
        return None;
    }
    Some(address)
}

impl Aws<'_> {
    /// Notes what it has that another one has already.
    fn differs(&self, sink: &mut DiagnosticSink, others: &[Self]) {
        for other in others {
            if let (Some((own, value)), Some((address, first))) = (&self.listen, &other.listen)
                && own == address
            {
                sink.error(value.at(), "another endpoint has this address already")
                    .expected("an address, or a port, of its own")
                    .also(first.at(), "the other");
            }
            if let (Some((own, value)), Some((path, first))) = (&self.token_file, &other.token_file)
                && own == path
            {
                sink.error(value.at(), "another endpoint has this file already")
                    .expected("a file, and so a token, of its own")
                    .also(first.at(), "the other");
            }
        }
    }

    fn into_endpoint(self) -> Option<AwsEndpoint> {
        let (Some((listen, _)), Some((token_file, _))) = (self.listen, self.token_file) else { return None };
        Some(AwsEndpoint { listen, instance: self.instance?, token_file })
    }
}
