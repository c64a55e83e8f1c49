//! The configuration as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use deputy_core::InstanceName;
use deputy_core::schedule::{Budget, UpstreamName};

use crate::coordinator::{self, Coordinator};
use crate::diagnostic::{ConfigErrors, Diagnostics, Sink};
use crate::instance::{Entry, Reader};
use crate::syntax;
use crate::upstream::Upstreams;
use crate::value::Fields;

/// A configuration of more bytes than these is none.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration in which everything was checked that can be checked without I/O.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from.
    pub path: PathBuf,
    /// Where the program keeps its state.
    pub state_dir: Option<PathBuf>,
    /// The audit log.
    pub audit: Option<PathBuf>,
    /// What the coordinator needs to know beside its instances.
    pub coordinator: Coordinator,
    /// What each service and endpoint bears that has no budget of its own.
    pub default_budget: Budget,
    /// What the others bear. Every upstream that an instance names is here.
    pub budgets: BTreeMap<UpstreamName, Budget>,
    /// All instances, also those that are not enabled.
    pub instances: BTreeMap<InstanceName, Entry>,
    /// What has no effect, or another one than it seems.
    pub warnings: Diagnostics,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// If it can't be read, or with all that is wrong in it.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let unreadable = |source| ConfigErrors::Unreadable { path: path.to_owned(), source };
        let text = read(path).map_err(unreadable)?;
        // A program that is called from elsewhere finds the same files.
        let absolute = std::path::absolute(path).map_err(unreadable)?;
        Self::parse_in(&text, path, &absolute)
    }

    /// Reads the text of a file. Relative paths in it are relative to the file's folder.
    ///
    /// # Errors
    /// With all that is wrong in it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigErrors> {
        Self::parse_in(text, path, path)
    }

    fn parse_in(text: &str, path: &Path, place: &Path) -> Result<Self, ConfigErrors> {
        let mut sink = Sink::default();
        let base = place.parent().unwrap_or(Path::new(""));
        let table = syntax::parse(&mut sink, text);
        let (mut state_dir, mut audit, mut coordinator) = (None, None, None);
        let (mut upstreams, mut instances) = (Upstreams::default(), BTreeMap::new());
        if let Some(table) = &table {
            let mut fields = Fields::new(table.get_ref(), 0..0);
            state_dir = fields.optional("state").and_then(|value| value.path(&mut sink, base));
            audit = fields.optional("audit").and_then(|value| value.path(&mut sink, base));
            coordinator = fields.optional("coordinator").and_then(|value| coordinator::read(&mut sink, base, value));
            upstreams = fields.optional("upstreams").map(|v| Upstreams::read(&mut sink, v)).unwrap_or_default();
            let mut reader = Reader::new(base, &upstreams);
            if let Some(value) = fields.optional("instances") {
                let entries = value.entries(&mut sink, "[instances.NAME]");
                let entries = entries.into_iter().filter_map(|(key, value)| reader.read(&mut sink, &key, value));
                instances = entries.map(|entry| (entry.name.clone(), entry)).collect();
            }
            reader.finish(&mut sink);
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
            warnings: findings,
        })
    }
}

pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(MAX_BYTES + 1);
    #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
    file.read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1MiB"));
    }
    Ok(text)
}
