//! The four places that a value may come from.
//!
//! An error says which source it is about, what is wrong and what mends it. It never holds a value, nor a command's
//! output or arguments.

mod command;
mod file;

use std::ffi::OsString;
use std::path::PathBuf;
use std::{fmt, io};

use deputy_core::{SecretBytes, SecretSource};
use zeroize::Zeroizing;

/// Bytes of a value: the largest RSA key is a quarter of it.
const MAX_VALUE: usize = 64 << 10;

/// What a process knows about itself when it starts and that sources depend on.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    /// `$CREDENTIALS_DIRECTORY`
    pub(super) credentials: Option<PathBuf>,
    /// `$HOME`
    pub(super) home: Option<OsString>,
    /// `$PATH`
    pub(super) path: Option<OsString>,
    /// Who runs it.
    pub(super) user: u32,
    /// A variable of the environment.
    pub(super) variable: fn(&str) -> Option<OsString>,
}

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
    #[error("{0:?} is no name of a systemd credential: give the name alone, without a path")]
    CredentialName(String),
    /// No folder of credentials.
    #[error(
        "there is no credential {0}, because $CREDENTIALS_DIRECTORY is not set: add `LoadCredential={0}:/path` or \
         `LoadCredentialEncrypted={0}:/path` to the systemd unit"
    )]
    Credentials(String),
    /// Nothing there.
    #[error("{0} is empty: put the value there")]
    Empty(Place),
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
    #[error("{place} can't be read")]
    Read {
        /// What.
        place: Place,
        /// Why.
        source: io::Error,
    },
    /// Too much.
    #[error("{0} holds more than {limit} bytes: is it the right one?", limit = MAX_VALUE)]
    Size(Place),
    /// A program that could not be started.
    #[error("the command {program} can't be started")]
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
pub enum Place {
    /// The output of a program.
    Command(String),
    /// A file.
    File(PathBuf),
    /// A variable.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(program) => write!(f, "the output of the command {program}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
        }
    }
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn of_process() -> Self {
        let variable = |name: &str| std::env::var_os(name);
        Self {
            credentials: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            home: variable("HOME"),
            path: variable("PATH"),
            user: rustix::process::geteuid().as_raw(),
            variable,
        }
    }
}

/// Reads a source's value.
pub(super) async fn read(source: &SecretSource, surroundings: &Surroundings) -> Result<SecretBytes, SourceError> {
    match source {
        SecretSource::Command(words) => command::read(words, surroundings).await,
        SecretSource::Credential(name) => file::read(credential(name, surroundings)?, surroundings.user).await,
        SecretSource::Environment(name) => variable(name, surroundings),
        SecretSource::File(path) => file::read(path.clone(), surroundings.user).await,
    }
}

fn credential(name: &str, surroundings: &Surroundings) -> Result<PathBuf, SourceError> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(SourceError::CredentialName(name.to_owned()));
    }
    let folder = surroundings.credentials.as_ref().ok_or_else(|| SourceError::Credentials(name.to_owned()))?;
    Ok(folder.join(name))
}

fn variable(name: &str, surroundings: &Surroundings) -> Result<SecretBytes, SourceError> {
    use std::os::unix::ffi::OsStringExt as _;
    let value = (surroundings.variable)(name).ok_or_else(|| SourceError::Variable(name.to_owned()))?;
    finish(&Zeroizing::new(value.into_vec()), Place::Variable(name.to_owned()))
}

/// The value without the newline that editors and `echo` add.
fn finish(read: &[u8], place: Place) -> Result<SecretBytes, SourceError> {
    if read.len() > MAX_VALUE {
        return Err(SourceError::Size(place));
    }
    let value = read.strip_suffix(b"\n").map_or(read, |line| line.strip_suffix(b"\r").unwrap_or(line));
    if value.is_empty() {
        return Err(SourceError::Empty(place));
    }
    Ok(SecretBytes::new(value.to_vec()))
}

#[cfg(test)]
mod tests;
