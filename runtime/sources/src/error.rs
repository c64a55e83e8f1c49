//! Why a source does not give a value.
//!
//! An error says which source it is about, what is wrong and how to fix it. It never holds a value, nor a command's output
//! or arguments.

use std::path::PathBuf;
use std::{fmt, io};

use deputy_core::ByteSize;
use deputy_files::{FileError, is_wrong_path};

use crate::command;

/// A source does not give a value.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{} changed while it was read: write a new file beside it and move that over it", .0.display())]
    Changing(PathBuf),
    #[error(
        "the command {program} ended with {status}: run it by hand as this user to see why (its output isn't shown)"
    )]
    Command { program: String, status: std::process::ExitStatus },
    #[error("{0:?} is not the name of a systemd credential: write the name alone, without a path")]
    CredentialName(String),
    #[error(
        "there is no credential {0}, because $CREDENTIALS_DIRECTORY is not set: add `LoadCredential={0}:/path` or \
         `LoadCredentialEncrypted={0}:/path` to the systemd unit"
    )]
    Credentials(String),
    #[error("{0} is empty: put the value there")]
    Empty(SourceLocation),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "the command {0} is neither an absolute path nor the bare name of a program in $PATH: give its absolute path"
    )]
    Program(String),
    #[error("cannot read {location}")]
    Read { location: SourceLocation, source: io::Error },
    #[error("{location} holds more than {} bytes: is it the right one?", limit.as_u64())]
    Size { location: SourceLocation, limit: ByteSize },
    #[error("cannot start the command {program}")]
    Start { program: String, source: io::Error },
    #[error("the command {0} did not end within {seconds} s and was killed: run it by hand as this user to see why", seconds = command::TIME_LIMIT.as_secs())]
    Time(String),
    #[error("the environment variable {0} is not set: set it where deputy is started")]
    Variable(String),
}

/// A source, as an error names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceLocation {
    /// The output of a program.
    Command(String),
    File(PathBuf),
    Variable(String),
}

impl SourceError {
    /// Whether the same fails until an operator changes something. The other errors may pass by themselves: those of a disk,
    /// and whatever a command asks.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::CredentialName(_) | Self::Credentials(_) | Self::Program(_) | Self::Variable(_) => true,
            Self::Changing(_) | Self::Command { .. } | Self::Time(_) => false,
            Self::Empty(location) | Self::Size { location, .. } => !matches!(location, SourceLocation::Command(_)),
            Self::File(error) => error.is_lasting() || matches!(error, FileError::Denied { .. }),
            Self::Read { source, .. } | Self::Start { source, .. } => is_wrong_path(source),
        }
    }
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(program) => write!(f, "the output of the command {program}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
        }
    }
}
