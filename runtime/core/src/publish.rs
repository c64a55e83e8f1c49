//! Published files: their mode, their owner, and what becomes of them when their lease expires.

use std::fmt;
use std::str::FromStr;

/// What becomes of a lease that was not replaced in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expired {
    /// Its files stay as they are.
    #[default]
    Keep,
    /// It is left out, as if it were withdrawn. Without any lease there are no files.
    Remove,
}

/// The mode of a published file: readable by its owner, executable by no user, and not writable by all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

/// The text is not a mode that a published file may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a valid file mode, since the owner must be able to read, no user may execute, and others may not write: write \"0600\" or \"0640\""
)]
pub struct FileModeError;

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    Id(u32),
    /// By its name, which is looked up when it is needed.
    Name(String),
}

/// A text is no user or group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name or number of a user or group: write \"app\" or 1000")]
pub struct AccountError;

impl FileMode {
    /// As `chmod` takes it.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The mode of a directory of such files: their readers may list it, only its owner may change it.
    pub fn of_directory(self) -> u32 {
        let readers = self.0 & 0o044;
        0o700 | readers | readers >> 2
    }

    /// Whether every user of the machine can read the file.
    pub fn is_for_all(self) -> bool {
        self.0 & 0o004 != 0
    }
}

impl Default for FileMode {
    /// For their owner alone.
    fn default() -> Self {
        Self(0o600)
    }
}

impl FromStr for FileMode {
    type Err = FileModeError;

    fn from_str(text: &str) -> Result<Self, FileModeError> {
        let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let bits = u32::from_str_radix(text, 8).ok().filter(|_| is_octal);
        bits.filter(|bits| bits & !0o664 == 0 && bits & 0o400 != 0).map(Self).ok_or(FileModeError)
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl FromStr for Account {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            // (uid_t)-1 means "unchanged" to chown(2).
            return text.parse().ok().filter(|id| *id != u32::MAX).map(Self::Id).ok_or(AccountError);
        }
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@\\$".contains(&byte));
        let is_valid = text.len() <= 256 && !text.starts_with('-') && is_plain;
        is_valid.then(|| Self::Name(text.to_owned())).ok_or(AccountError)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_mode_survives_the_round_trip() {
        for text in ["0600", "0400", "0640", "0440", "0660", "0644", "0664"] {
            assert_eq!(text.parse::<FileMode>().unwrap().to_string(), text);
        }
        assert_eq!(FileMode::default().bits(), 0o600);
    }

    #[test]
    fn file_mode_with_execute_or_world_write_is_rejected() {
        for text in ["", "600x", "0666", "0602", "0700", "0610", "0200", "0040", "4600", "2640", "1600", "0000", "rw"] {
            assert_eq!(text.parse::<FileMode>(), Err(FileModeError), "{text:?}");
        }
        for text in ["0", "600 ", "+600", "00600", "0800", "0755"] {
            assert_eq!(text.parse::<FileMode>(), Err(FileModeError), "{text:?}");
        }
    }

    #[test]
    fn file_mode_of_directories_adds_search_but_no_write_for_others() {
        let modes = [
            ("0600", 0o700),
            ("0400", 0o700),
            ("0640", 0o750),
            ("0660", 0o750),
            ("0440", 0o750),
            ("0620", 0o700),
            ("644", 0o755),
            ("0664", 0o755),
            ("0604", 0o705),
        ];
        for (text, directory) in modes {
            assert_eq!(text.parse::<FileMode>().unwrap().of_directory(), directory, "{text}");
        }
    }

    #[test]
    fn account_is_a_name_or_a_number() {
        for (text, account) in [
            ("0", Account::Id(0)),
            ("1000", Account::Id(1000)),
            ("app", Account::Name("app".into())),
            ("DOMAIN\\app$", Account::Name("DOMAIN\\app$".into())),
            ("_apt", Account::Name("_apt".into())),
        ] {
            assert_eq!(text.parse(), Ok(account.clone()), "{text}");
            assert_eq!(account.to_string(), text);
        }
        for text in ["", "4294967295", "4294967296", "-1", "a b", "a:b", "a/b", "\u{e4}", &"a".repeat(257)] {
            assert_eq!(text.parse::<Account>(), Err(AccountError), "{text:?}");
        }
    }
}
