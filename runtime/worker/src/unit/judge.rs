//! Whether another user could replace what is published.
//!
//! A user who may write to a directory can replace what is in it, and so can a user who may write to one above it. Three
//! things make such a directory harmless: it is sticky; only this user or root may write to it; or it is a mounted volume,
//! which only the containers have that it was mounted for. Kubernetes gives the last: an `emptyDir` has the mode 0777, or
//! 2777 with `fsGroup`.

use std::path::Path;

use cap_std::fs::Dir;
use deputy_files::{Access, FileError, Owners, ambient, shell_quoted, sys};

use super::PublishError;

/// Permission bits by which others can replace what is in a directory.
const WRITABLE: u32 = 0o022;

/// Refuses the container if another user owns it or can write to it.
pub(super) fn own_directory(dir: &Dir, path: &Path) -> Result<(), PublishError> {
    let access = Access::of(dir).map_err(|error| FileError::new("inspect", path, error))?;
    check_owner(access, path, Owners::this_user())?;
    Ok(check_mode(access, path, WRITABLE)?)
}

/// Refuses a directory of the operator in which another user can replace the link.
pub(super) fn operators_directory(dir: &Dir, path: &Path) -> Result<(), PublishError> {
    let access = Access::of(dir).map_err(|error| FileError::new("inspect", path, error))?;
    check_owner(access, path, Owners::this_user_or_root())?;
    if access.is_sticky() || sys::is_mount_point(dir) {
        return Ok(());
    }
    Ok(check_mode(access, path, WRITABLE)?)
}

/// Refuses a path if another user can replace a directory above it.
pub(super) fn directories_above(path: &Path) -> Result<(), PublishError> {
    Ok(ambient::directories_above(path).iter().try_for_each(|above| directory_above(above))?)
}

fn directory_above(path: &Path) -> Result<(), FileError> {
    // A directory that cannot be inspected cannot be passed either: opening the path itself reports that.
    let Ok(access) = ambient::dir_access(path) else { return Ok(()) };
    if !access.is_owner_outside_user_namespace() {
        check_owner(access, path, Owners::this_user_or_root())?;
    }
    // Many systems create a group for each user, which has no other members.
    let is_own_group = access.group == rustix::process::getegid().as_raw();
    let forbidden = if is_own_group { 0o002 } else { WRITABLE };
    if access.mode & forbidden == 0 || access.is_sticky() || ambient::is_mount_point(path) {
        return Ok(());
    }
    check_mode(access, path, forbidden)
}

fn check_owner(access: Access, path: &Path, owners: Owners) -> Result<(), FileError> {
    access.check_owner(path, owners, || {
        format!("`sudo chown {} {}`", rustix::process::geteuid().as_raw(), shell_quoted(path))
    })
}

fn check_mode(access: Access, path: &Path, forbidden: u32) -> Result<(), FileError> {
    access.check_mode(path, forbidden, || {
        format!("`chmod go-w {}`, or mount a volume there that other workloads do not have", shell_quoted(path))
    })
}
