//! Who may read what is published.

use std::str::FromStr;

use rustix::fs::{Gid, Mode, Uid};

/// Mode and owner of the files of a unit. Its directories follow: who may read a file may look into them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The mode of each file.
    pub mode: FileMode,
    /// To whom they are given, if not to who runs this.
    pub owner: Option<Uid>,
    /// To which group they are given, if not to that of who runs this.
    pub group: Option<Gid>,
}

/// The mode of a file: this user may read and write it, others may at most read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

/// A text is no mode, user or group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// No mode.
    #[error("{0:?} is not the mode of a unit's files: write \"0600\", \"0640\", \"0644\" or \"0604\"")]
    Mode(String),
    /// No user.
    #[error("there is no user {0:?} in /etc/passwd: write the number that `id -u {0}` prints")]
    User(String),
    /// No group.
    #[error("there is no group {0:?} in /etc/group: write the number that `getent group {0}` prints")]
    Group(String),
}

impl Default for Access {
    fn default() -> Self {
        Self { mode: FileMode::PRIVATE, owner: None, group: None }
    }
}

impl Access {
    /// Whether somebody else is to read what is published.
    pub(super) fn is_shared(&self) -> bool {
        self.mode != FileMode::PRIVATE || self.owner.is_some() || self.group.is_some()
    }
}

impl FileMode {
    /// For nobody else.
    pub const PRIVATE: Self = Self(0o600);

    pub(super) fn of_files(self) -> Mode {
        Mode::from_raw_mode(self.0)
    }

    /// Whoever may read may also pass.
    pub(super) fn of_directories(self) -> Mode {
        Mode::from_raw_mode(0o700 | self.0 | (self.0 & 0o444) >> 2)
    }
}

impl FromStr for FileMode {
    type Err = AccessError;

    fn from_str(text: &str) -> Result<Self, AccessError> {
        let digits = (3..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| digits && mode & !0o044 == 0o600);
        mode.map(Self).ok_or_else(|| AccessError::Mode(text.chars().take(20).collect()))
    }
}

/// The user of a name, as the text of `/etc/passwd` has it, or of a number.
pub fn user(name: &str, passwd: &str) -> Result<Uid, AccessError> {
    number(name, passwd).map(Uid::from_raw).ok_or_else(|| AccessError::User(shown(name)))
}

/// The group of a name, as the text of `/etc/group` has it, or of a number.
pub fn group(name: &str, groups: &str) -> Result<Gid, AccessError> {
    number(name, groups).map(Gid::from_raw).ok_or_else(|| AccessError::Group(shown(name)))
}

/// Both files have the name first and the number third.
fn number(name: &str, lines: &str) -> Option<u32> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        // The last number means "nobody is meant" to the system.
        return name.parse().ok().filter(|number| *number != u32::MAX);
    }
    let mut found = lines.lines().map(|line| line.split(':')).filter_map(|mut fields| {
        let is_it = fields.next() == Some(name);
        fields.nth(1).filter(|_| is_it)
    });
    found.next()?.parse().ok()
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_lets_others_read_at_most() {
        for (text, files, directories) in
            [("0600", 0o600, 0o700), ("0640", 0o640, 0o750), ("644", 0o644, 0o755), ("0604", 0o604, 0o705)]
        {
            let mode: FileMode = text.parse().unwrap();
            assert_eq!(mode.of_files().as_raw_mode(), files);
            assert_eq!(mode.of_directories().as_raw_mode(), directories);
        }
    }

    #[test]
    fn a_mode_that_lets_others_write_or_run_or_nobody_read_is_refused() {
        for text in ["", "0", "600 ", "+600", "0620", "0602", "0700", "0400", "4600", "0755", "00600", "rw", "0800"] {
            assert!(text.parse::<FileMode>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_user_is_found_by_name_or_taken_by_number() {
        let passwd = "root:x:0:0::/:/bin/sh\nspark:x:4711:12::/:/bin/false\nbroken\nempty:x::\n";
        assert_eq!(user("spark", passwd), Ok(Uid::from_raw(4711)));
        assert_eq!(user("17", ""), Ok(Uid::from_raw(17)));
        assert_eq!(group("spark", passwd), Ok(Gid::from_raw(4711)));
        for name in ["", "x", "broken", "empty", "4294967295", "-1", "spark:x"] {
            assert!(user(name, passwd).is_err(), "{name}");
        }
    }
}
