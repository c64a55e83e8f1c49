//! `worker.toml`. A join string and an output directory are enough.

mod command;
mod endpoint;
mod hook;
mod local;
mod publish;
mod receiver;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use deputy_core::{InstanceName, ReceiverName, SecretSource, TracePlan};

use crate::components::ComponentBase;
use crate::config_text::{absolute, read_text};
use crate::delivered::Delivered;
use crate::diagnostic::{ConfigErrors, DiagnosticSink, Diagnostics};
use crate::health;
use crate::receiver::names;
use crate::secret;
use crate::setting_lines::SettingLines;
use crate::suggest::nearest;
use crate::toml_syntax;
use crate::traces::{self, TracedSide};
use crate::value::{Located, TableReader, join_quoted, optional, truncated};

pub use self::endpoint::{AwsEndpointConfig, Endpoints, SocketEndpoint};
pub use self::hook::OnChange;
pub(crate) use self::local::read as read_local;
pub use self::publish::Publish;
pub use self::receiver::{Choice, WorkerReceiver};

/// A worker's configuration, checked as far as that is possible without I/O.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    pub path: PathBuf,
    /// Where the worker keeps its identity and its cache.
    pub state_dir: Option<PathBuf>,
    pub audit: Option<PathBuf>,
    /// The folder in which components are found by name.
    pub components: Option<PathBuf>,
    /// The source of the join string. A worker that has an identity does not need it.
    pub join: Option<SecretSource>,
    /// The key that seals the state. Without one, a key is generated in the state directory.
    pub key: Option<SecretSource>,
    /// The address of `/livez`, `/readyz` and `/metrics`.
    pub health: Option<SocketAddr>,
    /// The instances that the worker requests, of those that its group gets. `None` is all of them.
    pub instances: Option<BTreeSet<InstanceName>>,
    /// How the files of receivers without a table are published.
    pub publish: Publish,
    /// The worker's own receivers, and its settings for those that the coordinator chose.
    pub receivers: BTreeMap<ReceiverName, WorkerReceiver>,
    pub endpoints: Endpoints,
    /// The collector of traces. Without one, the worker sends no spans.
    pub traces: Option<TracePlan>,
    pub warnings: Diagnostics,
    pub setting_lines: SettingLines,
}

/// `[worker]`
#[derive(Debug, Default)]
struct WorkerSection<'d> {
    state: Option<PathBuf>,
    audit: Option<PathBuf>,
    join: Option<SecretSource>,
    key: Option<SecretSource>,
    health: Option<SocketAddr>,
    wanted: Wanted<'d>,
    publish: Publish,
}

/// Which instances may be named.
#[derive(Debug, Default)]
enum Wanted<'d> {
    /// All: the coordinator knows what it delivers.
    #[default]
    Any,
    /// Those of a coordinator's own file.
    Configured(&'d Delivered),
    /// Those that a worker requests, with the position of the list.
    Listed(BTreeSet<InstanceName>, Range<usize>),
}

impl WorkerConfig {
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = read_text(path)?;
        Self::parse_in(&text, path, &absolute(path)?)
    }

    /// Parses the text of a file. Relative paths in it are relative to the file's directory.
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
        let mut own = None;
        let mut components = None;
        let mut receivers = BTreeMap::new();
        let mut endpoints = Endpoints::default();
        let mut trace_plan = None;
        let mut setting_lines = SettingLines::default();
        if let Some(table) = &table {
            let mut fields = TableReader::new(table.get_ref(), 0..0);
            let written = fields.optional("worker");
            own = written.map_or(Some(WorkerSection::default()), |v| WorkerSection::read(&mut sink, base, v));
            let component_base = ComponentBase::read(&mut sink, base, &mut fields);
            let written = fields.optional("receivers");
            receivers =
                written.map(|v| receiver::read(&mut sink, &component_base, own.as_ref(), v)).unwrap_or_default();
            let written = fields.optional("endpoints");
            let wanted = own.as_ref().map(|own| &own.wanted);
            endpoints = written.map(|v| endpoint::read(&mut sink, base, wanted, v)).unwrap_or_default();
            let written = fields.optional("traces");
            trace_plan = written.and_then(|v| traces::read(&mut sink, base, TracedSide::Worker, v));
            fields.finish(&mut sink);
            components = component_base.folder;
            setting_lines = SettingLines::of_worker(path, text, table.get_ref());
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
            components,
            join: own.join,
            key: own.key,
            health: own.health,
            instances: own.wanted.listed(),
            publish: own.publish,
            receivers,
            endpoints,
            traces: trace_plan,
            warnings: findings,
            setting_lines,
        })
    }
}

impl WorkerSection<'_> {
    /// Reads `[worker]`; `None` after an error.
    fn read(sink: &mut DiagnosticSink, base: &Path, value: Located<'_>) -> Option<Self> {
        let mut fields = value.table(sink, "[worker]")?;
        let state = optional(fields.optional("state"), |v| v.path(sink, base));
        let audit = optional(fields.optional("audit"), |v| v.path(sink, base));
        let join = optional(fields.optional("join"), |v| secret::source_table(sink, base, v, "{ file = \"join\" }"));
        let key = optional(fields.optional("key"), |v| secret::source_table(sink, base, v, "{ file = \"state.key\" }"));
        let health = optional(fields.optional("health"), |v| health::of_worker(sink, v, "\"127.0.0.1:9126\""));
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
            wanted: wanted?.map_or(Wanted::Any, |(names, at)| Wanted::Listed(set(names), at)),
            publish: Publish { output: output?, expired: expired?.unwrap_or_default(), ..Publish::default() },
        })
    }
}

impl Wanted<'_> {
    fn listed(self) -> Option<BTreeSet<InstanceName>> {
        match self {
            Self::Listed(names, _) => Some(names),
            Self::Any | Self::Configured(_) => None,
        }
    }

    /// Whether it is a coordinator's own file, to which nothing else adds receivers.
    fn is_of_coordinator(&self) -> bool {
        matches!(self, Self::Configured(_))
    }

    /// Checks that an instance is delivered here; reports an error at this position otherwise.
    fn check(&self, sink: &mut DiagnosticSink, instance: &InstanceName, at: Range<usize>) -> bool {
        let (wanted, list) = match self {
            Self::Any => return true,
            Self::Configured(delivered) => return delivered.check_name(sink, instance, at),
            Self::Listed(wanted, list) => (wanted, list),
        };
        if wanted.contains(instance) {
            return true;
        }
        let known: Vec<_> = wanted.iter().map(InstanceName::as_str).collect();
        let error = sink
            .error(at, format!("`{instance}` is never delivered here: it is not among the `instances` of [worker]"));
        match nearest(instance.as_str(), known.iter().copied()) {
            Some(meant) => error.expected(format!("did you mean `{meant}`?")),
            None => error.expected(format!("one of {}", truncated(&join_quoted(&known)))),
        };
        error.also(list.clone(), "only these are delivered");
        false
    }
}
