//! How a receiver's files are published: where, for whom, and what becomes of them when they are no longer good.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::diagnostic::Sink;
use crate::socket::octal;
use crate::value::{Fields, Value, optional};

use super::hook::{self, OnChange};

/// How the files of one receiver are published. What a receiver's table does not say is the worker's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publish {
    /// The folder in which the receiver's files appear, under its name. Without one it can't be run.
    pub output: Option<PathBuf>,
    /// Who may read the files.
    pub mode: FileMode,
    /// Whose they are; without one, the worker's.
    pub owner: Option<Account>,
    /// Which group's they are; without one, the worker's.
    pub group: Option<Account>,
    /// What becomes of a lease that was not replaced in time.
    pub expired: Expired,
    /// Who is told of a change.
    pub on_change: Option<OnChange>,
}

/// What becomes of a lease that was not replaced in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expired {
    /// The files stay as they are.
    #[default]
    Keep,
    /// The receiver runs again, without it; without any lease there are no files.
    Remove,
}

/// The mode of a published file: it can be read by its owner, perhaps by others, and be executed by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

/// A text is no mode of a published file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a mode of files that their owner can read, nobody can execute, and not everybody can write: write \"0600\" or \"0640\""
)]
pub struct FileModeError;

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// By its number.
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

    fn is_for_all(self) -> bool {
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
        let sound = |bits: &u32| bits & !0o664 == 0 && bits & 0o400 != 0;
        octal(text).filter(sound).map(Self).ok_or(FileModeError)
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
            // The greatest number means "leave it" to the system.
            return text.parse().ok().filter(|id| *id != u32::MAX).map(Self::Id).ok_or(AccountError);
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-@\\$".contains(&b);
        let sound = text.len() <= 256 && !text.starts_with('-') && text.bytes().all(plain);
        sound.then(|| Self::Name(text.to_owned())).ok_or(AccountError)
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

/// Reads what a receiver's table says; `None` if an error was noted.
pub(super) fn read(sink: &mut Sink, base: &Path, fields: &mut Fields<'_>, worker: &Publish) -> Option<Publish> {
    let output = optional(fields.optional("output"), |v| v.path(sink, base));
    let mode = optional(fields.optional("mode"), |v| mode(sink, v));
    let owner = optional(fields.optional("owner"), |v| account(sink, v));
    let group = optional(fields.optional("group"), |v| account(sink, v));
    let expired = optional(fields.optional("expired"), |v| on_expiry(sink, v));
    let on_change = optional(fields.optional("on-change"), |v| hook::read(sink, base, v));
    Some(Publish {
        output: output?.or_else(|| worker.output.clone()),
        mode: mode?.unwrap_or(worker.mode),
        owner: owner?.or_else(|| worker.owner.clone()),
        group: group?.or_else(|| worker.group.clone()),
        expired: expired?.unwrap_or(worker.expired),
        on_change: on_change?,
    })
}

/// `expired = "remove"`
pub(super) fn on_expiry(sink: &mut Sink, value: Value<'_>) -> Option<Expired> {
    value.choice(sink, &[("keep", Expired::Keep), ("remove", Expired::Remove)])
}

fn mode(sink: &mut Sink, value: Value<'_>) -> Option<FileMode> {
    let mode: FileMode = value.parsed(sink, "\"0600\"")?;
    if mode.is_for_all() {
        sink.warning(value.at(), "every user of this machine can read these credentials")
            .expected("\"0600\", or \"0640\" with `group`");
    }
    Some(mode)
}

/// A name, or a number, which is as well understood without quotes.
fn account(sink: &mut Sink, value: Value<'_>) -> Option<Account> {
    if !value.is_number() {
        return value.parsed(sink, "\"app\" or 1000");
    }
    let id = value.count(sink, "1000")?;
    match id.to_string().parse() {
        Ok(account) => Some(account),
        Err(error) => value.invalid::<Account>(sink, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_survives_the_round_trip() {
        for text in ["0600", "0400", "0640", "0440", "0660", "0644", "0664"] {
            assert_eq!(text.parse::<FileMode>().unwrap().to_string(), text);
        }
        assert_eq!(FileMode::default().bits(), 0o600);
    }

    #[test]
    fn a_mode_that_lets_all_write_or_anybody_execute_is_refused() {
        for text in ["", "600x", "0666", "0602", "0700", "0610", "0200", "0040", "4600", "2640", "1600", "0000", "rw"] {
            assert_eq!(text.parse::<FileMode>(), Err(FileModeError), "{text:?}");
        }
    }

    #[test]
    fn an_account_is_a_name_or_a_number() {
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
