//! Values from where an operator put them.
//!
//! A [`SecretSource`] names a file, a systemd credential, a variable or a program; [`read`] fetches the value, and
//! [`read_file`] a file together with its [`FileFingerprint`], for callers that watch it. A file that other users can read
//! or write is refused with the command that fixes that.
//!
//! This crate never keeps or caches a value and has no schedule: it reads when it is called. The caller's [`ValueShape`]
//! bounds how much is read.

mod command;
mod error;
mod file;
mod fingerprint;
mod process_group;
mod value_shape;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use deputy_core::{SecretBytes, SecretSource};
use zeroize::Zeroizing;

pub use error::{SourceError, SourceLocation};
pub use fingerprint::FileFingerprint;
pub use process_group::{ProcessGroup, exit_descriptor};
pub use value_shape::ValueShape;

/// What sources depend on: the environment and the user of this process.
#[derive(Debug, Clone)]
pub struct SourceContext {
    /// `$CREDENTIALS_DIRECTORY`
    credentials: Option<PathBuf>,
    /// `$HOME`
    home: Option<OsString>,
    /// `$PATH`
    path: Option<OsString>,
    user: u32,
    /// Looks up an environment variable.
    variable: fn(&str) -> Option<OsString>,
}

impl SourceContext {
    /// Whether systemd gave this process credentials: a service has them, and a command beside it has none.
    pub fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    pub fn of_process() -> Self {
        Self {
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            home: std::env::var_os("HOME"),
            path: std::env::var_os("PATH"),
            user: rustix::process::geteuid().as_raw(),
            variable: |name| std::env::var_os(name),
        }
    }

    /// Replaces the environment variables, for tests.
    pub fn with_variables(self, variable: fn(&str) -> Option<OsString>) -> Self {
        Self { variable, ..self }
    }
}

/// Reads a source's value.
pub async fn read(
    source: &SecretSource,
    shape: ValueShape,
    context: &SourceContext,
) -> Result<SecretBytes, SourceError> {
    match source {
        SecretSource::Command(words) => command::read(words, shape, context).await,
        SecretSource::Credential(name) => Ok(read_file(&credential(name, context)?, shape, context).await?.0),
        SecretSource::Environment(name) => variable(name, shape, context),
        SecretSource::File(path) => Ok(read_file(path, shape, context).await?.0),
    }
}

/// Reads a file's value, with the fingerprint of the file.
pub async fn read_file(
    path: &Path,
    shape: ValueShape,
    context: &SourceContext,
) -> Result<(SecretBytes, FileFingerprint), SourceError> {
    file::read(path.to_owned(), shape, context.user).await
}

/// As [`read_file`], for a program that has no runtime. Blocks while the disk does.
pub fn read_file_now(
    path: &Path,
    shape: ValueShape,
    context: &SourceContext,
) -> Result<(SecretBytes, FileFingerprint), SourceError> {
    file::read_now(path, shape, context.user)
}

fn credential(name: &str, context: &SourceContext) -> Result<PathBuf, SourceError> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(SourceError::CredentialName(name.to_owned()));
    }
    let folder = context.credentials.as_ref().ok_or_else(|| SourceError::Credentials(name.to_owned()))?;
    Ok(folder.join(name))
}

fn variable(name: &str, shape: ValueShape, context: &SourceContext) -> Result<SecretBytes, SourceError> {
    use std::os::unix::ffi::OsStringExt as _;
    let value = (context.variable)(name).ok_or_else(|| SourceError::Variable(name.to_owned()))?;
    shape.finish(&Zeroizing::new(value.into_vec()), SourceLocation::Variable(name.to_owned()))
}

#[cfg(test)]
mod tests;
