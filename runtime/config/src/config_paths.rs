//! The paths by which commands reach a coordinator or worker, whatever else is wrong in its configuration.

use std::path::{Path, PathBuf};

use crate::config_text::{absolute, read_text};
use crate::diagnostic::{ConfigErrors, DiagnosticSink};
use crate::toml_syntax;
use crate::value::TableReader;

/// The paths that a command needs to reach a running coordinator or worker. An operator can query the running program even
/// while the file for its next start is invalid.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ConfigPaths {
    pub program: ConfigKind,
    pub state_dir: Option<PathBuf>,
    pub socket: Option<PathBuf>,
}

/// Which program a configuration is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConfigKind {
    /// `deputy.toml`
    #[default]
    Coordinator,
    /// `worker.toml`: it has a table `[worker]`, or `[endpoints]` and no table of a coordinator.
    Worker,
}

impl ConfigPaths {
    /// Reads a file, and ignores what is wrong in it.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = read_text(path)?;
        Ok(Self::parse_in(&text, absolute(path)?.parent().unwrap_or(Path::new(""))))
    }

    fn parse_in(text: &str, base: &Path) -> Self {
        let mut sink = DiagnosticSink::default();
        let table = toml_syntax::recovered(text);
        let mut fields = TableReader::new(table.get_ref(), 0..0);
        // A worker has its state in its own table, and its socket among its endpoints.
        let worker = fields.optional("worker").and_then(|value| value.table(&mut sink, ""));
        let endpoints = fields.optional("endpoints").and_then(|value| value.table(&mut sink, ""));
        let is_coordinator = ["coordinator", "instances"].iter().any(|table| fields.key(table).is_some());
        if worker.is_some() || (endpoints.is_some() && !is_coordinator) {
            let socket = endpoints.and_then(|mut fields| fields.optional("socket")?.table(&mut sink, ""));
            return Self {
                program: ConfigKind::Worker,
                state_dir: worker.and_then(|mut fields| fields.optional("state")?.path(&mut sink, base)),
                socket: socket.and_then(|mut fields| fields.optional("path")?.path(&mut sink, base)),
            };
        }
        let state_dir = fields.optional("state").and_then(|value| value.path(&mut sink, base));
        let coordinator = fields.optional("coordinator").and_then(|value| value.table(&mut sink, ""));
        let socket = coordinator.and_then(|mut fields| fields.optional("control")?.path(&mut sink, base));
        Self { program: ConfigKind::Coordinator, state_dir, socket }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG: [&str; 5] =
        ["", "nonsense = 1", "[instances.a]\ncomponent = 1", "this is no TOML", "[instances.a]\nb = \"c"];

    fn places(text: &str) -> ConfigPaths {
        ConfigPaths::parse_in(text, Path::new("/base"))
    }

    #[test]
    fn paths_of_a_coordinator_are_found_in_an_invalid_file() {
        for wrong in WRONG {
            let found = places(&format!("state = \"state\"\n[coordinator]\ncontrol = \"/run/deputy.sock\"\n{wrong}\n"));
            let (state_dir, socket) = (Some("/base/state".into()), Some("/run/deputy.sock".into()));
            assert_eq!(found, ConfigPaths { program: ConfigKind::Coordinator, state_dir, socket }, "{wrong}");
        }
        assert_eq!(places("state = 1\ncoordinator = 2"), ConfigPaths::default());
    }

    #[test]
    fn paths_of_a_worker_are_found_in_an_invalid_file() {
        for wrong in WRONG {
            let found =
                places(&format!("[worker]\nstate = \"state\"\n[endpoints.socket]\npath = \"a.sock\"\n{wrong}\n"));
            let (state_dir, socket) = (Some("/base/state".into()), Some("/base/a.sock".into()));
            assert_eq!(found, ConfigPaths { program: ConfigKind::Worker, state_dir, socket }, "{wrong}");
        }
        for text in ["[worker]", "[endpoints]\nsocket = 1", "[worker]\nstate = 1\n[endpoints.socket]\npath = 2"] {
            assert_eq!(
                places(text),
                ConfigPaths { program: ConfigKind::Worker, state_dir: None, socket: None },
                "{text}"
            );
        }
    }
}
