//! Why a source does not give a value.
//!
//! An error says which source it is about, what is wrong and what mends it. It never holds a value, nor a command's
//! output or arguments.

use std::path::PathBuf;
use std::{fmt, io};

use deputy_core::ByteSize;

use crate::command;

/// A source does not give a value.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file that changed under the reader.
    #[error("{} changed while it was read: write a new file beside it and move that over it", .0.display())]
    Changing(PathBuf),
    /// A program that failed.
    #[error(
        "the command {program} ended with {status}: run it by hand as this user to see why (its output isn't shown)"
    )]
    Command {
        /// The program.
        program: String,
        /// Its exit status or signal.
        status: std::process::ExitStatus,
    },
    /// A name that leads out of the folder of credentials.
    #[error("{0:?} is not the name of a systemd credential: write the name alone, without a path")]
    CredentialName(String),
    /// No folder of credentials.
    #[error(
        "there is no credential {0}, because $CREDENTIALS_DIRECTORY is not set: add `LoadCredential={0}:/path` or \
         `LoadCredentialEncrypted={0}:/path` to the systemd unit"
    )]
    Credentials(String),
    /// Nothing there.
    #[error("{0} is empty: put the value there")]
    Empty(SourceLocation),
    /// A file whose group can read it.
    #[error("{} is open to others (mode {mode:04o}): {mend}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// The command that mends it.
        mend: String,
    },
    /// A directory, fifo, socket or device.
    #[error("{} is {kind}, not a file: give the path of a file that holds the value", path.display())]
    Kind {
        /// The path.
        path: PathBuf,
        /// What is there.
        kind: &'static str,
    },
    /// A file of somebody else.
    #[error("{} belongs to user {owner}, who could change it: {mend}", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The command that mends it.
        mend: String,
    },
    /// No such program by that name.
    #[error(
        "the command {0} is neither an absolute path nor the bare name of a program in $PATH: give its absolute path"
    )]
    Program(String),
    /// The system refused.
    #[error("cannot read {place}")]
    Read {
        /// What.
        place: SourceLocation,
        /// Why.
        source: io::Error,
    },
    /// Too much.
    #[error("{place} holds more than {} bytes: is it the right one?", limit.as_u64())]
    Size {
        /// What.
        place: SourceLocation,
        /// How much it may hold.
        limit: ByteSize,
    },
    /// A program that could not be started.
    #[error("cannot start the command {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program that takes too long.
    #[error("the command {0} did not end within {seconds} s and was killed: run it by hand as this user to see why", seconds = command::TIME.as_secs())]
    Time(String),
    /// No such variable.
    #[error("the environment variable {0} is not set: set it where deputy is started")]
    Variable(String),
}

/// A source, as an error names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceLocation {
    /// The output of a program.
    Command(String),
    /// A file.
    File(PathBuf),
    /// A variable.
    Variable(String),
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
