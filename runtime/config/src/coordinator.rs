//! `[coordinator]`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use deputy_core::{AdvertisedAddresses, HostPort, SecretSource, Span};

use crate::address;
use crate::diagnostic::DiagnosticSink;
use crate::health::{self, HealthTls};
use crate::secret;
use crate::socket::{self, SocketMode};
use crate::store::{self, EtcdSection};
use crate::value::{Located, TableReader, optional};

/// Settings of the coordinator itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinatorSection {
    /// Calls of components at once, from 1 to 1,000.
    pub calls: usize,
    /// The key that seals the state. Without one, a key is generated in the state directory.
    pub key: Option<SecretSource>,
    /// The state in etcd. Without it, the state is in the state directory.
    pub store: Option<EtcdSection>,
    /// The address of `/livez`, `/readyz`, `/metrics` and the live page.
    pub health: Option<SocketAddr>,
    /// TLS there. Without it, the live page is for this machine alone.
    pub health_tls: Option<HealthTls>,
    /// The control socket. Without one, it is in the state directory.
    pub control: Option<PathBuf>,
    pub control_mode: SocketMode,
    /// How long running calls may take after a signal.
    pub shutdown: Span,
    /// Without it, the coordinator does not listen for workers.
    pub workers: Option<WorkersSection>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkersSection {
    pub listen: SocketAddr,
    /// The addresses in join strings, which workers learn over the link as well.
    pub advertise: AdvertisedAddresses,
    /// How long a worker's certificate is valid; it is renewed at half of that.
    pub certificate_life: Span,
    /// How long the authority that signs them is valid; at least ten times as long.
    pub authority_life: Span,
    /// How often a worker sends a heartbeat; it counts as disconnected after three missing ones.
    pub heartbeat: Span,
}

/// Keys that have no effect without `listen`.
const WORKERS_KEYS: [&str; 4] = ["advertise", "authority-life", "certificate-life", "heartbeat"];

const DAY: u64 = 86_400;

impl Default for CoordinatorSection {
    fn default() -> Self {
        Self {
            calls: 32,
            key: None,
            store: None,
            health: None,
            health_tls: None,
            control: None,
            control_mode: SocketMode::default(),
            shutdown: Span::secs(10),
            workers: None,
        }
    }
}

/// Reads `[coordinator]`; `None` after an error.
pub(crate) fn read(sink: &mut DiagnosticSink, base: &Path, value: Located<'_>) -> Option<CoordinatorSection> {
    let default = CoordinatorSection::default();
    let mut fields = value.table(sink, "[coordinator]")?;
    let calls = optional(fields.optional("calls"), |v| v.number(sink, "32", 1..=1000));
    let key = optional(fields.optional("key"), |v| secret::source_table(sink, base, v, "{ file = \"state.key\" }"));
    let store_written = fields.optional("store");
    let store = optional(store_written, |v| store::read(sink, base, v));
    if let (Some(value), Some(None)) = (store_written, &key) {
        sink.error(value.at(), "a state in etcd needs the operator's master key")
            .expected("needs key = { file = \"state.key\" } in [coordinator], above this table")
            .hint(
                "it is the same for every coordinator: `(umask 077; openssl rand -base64 32 > state.key)` creates it",
            );
    }
    let health = health::read(sink, base, &mut fields);
    let control = optional(fields.optional("control"), |v| socket::path(sink, base, v));
    let control_mode = optional(fields.optional("control-mode"), |v| v.parsed(sink, "\"0600\""));
    let shutdown = optional(fields.optional("shutdown"), |v| v.span(sink, "\"10s\"", Span::secs(0)..=Span::secs(600)));
    let workers = workers(sink, &mut fields);
    fields.finish(sink);
    let (health, health_tls) = health?;
    Some(CoordinatorSection {
        calls: calls?.and_then(|calls| usize::try_from(calls).ok()).unwrap_or(default.calls),
        key: key?,
        store: store?,
        health,
        health_tls,
        control: control?,
        control_mode: control_mode?.unwrap_or(default.control_mode),
        shutdown: shutdown?.unwrap_or(default.shutdown),
        workers: workers?,
    })
}

/// Reads `listen` and the keys that need it.
fn workers(sink: &mut DiagnosticSink, fields: &mut TableReader<'_>) -> Option<Option<WorkersSection>> {
    let written = fields.optional("listen");
    let advertise = optional(fields.optional("advertise"), |v| address::advertised(sink, v));
    let heartbeat = fields.optional("heartbeat");
    let heartbeat = optional(heartbeat, |v| v.span(sink, "\"30s\"", Span::secs(1)..=Span::secs(600)));
    let certificate = fields.optional("certificate-life");
    let certificate = optional(certificate, |v| v.span(sink, "\"24h\"", Span::secs(10)..=Span::secs(30 * DAY)));
    let authority_written = fields.optional("authority-life");
    let authority = optional(authority_written, |v| v.span(sink, "\"180d\"", Span::secs(100)..=Span::secs(3650 * DAY)));
    let Some(value) = written else {
        let unused: Vec<_> = WORKERS_KEYS.iter().filter_map(|name| Some((name, fields.key(name)?))).collect();
        for (name, at) in &unused {
            sink.error(at.clone(), format!("`{name}` has no effect: the coordinator does not listen for workers"))
                .expected("needs listen = \"0.0.0.0:8271\"");
        }
        return unused.is_empty().then_some(None);
    };
    let listen = address::read(sink, value, "\"0.0.0.0:8271\"")?;
    if listen.port() == 0 {
        sink.error(value.at(), "workers need a fixed port to connect to").expected("such as \"0.0.0.0:8271\"");
        return None;
    }
    let advertise = advertise?.or_else(|| HostPort::of(listen).map(AdvertisedAddresses::from));
    if advertise.is_none() {
        sink.error(value.at(), "workers cannot connect to an unspecified address")
            .expected("needs advertise = \"coordinator.example:8271\"")
            .hint("`advertise` is the address that join strings contain, or a list of them");
    }
    let certificate_life = certificate?.unwrap_or(Span::secs(DAY));
    let authority_life = authority?.unwrap_or(Span::secs(180 * DAY));
    if authority_life.as_millis() / 10 < certificate_life.as_millis() {
        let at = authority_written.map_or(value.at(), |value| value.at());
        sink.error(at, "`authority-life` must be at least ten times `certificate-life`")
            .expected("such as \"180d\" with certificate-life = \"1d\"")
            .hint("every worker must receive the next authority before it signs certificates");
        return None;
    }
    let heartbeat = heartbeat?.unwrap_or(Span::secs(30));
    Some(Some(WorkersSection { listen, advertise: advertise?, certificate_life, authority_life, heartbeat }))
}
