//! Whether another user could replace what a path names.
//!
//! A user who may write to a directory can replace what is in it, and so can a user who may write to one above it. Three
//! things make such a directory harmless: it is sticky; only this user or root may write to it; or it is a mounted volume,
//! which only the containers have that it was mounted for. Kubernetes gives the last: an `emptyDir` has the mode 0777, or
//! 2777 with `fsGroup`.

use std::path::Path;

use cap_std::fs::Dir;

use crate::{Access, FileError, Owners, ambient, shell_quoted, sys};

/// Permission bits by which others can replace what is in a directory.
const WRITABLE: u32 = 0o022;

/// Refuses a directory of this program's own if another user owns it or can write to it.
pub fn own_directory(dir: &Dir, path: &Path) -> Result<(), FileError> {
    let access = Access::of(dir).map_err(|error| FileError::new("inspect", path, error))?;
    check_owner(access, path, Owners::this_user())?;
    check_mode(access, path, WRITABLE)
}

/// Refuses a directory of the operator in which another user can replace what this program puts there.
pub fn operators_directory(dir: &Dir, path: &Path) -> Result<(), FileError> {
    let access = Access::of(dir).map_err(|error| FileError::new("inspect", path, error))?;
    check_owner(access, path, Owners::this_user_or_root())?;
    if access.is_sticky() || sys::is_mount_point(dir) {
        return Ok(());
    }
    check_mode(access, path, WRITABLE)
}

/// Refuses a path if another user can replace a directory above it.
pub fn directories_above(path: &Path) -> Result<(), FileError> {
    ambient::directories_above(path).iter().try_for_each(|above| directory_above(above))
}

/// Refuses a file, links followed, if another user owns it or can write to it, or can replace it or the link.
pub fn file(path: &Path) -> Result<(), FileError> {
    let failed = |error| FileError::new("inspect", path, error);
    directories_above(path)?;
    let real = path.canonicalize().map_err(failed)?;
    directories_above(&real)?;
    let access = Access::of_std(&ambient::metadata(&real).map_err(failed)?);
    if !access.is_owner_outside_user_namespace() {
        check_owner(access, &real, Owners::this_user_or_root())?;
    }
    check_mode(access, &real, forbidden(access))
}

fn directory_above(path: &Path) -> Result<(), FileError> {
    // A directory that cannot be inspected cannot be passed either: opening the path itself reports that.
    let Ok(access) = ambient::access(path) else { return Ok(()) };
    if !access.is_owner_outside_user_namespace() {
        check_owner(access, path, Owners::this_user_or_root())?;
    }
    let forbidden = forbidden(access);
    if access.mode & forbidden == 0 || access.is_sticky() || ambient::is_mount_point(path) {
        return Ok(());
    }
    check_mode(access, path, forbidden)
}

/// Many systems create a group for each user, which has no other members.
fn forbidden(access: Access) -> u32 {
    if access.group == rustix::process::getegid().as_raw() { 0o002 } else { WRITABLE }
}

fn check_owner(access: Access, path: &Path, owners: Owners) -> Result<(), FileError> {
    access.check_owner(path, owners, || {
        let user = rustix::process::geteuid().as_raw();
        format!("run this as that user, or `sudo chown {user} {}`", shell_quoted(path))
    })
}

fn check_mode(access: Access, path: &Path, forbidden: u32) -> Result<(), FileError> {
    access.check_mode(path, forbidden, || {
        format!("`chmod go-w {}`, or mount a volume there that other workloads do not have", shell_quoted(path))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        let permissions = std::fs::Permissions::from_mode(mode);
        #[expect(clippy::disallowed_methods, reason = "sets the stage of a test")]
        std::fs::set_permissions(path, permissions).unwrap();
    }

    fn a_file(folder: &Path) -> PathBuf {
        let path = folder.join("a.wasm");
        ambient::create_file(&path, ".new-", b"a").unwrap();
        path
    }

    #[test]
    fn judge_accepts_a_file_that_no_other_user_can_replace() {
        let folder = tempfile::tempdir().unwrap();
        let path = a_file(folder.path());
        file(&path).unwrap();
        set_mode(&path, 0o755);
        file(&path).unwrap();
    }

    #[test]
    fn judge_refuses_a_file_that_other_users_can_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = a_file(folder.path());
        set_mode(&path, 0o666);
        assert!(matches!(file(&path), Err(FileError::Exposed { .. })));
    }

    #[test]
    fn judge_refuses_a_file_in_a_folder_that_others_can_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = a_file(folder.path());
        set_mode(folder.path(), 0o777);
        assert!(matches!(file(&path), Err(FileError::Exposed { .. })));
        set_mode(folder.path(), 0o1777);
        file(&path).unwrap();
    }

    #[test]
    fn judge_refuses_a_link_to_a_file_that_others_can_replace() {
        let (folder, open) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = a_file(open.path());
        let link = folder.path().join("link.wasm");
        rustix::fs::symlinkat(&target, rustix::fs::CWD, &link).unwrap();
        file(&link).unwrap();
        set_mode(open.path(), 0o777);
        assert!(matches!(file(&link), Err(FileError::Exposed { .. })));
    }
}
