//! New connectors: a folder with the contract, the kit of a language and an example that builds and passes its test.
//!
//! What is written is in this crate: the files of `wit/`, `kit/`, `providers/examples/` and `receivers/examples/` as they are in
//! the repository, so that an author needs no copy of it. **Never** runs a toolchain, prints, or changes a file that an author
//! wrote.

mod connector;
mod embedded;
mod folder;
mod readme;
mod script;

use std::fmt;
use std::io;
use std::path::PathBuf;

pub use connector::{ConnectorKind, Language, NewConnector};
pub use folder::{Updated, create, update};

/// Why a folder was not written.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// There is something in the way.
    #[error("{folder} is there already: choose another name, or renew contract and kit by `deputy new --update {folder}`", folder = .0.display())]
    Exists(PathBuf),
    /// The folder is none that this crate wrote.
    #[error("{folder} has no kit/FILES: it is no folder that `deputy new` made", folder = .0.display())]
    NotAConnector(PathBuf),
    /// The file system failed.
    #[error("writing {file}", file = .0.display())]
    Io(PathBuf, #[source] io::Error),
}

impl fmt::Display for ConnectorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Provider => "provider",
            Self::Receiver => "receiver",
        })
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kit())
    }
}
