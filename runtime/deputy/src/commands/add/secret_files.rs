//! The files of an instance's secrets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use deputy_core::{GrantRequest, SecretName};
use deputy_files::ambient;

use super::AddArgs;
use crate::commands::init::SECRETS;
use crate::error::CommandError;
use crate::exit::Exit;

/// `--secret NAME=FILE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretArg {
    name: SecretName,
    file: String,
}

#[derive(Debug, thiserror::Error)]
#[error("not NAME=FILE")]
pub(crate) struct SecretArgError;

impl FromStr for SecretArg {
    type Err = SecretArgError;

    fn from_str(text: &str) -> Result<Self, SecretArgError> {
        let (name, file) = text.split_once('=').filter(|(_, file)| !file.is_empty()).ok_or(SecretArgError)?;
        Ok(Self { name: name.parse().map_err(|_| SecretArgError)?, file: file.to_owned() })
    }
}

pub(super) struct SecretFiles {
    /// The folder of the configuration.
    folder: PathBuf,
    /// The file of each secret, as the configuration has it.
    pub(super) written: BTreeMap<SecretName, String>,
    /// Files of the default names that are there already: the component chose a name under which another secret lies.
    pub(super) existing: Vec<(SecretName, String)>,
    /// Files that do not exist yet, as a shell has them.
    pub(super) missing: Vec<(SecretName, PathBuf)>,
}

impl SecretFiles {
    pub(super) fn new(arguments: &AddArgs, request: &GrantRequest, config: &Path) -> Result<Self, CommandError> {
        let folder = config.parent().unwrap_or(Path::new("")).to_owned();
        let mut files = Self { folder, written: BTreeMap::new(), existing: Vec::new(), missing: Vec::new() };
        for name in request.grant.secrets.keys() {
            let given = arguments.secret.iter().find(|secret| secret.name == *name);
            // No name has a dot, so no two instances and secrets have one file.
            let file = given.map_or_else(|| format!("{SECRETS}/{}.{name}", arguments.name), |given| given.file.clone());
            let path = files.folder.join(&file);
            match ambient::exists(&path).map_err(|error| CommandError::new(Exit::Failed, error))? {
                true if given.is_none() => files.existing.push((name.clone(), file.clone())),
                true => {}
                false => files.missing.push((name.clone(), path)),
            }
            files.written.insert(name.clone(), file);
        }
        match arguments.secret.iter().find(|secret| !files.written.contains_key(&secret.name)) {
            None => Ok(files),
            Some(other) => {
                let known: Vec<_> = files.written.keys().map(ToString::to_string).collect();
                let error = format!("the component wants no secret `{}`; it wants: {}", other.name, known.join(", "));
                Err(CommandError::new(Exit::Misconfigured, error))
            }
        }
    }

    /// Creates the folder of secrets, if one of them goes there. That of a systemd unit belongs to another user: the package makes it.
    pub(super) fn create_folder(&self, is_of_unit: bool) -> Result<(), CommandError> {
        if is_of_unit {
            return Ok(());
        }
        let folder = self.folder.join(SECRETS);
        if self.missing.iter().any(|(_, path)| path.parent() == Some(&folder)) {
            ambient::create_private_dir(&folder).map_err(|error| CommandError::new(Exit::Failed, error))?;
        }
        Ok(())
    }
}
