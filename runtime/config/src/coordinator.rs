//! `[coordinator]`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use deputy_core::{SecretSource, Span};

use crate::address::{self, HostPort};
use crate::diagnostic::DiagnosticSink;
use crate::secret;
use crate::socket::{self, SocketMode};
use crate::value::{Located, TableReader, optional};

/// What the coordinator needs to know beside its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinatorSection {
    /// Calls of components at once, from 1 to 1,000.
    pub calls: usize,
    /// The key that seals the state; without one the program makes its own, in the state directory.
    pub key: Option<SecretSource>,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub health: Option<SocketAddr>,
    /// The Unix socket on which commands come in; without one it lies in the state directory.
    pub control: Option<PathBuf>,
    /// Who may connect to it.
    pub control_mode: SocketMode,
    /// How long calls that are under way may go on after a signal.
    pub shutdown: Span,
    /// Where workers come in; without it there are none.
    pub workers: Option<WorkersSection>,
}

/// Where workers come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkersSection {
    /// The address that is listened on.
    pub listen: SocketAddr,
    /// The one that workers are told, in their join strings.
    pub advertise: HostPort,
    /// How long a worker's certificate is good; it is renewed at half of that.
    pub certificate_life: Span,
    /// How long the authority that signs them is good; at least ten times as long.
    pub authority_life: Span,
    /// How often a worker gives a sign of life; it is gone after three that did not come.
    pub heartbeat: Span,
}

/// What only a coordinator with workers makes use of.
const OF_WORKERS: [&str; 4] = ["advertise", "authority-life", "certificate-life", "heartbeat"];

const DAY: u64 = 86_400;

impl Default for CoordinatorSection {
    fn default() -> Self {
        Self {
            calls: 32,
            key: None,
            health: None,
            control: None,
            control_mode: SocketMode::default(),
            shutdown: Span::secs(10),
            workers: None,
        }
    }
}

/// Reads `[coordinator]`; `None` if an error was noted.
pub(crate) fn read(sink: &mut DiagnosticSink, base: &Path, value: Located<'_>) -> Option<CoordinatorSection> {
    let default = CoordinatorSection::default();
    let mut fields = value.table(sink, "[coordinator]")?;
    let calls = optional(fields.optional("calls"), |v| v.number(sink, "32", 1..=1000));
    let key = optional(fields.optional("key"), |v| secret::place(sink, base, v, "{ file = \"state.key\" }"));
    let health = optional(fields.optional("health"), |v| address::health(sink, v, "\"127.0.0.1:8270\""));
    let control = optional(fields.optional("control"), |v| socket::path(sink, base, v));
    let control_mode = optional(fields.optional("control-mode"), |v| v.parsed(sink, "\"0600\""));
    let shutdown = optional(fields.optional("shutdown"), |v| v.span(sink, "\"10s\"", Span::secs(0)..=Span::secs(600)));
    let workers = workers(sink, &mut fields);
    fields.finish(sink);
    Some(CoordinatorSection {
        calls: calls?.and_then(|calls| usize::try_from(calls).ok()).unwrap_or(default.calls),
        key: key?,
        health: health?,
        control: control?,
        control_mode: control_mode?.unwrap_or(default.control_mode),
        shutdown: shutdown?.unwrap_or(default.shutdown),
        workers: workers?,
    })
}

/// `listen` and what goes with it.
fn workers(sink: &mut DiagnosticSink, fields: &mut TableReader<'_>) -> Option<Option<WorkersSection>> {
    let written = fields.optional("listen");
    let advertise =
        optional(fields.optional("advertise"), |v| v.parsed::<HostPort>(sink, "\"coordinator.example:8271\""));
    let heartbeat = fields.optional("heartbeat");
    let heartbeat = optional(heartbeat, |v| v.span(sink, "\"30s\"", Span::secs(1)..=Span::secs(600)));
    let certificate = fields.optional("certificate-life");
    let certificate = optional(certificate, |v| v.span(sink, "\"24h\"", Span::secs(10)..=Span::secs(30 * DAY)));
    let authority_written = fields.optional("authority-life");
    let authority = optional(authority_written, |v| v.span(sink, "\"180d\"", Span::secs(100)..=Span::secs(3650 * DAY)));
    let Some(value) = written else {
        let useless: Vec<_> = OF_WORKERS.iter().filter_map(|name| Some((name, fields.key(name)?))).collect();
        for (name, at) in &useless {
            sink.error(at.clone(), format!("`{name}` has no effect: no worker can come"))
                .expected("needs listen = \"0.0.0.0:8271\"");
        }
        return useless.is_empty().then_some(None);
    };
    let listen = address::read(sink, value, "\"0.0.0.0:8271\"")?;
    if listen.port() == 0 {
        sink.error(value.at(), "workers have to know this port").expected("such as \"0.0.0.0:8271\"");
        return None;
    }
    let advertise = advertise?.or_else(|| HostPort::of(listen));
    if advertise.is_none() {
        sink.error(value.at(), "nobody can connect to an address that stands for all of them")
            .expected("needs advertise = \"coordinator.example:8271\"")
            .hint("join strings tell workers where the coordinator is; `advertise` is what they say");
    }
    let certificate_life = certificate?.unwrap_or(Span::secs(DAY));
    let authority_life = authority?.unwrap_or(Span::secs(180 * DAY));
    if authority_life.as_millis() / 10 < certificate_life.as_millis() {
        let at = authority_written.map_or(value.at(), |value| value.at());
        sink.error(at, "an authority must live ten times as long as a certificate")
            .expected("such as \"180d\", with certificates of a day")
            .hint("every worker has to learn of the next authority before that signs");
        return None;
    }
    let heartbeat = heartbeat?.unwrap_or(Span::secs(30));
    Some(Some(WorkersSection { listen, advertise: advertise?, certificate_life, authority_life, heartbeat }))
}
