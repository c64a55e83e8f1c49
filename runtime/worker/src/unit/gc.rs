//! Removing units that no link leads to, and nothing that was not created here.
//!
//! cap-std's `remove_open_dir_all` stops at the first entry that cannot be removed, and descends without a bound. A unit
//! belongs to the workload's user, who may have put anything into it.

use std::io;

use cap_std::fs::Dir;
use deputy_files::{names, sys};

use super::publish_dir::PublishDir;
use super::{PublishError, UnitName};

/// How a link is named before it is moved to its place.
const LINK: &str = ".link-";

/// Units are eight deep at most. A deeper directory was created by another user.
const MAX_DEPTH: usize = 16;

pub(super) fn link_name(unique: UnitName) -> String {
    format!("{LINK}{unique}")
}

/// Removes all units but these, and links that were never moved. A reader that has a file open goes on reading it. What
/// cannot be removed keeps nothing else from being removed; the first error is returned afterwards.
pub(super) fn sweep(place: &PublishDir, kept: &[UnitName]) -> Result<(), PublishError> {
    let mut failed = None;
    for name in place.names()? {
        let removed = match (name.parse::<UnitName>(), name.strip_prefix(LINK).map(str::parse::<UnitName>)) {
            (Ok(unit), _) if !kept.contains(&unit) => remove(&place.container, &name),
            (_, Some(Ok(_))) => place.container.remove_file(&name),
            _ => continue,
        };
        if let Err(error) = removed {
            failed.get_or_insert_with(|| place.error("remove", &name, error));
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Removes a unit. No link in it is followed.
pub(super) fn remove(container: &Dir, name: &str) -> io::Result<()> {
    remove_below(container, name, MAX_DEPTH)
}

fn remove_below(above: &Dir, name: &str, depth: usize) -> io::Result<()> {
    match above.remove_file(name) {
        Err(error) if depth > 0 && is_directory(&error) => {}
        removed => return removed,
    }
    let dir = sys::open_dir(above, name)?;
    let mut failed = None;
    for inner in names(&dir)? {
        if let Err(error) = remove_below(&dir, &inner, depth - 1) {
            failed.get_or_insert(error);
        }
    }
    match failed {
        Some(error) => Err(error),
        None => above.remove_dir(name),
    }
}

/// `unlink` of a directory fails with EISDIR on Linux, and with EPERM elsewhere.
fn is_directory(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::PermissionDenied)
}
