//! Owner and mode of published files.

use deputy_core::{Account, FileMode};
use rustix::fs::{Gid, Uid};

/// Mode and owner of the files of a unit. Its directories follow: a user who may read a file may enter them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileAccess {
    pub mode: FileMode,
    /// If unset, the user of this process.
    pub owner: Option<Uid>,
    /// If unset, the group that the file system chooses.
    pub group: Option<Gid>,
}

#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(
        "there is no {kind} {name:?} on this machine: `getent {database} {name}` has to find it, or write its number"
    )]
    Unknown { kind: &'static str, database: &'static str, name: String },
}

impl FileAccess {
    /// Whether other users are to read what is published.
    pub(super) fn is_shared(&self) -> bool {
        self.mode.bits() & 0o077 != 0 || self.owner.is_some() || self.group.is_some()
    }

    pub(super) fn of_files(&self) -> u32 {
        self.mode.bits()
    }

    pub(super) fn of_directories(&self) -> u32 {
        self.mode.of_directory()
    }
}

/// The ID of a user, by every source of accounts that the system is configured for, such as files, LDAP or systemd. This
/// may take a while.
pub fn user(account: &Account) -> Result<Uid, AccessError> {
    id(account, "user", "passwd", |name| uzers::get_user_by_name(name).map(|user| user.uid())).map(Uid::from_raw)
}

/// The ID of a group, likewise.
pub fn group(account: &Account) -> Result<Gid, AccessError> {
    id(account, "group", "group", |name| uzers::get_group_by_name(name).map(|group| group.gid())).map(Gid::from_raw)
}

fn id(
    account: &Account,
    kind: &'static str,
    database: &'static str,
    find: impl FnOnce(&str) -> Option<u32>,
) -> Result<u32, AccessError> {
    match account {
        Account::Id(id) => Ok(*id),
        Account::Name(name) => match find(name) {
            Some(id) => Ok(id),
            None => Err(AccessError::Unknown { kind, database, name: name.clone() }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_is_looked_up_by_name_or_taken_by_number() {
        let account = |text: &str| text.parse::<Account>().unwrap();
        assert_eq!(user(&account("root")).unwrap(), Uid::from_raw(0));
        assert_eq!(group(&account("root")).unwrap(), Gid::from_raw(0));
        assert_eq!(user(&account("4711")).unwrap(), Uid::from_raw(4711));
        assert_eq!(group(&account("4712")).unwrap(), Gid::from_raw(4712));
        let error = user(&account("no-such-account")).unwrap_err().to_string();
        assert!(error.starts_with("there is no user \"no-such-account\" on this machine: `getent passwd "), "{error}");
        assert!(matches!(group(&account("no-such-account")), Err(AccessError::Unknown { kind: "group", .. })));
    }
}
