//! The configuration as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use deputy_core::{Instance, InstanceName};

use crate::diagnostic::{ConfigErrors, Diagnostics, Sink};
use crate::value::{Fields, Value};
use crate::{instance, syntax};

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
    /// All instances, also those that are not enabled.
    pub instances: BTreeMap<InstanceName, Instance>,
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
        let (mut state_dir, mut audit, mut instances) = (None, None, BTreeMap::new());
        if let Some(table) = &table {
            let mut fields = Fields::new(table.get_ref(), 0..0);
            state_dir = fields.optional("state").and_then(|value| value.path(&mut sink, base));
            audit = fields.optional("audit").and_then(|value| value.path(&mut sink, base));
            if let Some(value) = fields.optional("instances") {
                instances = self::instances(&mut sink, base, value);
            }
            fields.finish(&mut sink);
        }
        let failed = sink.failed();
        let findings = sink.close(path, text);
        if failed {
            return Err(ConfigErrors::Invalid(findings));
        }
        Ok(Self { path: path.to_owned(), state_dir, audit, instances, warnings: findings })
    }
}

fn instances(sink: &mut Sink, base: &Path, value: Value<'_>) -> BTreeMap<InstanceName, Instance> {
    let entries = value.entries(sink, "[instances.NAME]");
    entries
        .into_iter()
        .filter_map(|(key, value)| instance::read(sink, base, &key, value))
        .map(|instance| (instance.name.clone(), instance))
        .collect()
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(MAX_BYTES + 1);
    #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
    file.read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1MiB"));
    }
    Ok(text)
}
