//! Where the systemd units of the package have what `deputy init --systemd` writes.

use std::path::{Path, PathBuf};

use deputy_files::{ambient, shell_quoted};

use crate::error::CommandError;
use crate::exit::Exit;

/// The user and group of the units.
const GROUP: &str = "deputy";

/// The unit of a coordinator, and the name of its instance for a worker.
pub(super) const COORDINATOR_FILE: &str = "/etc/deputy/deputy.toml";
pub(super) const WORKER_FILE: &str = "/etc/deputy/workers/app.toml";

/// Where `deputy-worker@NAME` may write, by the name of its file.
pub(super) struct WorkerPlaces {
    pub(super) unit: String,
    pub(super) output: String,
    pub(super) state: String,
}

impl WorkerPlaces {
    pub(super) fn of(config: &Path) -> Self {
        let name = config.file_stem().unwrap_or_default().to_string_lossy();
        Self {
            unit: format!("deputy-worker@{name}"),
            output: format!("/run/deputy-worker/{name}"),
            state: format!("/var/lib/deputy-worker/{name}"),
        }
    }
}

/// The folder of a configuration, which the package makes: its group is the service's.
pub(super) fn folder(config: &Path) -> Result<PathBuf, CommandError> {
    let folder = ambient::parent(config).to_owned();
    match ambient::access(&folder) {
        Ok(_) => Ok(folder),
        Err(error) => Err(CommandError::new(Exit::Failed, format!("{}: {error}", folder.display())).hint(
            "the Debian package makes this folder, as `systemd-tmpfiles --create` does with its deputy.tmpfiles",
        )),
    }
}

/// The command that puts what is typed into a file that the service can read.
pub(super) fn put(path: &Path, contents: &str) -> String {
    format!(
        "sudo install -D -o root -g {GROUP} -m 0640 /dev/stdin {}      # {contents}, then Ctrl-D",
        shell_quoted(path)
    )
}
