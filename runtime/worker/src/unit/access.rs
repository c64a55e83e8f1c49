//! Who may read what is published.

use deputy_core::{Account, FileMode};
use rustix::fs::{Gid, Mode, Uid};

/// Mode and owner of the files of a unit. Its directories follow: who may read a file may look into them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileAccess {
    /// The mode of each file.
    pub mode: FileMode,
    /// To whom they are given, if not to who runs this.
    pub owner: Option<Uid>,
    /// To which group they are given, if not to that of who runs this.
    pub group: Option<Gid>,
}

/// A user or group does not exist on this machine, or can't be looked up.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// There is none.
    #[error(
        "there is no {kind} {name:?} on this machine: `getent {database} {name}` has to find it, or write its number"
    )]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// Where the system looks.
        database: &'static str,
        /// Its name.
        name: String,
    },
}

impl FileAccess {
    /// Whether somebody else is to use what is published.
    pub(super) fn is_shared(&self) -> bool {
        self.mode.bits() & 0o077 != 0 || self.owner.is_some() || self.group.is_some()
    }

    pub(super) fn of_files(&self) -> Mode {
        Mode::from_raw_mode(self.mode.bits())
    }

    pub(super) fn of_directories(&self) -> Mode {
        Mode::from_raw_mode(self.mode.of_directory())
    }
}

/// The number of a user, by all that the system asks for accounts: files, LDAP, systemd. This may take a while.
///
/// # Errors
/// If there is no such user.
pub fn user(account: &Account) -> Result<Uid, AccessError> {
    let number = |name: &str| uzers::get_user_by_name(name).map(|user| user.uid());
    id(account, "user", "passwd", number).map(Uid::from_raw)
}

/// The number of a group, likewise.
///
/// # Errors
/// If there is no such group.
pub fn group(account: &Account) -> Result<Gid, AccessError> {
    let number = |name: &str| uzers::get_group_by_name(name).map(|group| group.gid());
    id(account, "group", "group", number).map(Gid::from_raw)
}

fn id(
    account: &Account,
    kind: &'static str,
    database: &'static str,
    number: impl FnOnce(&str) -> Option<u32>,
) -> Result<u32, AccessError> {
    match account {
        Account::Id(id) => Ok(*id),
        Account::Name(name) => match number(name) {
            Some(id) => Ok(id),
            None => Err(AccessError::Unknown { kind, database, name: name.clone() }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_the_system_or_taken_by_its_number() {
        let account = |text: &str| text.parse::<Account>().unwrap();
        assert_eq!(user(&account("root")).unwrap(), Uid::from_raw(0));
        assert_eq!(group(&account("root")).unwrap(), Gid::from_raw(0));
        assert_eq!(user(&account("4711")).unwrap(), Uid::from_raw(4711));
        assert_eq!(group(&account("4712")).unwrap(), Gid::from_raw(4712));
        let error = user(&account("nobody-has-this-name")).unwrap_err().to_string();
        assert!(
            error.starts_with("there is no user \"nobody-has-this-name\" on this machine: `getent passwd "),
            "{error}"
        );
        assert!(matches!(group(&account("nobody-has-this-name")), Err(AccessError::Unknown { kind: "group", .. })));
    }
}
