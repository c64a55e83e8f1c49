//! Why a script cannot be run.

use std::io;
use std::path::{Path, PathBuf};

use deputy_config::ConfigErrors;
use deputy_sandbox::LoadError;

/// Why a script cannot be run. That a component does not do what is expected is none of these.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// `[instance]` or `[receiver]` is not valid, or the file cannot be read.
    #[error("the component of the test is not valid")]
    Subject(#[from] ConfigErrors),
    /// The file itself.
    #[error(transparent)]
    Unreadable(ConfigErrors),
    /// The text has file, line, column and the line itself.
    #[error("{text}")]
    Invalid { path: PathBuf, text: String },
    #[error("cannot load the component of {}", path.display())]
    Load { path: PathBuf, source: Box<LoadError> },
    #[error("{} is not a regular file", _0.display())]
    Irregular(PathBuf),
    #[error("cannot start the servers of the test")]
    Servers(#[source] io::Error),
    #[error("cannot make the certificates of the test")]
    Certificates(#[from] rcgen::Error),
    #[error("cannot list {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{} has no file whose name ends in .test.toml", _0.display())]
    Empty(PathBuf),
    #[error("{}: more than {max} servers: write several files", path.display())]
    ManyServers { path: PathBuf, max: usize },
    #[error("more than {0} tests to watch: name fewer")]
    ManyTests(usize),
    #[error(
        "{} is too large to look for tests: more than {entries} entries, or folders more than {depth} deep; name the folders \
         that have tests",
        path.display()
    )]
    TooLarge { path: PathBuf, entries: usize, depth: usize },
}

impl ScriptError {
    pub(crate) fn invalid(path: &Path, text: String) -> Self {
        Self::Invalid { path: path.to_owned(), text }
    }
}
