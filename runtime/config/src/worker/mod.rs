//! `worker.toml`: what a worker needs to know. A join string and a folder for what its receivers write are enough.

mod command;
mod endpoint;
mod hook;
mod publish;
mod receiver;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use deputy_core::{InstanceName, ReceiverName, SecretSource};

use crate::address;
use crate::config::{absolute, read};
use crate::diagnostic::{ConfigErrors, DiagnosticSink, Diagnostics};
use crate::receiver::names;
use crate::secret;
use crate::suggest::nearest;
use crate::toml_syntax;
use crate::value::{Located, TableReader, listed, optional, shown};

pub use self::endpoint::{AwsEndpoint, Endpoints, SocketEndpoint};
pub use self::hook::OnChange;
pub use self::publish::Publish;
pub use self::receiver::{Choice, WorkerReceiver};

/// A worker's configuration, in which everything was checked that can be checked without I/O.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The file that it was read from.
    pub path: PathBuf,
    /// Where the worker keeps its identity and what it was given, sealed.
    pub state_dir: Option<PathBuf>,
    /// The audit log.
    pub audit: Option<PathBuf>,
    /// Where its join string is. Only needed to join: a worker that has an identity does without.
    pub join: Option<SecretSource>,
    /// The key that seals the state; without one the worker makes its own, in the state directory.
    pub key: Option<SecretSource>,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub health: Option<SocketAddr>,
    /// The instances that it wants, of those that its group gets; all of them if nothing is said.
    pub instances: Option<BTreeSet<InstanceName>>,
    /// How the files of a receiver are published that has no table of its own.
    pub publish: Publish,
    /// Its own receivers, and what it says of those that the coordinator chose.
    pub receivers: BTreeMap<ReceiverName, WorkerReceiver>,
    /// Where programs on this machine can ask.
    pub endpoints: Endpoints,
    /// What has no effect, or another one than it seems.
    pub warnings: Diagnostics,
}

/// `[worker]`
#[derive(Debug, Default)]
struct Own {
    state: Option<PathBuf>,
    audit: Option<PathBuf>,
    join: Option<SecretSource>,
    key: Option<SecretSource>,
    health: Option<SocketAddr>,
    wanted: Wanted,
    publish: Publish,
}

/// The instances that a worker wants, and where that stands.
#[derive(Debug, Default)]
struct Wanted(Option<(BTreeSet<InstanceName>, Range<usize>)>);

impl WorkerConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// If it can't be read, or with all that is wrong in it.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = read(path)?;
        Self::parse_in(&text, path, &absolute(path)?)
    }

    /// Reads the text of a file. Relative paths in it are relative to the file's folder.
    ///
    /// # Errors
    /// With all that is wrong in it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigErrors> {
        Self::parse_in(text, path, path)
    }

    /// How the files of a receiver are published, whether it has a table here or not.
    pub fn publish(&self, receiver: &ReceiverName) -> &Publish {
        self.receivers.get(receiver).map_or(&self.publish, |receiver| &receiver.publish)
    }

    fn parse_in(text: &str, path: &Path, place: &Path) -> Result<Self, ConfigErrors> {
        let mut sink = DiagnosticSink::default();
        let base = place.parent().unwrap_or(Path::new(""));
        let table = toml_syntax::parse(&mut sink, text);
        let (mut own, mut receivers, mut endpoints) = (None, BTreeMap::new(), Endpoints::default());
        if let Some(table) = &table {
            let mut fields = TableReader::new(table.get_ref(), 0..0);
            let written = fields.optional("worker");
            own = written.map_or(Some(Own::default()), |v| Own::read(&mut sink, base, v));
            let written = fields.optional("receivers");
            receivers = written.map(|v| receiver::read(&mut sink, base, own.as_ref(), v)).unwrap_or_default();
            let written = fields.optional("endpoints");
            let wanted = own.as_ref().map(|own| &own.wanted);
            endpoints = written.map(|v| endpoint::read(&mut sink, base, wanted, v)).unwrap_or_default();
            fields.finish(&mut sink);
        }
        let failed = sink.failed();
        let findings = sink.close(path, text);
        if failed {
            return Err(ConfigErrors::Invalid(findings));
        }
        let own = own.unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            state_dir: own.state,
            audit: own.audit,
            join: own.join,
            key: own.key,
            health: own.health,
            instances: own.wanted.0.map(|(names, _)| names),
            publish: own.publish,
            receivers,
            endpoints,
            warnings: findings,
        })
    }
}

impl Own {
    /// Reads `[worker]`; `None` if an error was noted.
    fn read(sink: &mut DiagnosticSink, base: &Path, value: Located<'_>) -> Option<Self> {
        let mut fields = value.table(sink, "[worker]")?;
        let state = optional(fields.optional("state"), |v| v.path(sink, base));
        let audit = optional(fields.optional("audit"), |v| v.path(sink, base));
        let join = optional(fields.optional("join"), |v| secret::place(sink, base, v, "{ file = \"join\" }"));
        let key = optional(fields.optional("key"), |v| secret::place(sink, base, v, "{ file = \"state.key\" }"));
        let health = optional(fields.optional("health"), |v| address::health(sink, v, "\"127.0.0.1:9126\""));
        let wanted = optional(fields.optional("instances"), |v| Some((names(sink, v)?, v.at())));
        let output = optional(fields.optional("output"), |v| v.path(sink, base));
        let expired = optional(fields.optional("expired"), |v| publish::on_expiry(sink, v));
        fields.finish(sink);
        let set = |names: Vec<(InstanceName, _)>| names.into_iter().map(|(name, _)| name).collect();
        Some(Self {
            state: state?,
            audit: audit?,
            join: join?,
            key: key?,
            health: health?,
            wanted: Wanted(wanted?.map(|(names, at)| (set(names), at))),
            publish: Publish { output: output?, expired: expired?.unwrap_or_default(), ..Publish::default() },
        })
    }
}

impl Wanted {
    /// Whether an instance can come to this worker. What never does is an error at this place.
    fn check(&self, sink: &mut DiagnosticSink, instance: &InstanceName, at: Range<usize>) -> bool {
        let Some((wanted, list)) = self.0.as_ref().filter(|(wanted, _)| !wanted.contains(instance)) else {
            return true;
        };
        let known: Vec<_> = wanted.iter().map(InstanceName::as_str).collect();
        let error = sink.error(at, format!("`{instance}` never comes here: [worker] does not want it"));
        match nearest(instance.as_str(), known.iter().copied()) {
            Some(meant) => error.expected(format!("did you mean `{meant}`?")),
            None => error.expected(format!("one of {}", shown(&listed(&known)))),
        };
        error.also(list.clone(), "these alone");
        false
    }
}
