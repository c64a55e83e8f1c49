//! Removing what is no longer led to, and nothing that was not made here.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, openat, unlinkat};
use rustix::io::Errno;

use super::publish_dir::{DIRECTORY, PublishDir, names};
use super::{PublishError, UnitName};

/// How a link is named before it is moved to its place.
const LINK: &str = ".link-";

/// Units are eight deep at most. What is deeper was made by somebody else.
const DEEPEST: usize = 16;

pub(super) fn link_name(chance: UnitName) -> String {
    format!("{LINK}{chance}")
}

/// Removes all units but those, and links that were never moved. Who has one open goes on reading it. What can't be
/// removed keeps nothing else from being removed.
///
/// # Errors
/// The first one, when everything else is removed.
pub(super) fn sweep(place: &PublishDir, keep: &[UnitName]) -> Result<(), PublishError> {
    let mut failed = None;
    for name in place.names()? {
        let gone = match (name.parse::<UnitName>(), name.strip_prefix(LINK).map(str::parse::<UnitName>)) {
            (Ok(unit), _) if !keep.contains(&unit) => remove(&place.container, &name),
            (_, Some(Ok(_))) => unlinkat(&place.container, &name, AtFlags::empty()),
            _ => continue,
        };
        if let Err(error) = gone {
            failed.get_or_insert_with(|| place.error("remove", &name, error));
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Removes a unit. No link in it is followed: the owner of its files may have put some there.
pub(super) fn remove(container: &OwnedFd, name: &str) -> Result<(), Errno> {
    remove_below(container, name, DEEPEST)
}

fn remove_below(above: &OwnedFd, name: &str, deepest: usize) -> Result<(), Errno> {
    match unlinkat(above, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) if deepest > 0 => {}
        removed => return removed,
    }
    let directory = openat(above, name, DIRECTORY, Mode::empty())?;
    let mut failed = None;
    for inner in names(&directory)? {
        if let Err(error) = remove_below(&directory, &inner, deepest - 1) {
            failed.get_or_insert(error);
        }
    }
    match failed {
        Some(error) => Err(error),
        None => unlinkat(above, name, AtFlags::REMOVEDIR),
    }
}
