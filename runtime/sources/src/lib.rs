//! From where an operator put a value to the value.
//!
//! A [`SecretSource`] names a file, a systemd credential, a variable or a program; [`read`] fetches what is there, and
//! [`read_file`] a file together with its [`Fingerprint`], for those who want to see when it changes. Who may have read
//! or written a file decides whether its value is taken: one that others can read is refused with the command that mends
//! it.
//!
//! This crate never keeps a value, caches nothing and has no schedule: it reads when it is asked. Who asks chooses the
//! [`Form`], and so how much is read at most.

mod command;
mod error;
mod file;
mod fingerprint;
mod form;
mod group;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use deputy_core::{SecretBytes, SecretSource};
use zeroize::Zeroizing;

pub use error::{SourceError, SourceLocation};
pub use fingerprint::FileFingerprint;
pub use form::ValueShape;
pub use group::ProcessGroup;

/// What a process knows about itself when it starts and that sources depend on.
#[derive(Debug, Clone)]
pub struct SourceContext {
    /// `$CREDENTIALS_DIRECTORY`
    credentials: Option<PathBuf>,
    /// `$HOME`
    home: Option<OsString>,
    /// `$PATH`
    path: Option<OsString>,
    /// Who runs it.
    user: u32,
    /// A variable of the environment.
    variable: fn(&str) -> Option<OsString>,
}

impl SourceContext {
    /// Those of this process.
    pub fn of_process() -> Self {
        let variable = |name: &str| std::env::var_os(name);
        Self {
            credentials: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            home: variable("HOME"),
            path: variable("PATH"),
            user: rustix::process::geteuid().as_raw(),
            variable,
        }
    }

    /// The same with variables from elsewhere, such as those that a test says.
    pub fn with_variables(self, variable: fn(&str) -> Option<OsString>) -> Self {
        Self { variable, ..self }
    }
}

/// Reads a source's value.
pub async fn read(source: &SecretSource, form: ValueShape, here: &SourceContext) -> Result<SecretBytes, SourceError> {
    match source {
        SecretSource::Command(words) => command::read(words, form, here).await,
        SecretSource::Credential(name) => Ok(read_file(&credential(name, here)?, form, here).await?.0),
        SecretSource::Environment(name) => variable(name, form, here),
        SecretSource::File(path) => Ok(read_file(path, form, here).await?.0),
    }
}

/// Reads a file's value, by the same rules, with the fingerprint of what was read.
pub async fn read_file(
    path: &Path,
    form: ValueShape,
    here: &SourceContext,
) -> Result<(SecretBytes, FileFingerprint), SourceError> {
    file::read(path.to_owned(), form, here.user).await
}

fn credential(name: &str, here: &SourceContext) -> Result<PathBuf, SourceError> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(SourceError::CredentialName(name.to_owned()));
    }
    let folder = here.credentials.as_ref().ok_or_else(|| SourceError::Credentials(name.to_owned()))?;
    Ok(folder.join(name))
}

fn variable(name: &str, form: ValueShape, here: &SourceContext) -> Result<SecretBytes, SourceError> {
    use std::os::unix::ffi::OsStringExt as _;
    let value = (here.variable)(name).ok_or_else(|| SourceError::Variable(name.to_owned()))?;
    form.finish(&Zeroizing::new(value.into_vec()), SourceLocation::Variable(name.to_owned()))
}

#[cfg(test)]
mod tests;
