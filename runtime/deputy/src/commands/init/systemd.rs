//! Where the systemd units of the package have what `deputy init --systemd` writes.

use std::path::{Path, PathBuf};

use deputy_files::{ambient, shell_quoted};

use crate::error::CommandError;
use crate::exit::Exit;

/// The user of the units.
pub(crate) const USER: &str = "deputy";

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

/// Whether a configuration is in the folder of the coordinator's unit, which runs as another user than its operator.
pub(crate) fn is_of_unit(config: &Path) -> bool {
    ambient::parent(config) == ambient::parent(Path::new(COORDINATOR_FILE))
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

/// The command that puts what is typed into a file that the service alone can read: the members of its group may use the socket,
/// which shows no secret.
pub(crate) fn put(path: &Path) -> String {
    format!("sudo install -D -o {USER} -g {USER} -m 0600 /dev/stdin {}", shell_quoted(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What makes the folders of the package.
    const FOLDERS: &str = include_str!("../../../../../packaging/deputy.tmpfiles");

    #[test]
    fn init_for_systemd_knows_the_configurations_of_the_unit() {
        assert!(is_of_unit(Path::new(COORDINATOR_FILE)) && is_of_unit(Path::new("/etc/deputy/lab.toml")));
        for other in ["deputy.toml", "etc/deputy/deputy.toml", WORKER_FILE] {
            assert!(!is_of_unit(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn init_for_systemd_shows_no_secret_to_the_group_of_the_socket() {
        let put = put(Path::new("/etc/deputy/secrets/s3.aws-key"));
        assert_eq!(put, "sudo install -D -o deputy -g deputy -m 0600 /dev/stdin /etc/deputy/secrets/s3.aws-key");
        let secrets = FOLDERS.lines().find(|line| line.contains("/etc/deputy/secrets"));
        assert_eq!(secrets, Some("d /etc/deputy/secrets 0700 deputy deputy"));
    }
}
