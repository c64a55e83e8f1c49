//! Components that are found by name: `NAME.wasm` in a folder of components.
//!
//! A component decides what is obtained with the operator's secrets, so one that is found by its name is used only if no
//! other user could have put it there. A path that an operator wrote is used as it is.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use deputy_core::{ComponentName, ComponentRef};
use deputy_files::{ambient, judge};

use crate::component_file::in_time;
use crate::load_error::LoadError;

/// Components in one folder that are listed; more are left out.
const MOST_LISTED: usize = 1000;

/// The folders in which components are found by name, the first one first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComponentFolders {
    /// Before the folder of the configuration.
    chosen: Option<PathBuf>,
    /// After it.
    installed: Vec<PathBuf>,
}

impl ComponentFolders {
    /// Those of an installed program: `components` beside it, and `lib/deputy/components` below its prefix. Before them, and
    /// before the folder of a configuration, the one that was chosen for this process.
    pub fn new(program: &Path, chosen: Option<PathBuf>) -> Self {
        // A link in a directory of programs leads to where the program is installed.
        let program = program.canonicalize().unwrap_or_else(|_| program.to_owned());
        let beside = program.parent().map(|folder| folder.join("components"));
        let prefix = program.parent().and_then(Path::parent).map(|prefix| prefix.join("lib/deputy/components"));
        Self { chosen, installed: beside.into_iter().chain(prefix).collect() }
    }

    /// The folders, with that of a configuration.
    pub fn all(&self, configured: Option<&Path>) -> Vec<PathBuf> {
        let folders = self.chosen.as_deref().into_iter().chain(configured).map(Path::to_owned);
        let mut all: Vec<PathBuf> = Vec::new();
        for folder in folders.chain(self.installed.iter().cloned()) {
            if !all.contains(&folder) {
                all.push(folder);
            }
        }
        all
    }

    /// The file of a component. The first folder that has the name decides.
    ///
    /// # Errors
    /// If no folder has the name, or another user could have put it there.
    pub async fn find(&self, component: &ComponentRef) -> Result<PathBuf, LoadError> {
        let (name, folder) = match component {
            ComponentRef::File(path) => return Ok(path.clone()),
            ComponentRef::Installed { name, folder } => (name.clone(), folder.as_deref()),
        };
        let folders = self.all(folder);
        let place = PathBuf::from(name.as_str());
        in_time(&place, move || find_now(name, folders)).await
    }

    /// The components of all folders by their names. One that an earlier folder has as well is left out.
    ///
    /// # Errors
    /// If a folder can't be read.
    pub async fn list(&self, configured: Option<&Path>) -> Result<BTreeMap<ComponentName, PathBuf>, LoadError> {
        let folders = self.all(configured);
        in_time(Path::new("components"), move || {
            folders.iter().rev().try_fold(BTreeMap::new(), |mut known, folder| {
                known.extend(names(folder)?.into_iter().map(|name| {
                    let path = file(folder, &name);
                    (name, path)
                }));
                Ok(known)
            })
        })
        .await
    }
}

fn file(folder: &Path, name: &ComponentName) -> PathBuf {
    folder.join(format!("{name}.wasm"))
}

fn find_now(name: ComponentName, folders: Vec<PathBuf>) -> Result<PathBuf, LoadError> {
    for folder in &folders {
        let path = file(folder, &name);
        match ambient::exists(&path) {
            Ok(false) => {}
            Ok(true) => {
                judge::file(&path).map_err(|source| LoadError::Untrusted { path: path.clone(), source })?;
                return Ok(path);
            }
            Err(source) if source.kind() == io::ErrorKind::NotADirectory => {}
            Err(source) => return Err(LoadError::Read { path, source }),
        }
    }
    // A folder that cannot be listed is in the error without its names.
    let mut known: Vec<_> = folders.iter().flat_map(|folder| names(folder).unwrap_or_default()).collect();
    known.sort();
    known.dedup();
    Err(LoadError::NotInstalled { name, folders, known })
}

/// The names of the components in a folder; none if there is no such folder.
fn names(folder: &Path) -> Result<Vec<ComponentName>, LoadError> {
    let names = match ambient::open_parent(&folder.join("x")).and_then(|dir| deputy_files::names(&dir)) {
        Ok(names) => names,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Vec::new(),
        Err(source) => return Err(LoadError::Read { path: folder.to_owned(), source }),
    };
    Ok(names.iter().filter_map(|name| name.strip_suffix(".wasm")?.parse().ok()).take(MOST_LISTED).collect())
}

#[cfg(test)]
mod tests;
