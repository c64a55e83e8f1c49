//! `[coordinator]`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use deputy_core::{SecretSource, Span};

use crate::address::{self, HostPort};
use crate::diagnostic::Sink;
use crate::secret;
use crate::socket::{self, SocketMode};
use crate::value::{Fields, Value, optional};

/// What the coordinator needs to know beside its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coordinator {
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
    pub workers: Option<Workers>,
}

/// Where workers come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workers {
    /// The address that is listened on.
    pub listen: SocketAddr,
    /// The one that workers are told, in their join strings.
    pub advertise: HostPort,
}

impl Default for Coordinator {
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
pub(crate) fn read(sink: &mut Sink, base: &Path, value: Value<'_>) -> Option<Coordinator> {
    let default = Coordinator::default();
    let mut fields = value.table(sink, "[coordinator]")?;
    let calls = optional(fields.optional("calls"), |v| v.number(sink, "32", 1..=1000));
    let key = optional(fields.optional("key"), |v| secret::place(sink, base, v, "{ file = \"state.key\" }"));
    let health = optional(fields.optional("health"), |v| address::health(sink, v, "\"127.0.0.1:8270\""));
    let control = optional(fields.optional("control"), |v| socket::path(sink, base, v));
    let control_mode = optional(fields.optional("control-mode"), |v| v.parsed(sink, "\"0600\""));
    let shutdown = optional(fields.optional("shutdown"), |v| v.span(sink, "\"10s\"", Span::secs(0)..=Span::secs(600)));
    let workers = workers(sink, &mut fields);
    fields.finish(sink);
    Some(Coordinator {
        calls: calls?.and_then(|calls| usize::try_from(calls).ok()).unwrap_or(default.calls),
        key: key?,
        health: health?,
        control: control?,
        control_mode: control_mode?.unwrap_or(default.control_mode),
        shutdown: shutdown?.unwrap_or(default.shutdown),
        workers: workers?,
    })
}

/// `listen` and `advertise`.
fn workers(sink: &mut Sink, fields: &mut Fields<'_>) -> Option<Option<Workers>> {
    let (written, advertised) = (fields.optional("listen"), fields.optional("advertise"));
    let advertise = optional(advertised, |v| v.parsed::<HostPort>(sink, "\"coordinator.example:8271\""));
    let Some(value) = written else {
        if let Some(value) = advertised {
            sink.error(value.at(), "`advertise` has no effect: no worker can come")
                .expected("needs listen = \"0.0.0.0:8271\"");
            return None;
        }
        return Some(None);
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
    Some(Some(Workers { listen, advertise: advertise? }))
}
