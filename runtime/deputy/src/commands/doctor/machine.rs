//! Files, limits and space of this machine or pod.

use std::io;
use std::path::Path;

use deputy_files::{FileError, ambient, shell_quoted};
use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};

use super::finding::{FindingJson, Health};
use crate::print::bytes;

/// Below this, components still compile and leases are still sealed.
const LITTLE_SPACE: u64 = 1 << 30;

/// Below this, they may not be.
const NO_SPACE: u64 = 64 << 20;

/// Files that a process needs open beside one for each connection.
const FEW_FILES: u64 = 1024;

/// A configuration that others can change grants what they like.
pub(super) fn config(path: &Path) -> FindingJson {
    let shown = path.display().to_string();
    match ambient::access(path) {
        Ok(access) if access.mode & 0o022 != 0 => {
            let text = format!("mode {:04o}: other users can change what is granted", access.mode & 0o7777);
            FindingJson::new("modes", shown, Health::Failed, text).fix(format!("chmod go-w {}", shell_quoted(path)))
        }
        Ok(access) => FindingJson::new("modes", shown, Health::Ok, format!("mode {:04o}", access.mode & 0o7777)),
        Err(error) => FindingJson::new("modes", shown, Health::Failed, error.to_string()),
    }
}

/// The state directory: whose it is, and its free space.
pub(super) fn state(path: &Path) -> Vec<FindingJson> {
    let shown = path.display().to_string();
    let access = match ambient::access(path) {
        Ok(access) => access,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = "does not exist yet: the first start creates it";
            return vec![FindingJson::new("modes", shown, Health::Note, text)];
        }
        Err(error) => return vec![FindingJson::new("modes", shown, Health::Failed, error.to_string())],
    };
    let quoted = shell_quoted(path);
    let mode = format!("mode {:04o}", access.mode & 0o7777);
    let modes = match access.check_private_dir(path) {
        Ok(()) => FindingJson::new("modes", &shown, Health::Ok, mode),
        // A service has a user of its own, and root looks at it.
        Err(FileError::Owner { owner, .. }) if access.mode & 0o077 == 0 => {
            let text = format!("{mode}, of user {owner}: Deputy has to run as that user");
            FindingJson::new("modes", &shown, Health::Note, text)
        }
        Err(error) => FindingJson::new("modes", &shown, Health::Failed, error.to_string())
            .fix(format!("chmod 0700 {quoted}, and chown it to the user that runs Deputy")),
    };
    vec![modes, space(path, shown)]
}

fn space(path: &Path, shown: String) -> FindingJson {
    let free = match statvfs(path) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => return FindingJson::new("space", shown, Health::Warning, error.to_string()),
    };
    let text = format!("{} free", bytes(free));
    let fix = "make room, or move `state` to a larger file system";
    match free {
        0..NO_SPACE => FindingJson::new("space", shown, Health::Failed, text).fix(fix),
        NO_SPACE..LITTLE_SPACE => FindingJson::new("space", shown, Health::Warning, text).fix(fix),
        _ => FindingJson::new("space", shown, Health::Ok, text),
    }
}

/// Each worker and each call has connections.
pub(super) fn open_files() -> FindingJson {
    // A coordinator raises its own limit to this one.
    let limit = getrlimit(Resource::Nofile).maximum;
    match limit {
        Some(limit) if limit < FEW_FILES => {
            let text = format!("{limit} open files at most");
            FindingJson::new("limits", "", Health::Warning, text)
                .fix("LimitNOFILE=65536 in the systemd unit, or `ulimit -n 65536`: each worker takes one")
        }
        Some(limit) => FindingJson::new("limits", "", Health::Ok, format!("{limit} open files at most")),
        None => FindingJson::new("limits", "", Health::Ok, "no limit on open files"),
    }
}
