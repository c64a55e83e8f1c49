//! The configuration as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use deputy_core::schedule::{Budget, UpstreamName};
use deputy_core::{GroupName, InstanceName};

use crate::coordinator::{self, CoordinatorSection};
use crate::diagnostic::{ConfigErrors, DiagnosticSink, Diagnostics};
use crate::group::{self, WorkerGroup};
use crate::instance::{InstanceEntry, Reader};
use crate::toml_syntax;
use crate::upstream::Upstreams;
use crate::value::TableReader;

/// A configuration of more bytes than these is none.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration in which everything was checked that can be checked without I/O.
#[derive(Debug, Clone)]
pub struct CoordinatorFile {
    /// The file that it was read from.
    pub path: PathBuf,
    /// Where the program keeps its state.
    pub state_dir: Option<PathBuf>,
    /// The audit log.
    pub audit: Option<PathBuf>,
    /// What the coordinator needs to know beside its instances.
    pub coordinator: CoordinatorSection,
    /// What each service and endpoint bears that has no budget of its own.
    pub default_budget: Budget,
    /// What the others bear. Every upstream that an instance names is here.
    pub budgets: BTreeMap<UpstreamName, Budget>,
    /// All instances, also those that are not enabled.
    pub instances: BTreeMap<InstanceName, InstanceEntry>,
    /// The groups of workers. Every group that an instance is delivered to is here.
    pub groups: BTreeMap<GroupName, WorkerGroup>,
    /// What has no effect, or another one than it seems.
    pub warnings: Diagnostics,
}

impl CoordinatorFile {
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

    fn parse_in(text: &str, path: &Path, place: &Path) -> Result<Self, ConfigErrors> {
        let mut sink = DiagnosticSink::default();
        let base = place.parent().unwrap_or(Path::new(""));
        let table = toml_syntax::parse(&mut sink, text);
        let (mut state_dir, mut audit, mut coordinator) = (None, None, None);
        let (mut upstreams, mut instances, mut groups) = (Upstreams::default(), BTreeMap::new(), BTreeMap::new());
        if let Some(table) = &table {
            let mut fields = TableReader::new(table.get_ref(), 0..0);
            state_dir = fields.optional("state").and_then(|value| value.path(&mut sink, base));
            audit = fields.optional("audit").and_then(|value| value.path(&mut sink, base));
            let written = fields.optional("coordinator");
            coordinator =
                written.map_or(Some(CoordinatorSection::default()), |v| coordinator::read(&mut sink, base, v));
            upstreams = fields.optional("upstreams").map(|v| Upstreams::read(&mut sink, v)).unwrap_or_default();
            let mut reader = Reader::new(base, &upstreams);
            if let Some(value) = fields.optional("instances") {
                let entries = value.entries(&mut sink, "[instances.NAME]");
                let entries = entries.into_iter().filter_map(|(key, value)| reader.read(&mut sink, &key, value));
                instances = entries.map(|entry| (entry.name.clone(), entry)).collect();
            }
            let delivered = reader.finish(&mut sink);
            if coordinator.as_ref().is_some_and(|coordinator| coordinator.workers.is_none()) {
                delivered.to_nobody(&mut sink);
            }
            groups = group::read(&mut sink, base, fields.optional("groups"), &instances, &delivered);
            fields.finish(&mut sink);
        }
        let coordinator = coordinator.unwrap_or_default();
        let (default_budget, budgets) = upstreams.into_parts();
        let failed = sink.failed();
        let findings = sink.close(path, text);
        if failed {
            return Err(ConfigErrors::Invalid(findings));
        }
        Ok(Self {
            path: path.to_owned(),
            state_dir,
            audit,
            coordinator,
            default_budget,
            budgets,
            instances,
            groups,
            warnings: findings,
        })
    }
}

/// The text of a configuration.
pub(crate) fn read(path: &Path) -> Result<String, ConfigErrors> {
    bounded(path).map_err(|source| unreadable(path, source))
}

/// Where a configuration is, for the paths in it: a program that is called from elsewhere finds the same files.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, ConfigErrors> {
    std::path::absolute(path).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: io::Error) -> ConfigErrors {
    ConfigErrors::Unreadable { path: path.to_owned(), source }
}

fn bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(MAX_BYTES + 1);
    #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
    file.read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1MiB"));
    }
    Ok(text)
}
