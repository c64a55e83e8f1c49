//! Who owns a file or directory, and what others may do with it: the one judgement for state, caches, published units,
//! secret files and pid files.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use cap_std::fs::{Metadata, MetadataExt as _};
use rustix::process::geteuid;

use crate::FileError;

/// Owner, group and permission bits of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    pub owner: u32,
    pub group: u32,
    pub mode: u32,
}

/// Whose a file may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    User(u32),
    UserOrRoot(u32),
}

impl Owners {
    /// The user of this process alone.
    pub fn this_user() -> Self {
        Self::User(geteuid().as_raw())
    }

    /// The user of this process, or root.
    pub fn this_user_or_root() -> Self {
        Self::UserOrRoot(geteuid().as_raw())
    }

    fn contains(self, owner: u32) -> bool {
        match self {
            Self::User(user) => owner == user,
            Self::UserOrRoot(user) => owner == user || owner == rustix::fs::Uid::ROOT.as_raw(),
        }
    }
}

impl Access {
    /// Reads it from what was opened, so that nothing can be put in its place between the check and the use.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        let stat = rustix::fs::fstat(file)?;
        Ok(Self { owner: stat.st_uid, group: stat.st_gid, mode: stat.st_mode & 0o7777 })
    }

    /// Likewise, from the standard library's metadata.
    pub fn of_std(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { owner: metadata.uid(), group: metadata.gid(), mode: metadata.mode() & 0o7777 }
    }

    /// Whether the owner is outside of this user namespace. All such users have one number there; root of the machine is
    /// one of them.
    pub fn is_owner_outside_user_namespace(self) -> bool {
        const OVERFLOW: u32 = 65_534;
        self.owner == OVERFLOW && !crate::ambient::has_all_users()
    }

    /// Whether it is a directory in which a user can rename and remove only files of their own, such as /tmp.
    pub fn is_sticky(self) -> bool {
        self.mode & 0o1000 != 0
    }

    /// Fails if it belongs to another user than these.
    pub fn check_owner(self, path: &Path, owners: Owners, fix: impl FnOnce() -> String) -> Result<(), FileError> {
        if owners.contains(self.owner) {
            return Ok(());
        }
        Err(FileError::Owner { path: path.to_owned(), owner: self.owner, fix: fix() })
    }

    /// Fails if one of the forbidden permission bits is set.
    pub fn check_mode(self, path: &Path, forbidden: u32, fix: impl FnOnce() -> String) -> Result<(), FileError> {
        if self.mode & forbidden == 0 {
            return Ok(());
        }
        Err(FileError::Exposed { path: path.to_owned(), mode: self.mode, fix: fix() })
    }

    /// Fails unless a directory belongs to the user of this process and is closed to everyone else.
    pub fn check_private_dir(self, path: &Path) -> Result<(), FileError> {
        let quoted = shell_quoted(path);
        self.check_owner(path, Owners::this_user(), || {
            format!("run this as that user, or `sudo chown {} {quoted}`", geteuid().as_raw())
        })?;
        self.check_mode(path, 0o077, || format!("`chmod 700 {quoted}`"))
    }
}

/// Tells one directory from another that has its path later, or the same one with other rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    owner: u32,
    mode: u32,
}

impl Identity {
    pub fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), owner: metadata.uid(), mode: metadata.mode() }
    }

    pub(crate) fn of_std(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { device: metadata.dev(), inode: metadata.ino(), owner: metadata.uid(), mode: metadata.mode() }
    }
}

/// A path as a shell takes it.
pub fn shell_quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+@%,:=".contains(c));
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_quoted_path_is_one_word() {
        let quoted = |path: &str| shell_quoted(Path::new(path));
        assert_eq!(quoted("/etc/key-1_a.pem"), "/etc/key-1_a.pem");
        assert_eq!(quoted("/etc/my key"), "'/etc/my key'");
        assert_eq!(quoted("/etc/$(id)'s"), r"'/etc/$(id)'\''s'");
    }
}
