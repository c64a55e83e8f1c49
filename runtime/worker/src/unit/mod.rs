//! Publishing: all files of one `accept` appear at once, or none do.
//!
//! | in the operator's directory | what |
//! |---|---|
//! | `NAME` | a link to the unit that counts: `.NAME/7-00c0ffee00c0ffee` |
//! | `.NAME/` | ours; everybody may pass through it, nobody may list it |
//! | `.NAME/<number>-<chance>/` | a unit: a directory with its files |
//! | `.NAME/.deputy` | shows that the directory is ours, and is locked by who publishes |
//! | `.NAME/.told` | a link that names the unit of which the workload was told |
//! | `.NAME/.link-…` | a link on its way to its place |
//!
//! A unit is written under a name that was never used, where no link leads. Each file is synced, then each directory from
//! the innermost out, then `.NAME/`. Then a link to it is made beside it and renamed to `NAME`, and the directory is
//! synced. `rename` is the only step that a reader can see, and it leads either to the unit before, which nobody has
//! touched, or to one of which all is on the disk already: so after a crash or a power cut at any point, `NAME` leads to
//! a whole unit. Whatever else is left then has a name of ours and no link, and the next start removes it.
//!
//! A reader that opens `NAME` once and reads all files through what it opened sees one unit. It has time to finish, also
//! if it was led to a unit and then kept waiting: the unit before the current one stays until a switch that comes
//! [`LINGER`] after it was replaced, and so do those before it, up to [`MOST`], where switches come one upon the other.

mod access;
mod compare;
mod error;
mod gc;
mod judge;
mod name;
mod publish_dir;
mod staged_unit;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use deputy_core::time::MonotonicTime;
use deputy_core::{Outputs, ReceiverName, Span, Timestamp};
use deputy_store::Random;
use rustix::fs::{AtFlags, readlinkat, renameat, statat, symlinkat, unlinkat};
use rustix::io::Errno;

pub use access::{AccessError, FileAccess, group, user};
pub use error::PublishError;
pub use name::UnitName;

use publish_dir::PublishDir;
use staged_unit::StagedUnit;

/// Names the unit of which the workload was told.
const TOLD: &str = ".told";

/// How long a unit stays at the least after it was replaced, if not too many come after it.
const LINGER: Span = Span::secs(10);

/// Units that stay beside the current one.
const MOST: usize = 32;

/// Publishes the units of one receiver.
pub struct UnitPublisher {
    directory: PathBuf,
    name: ReceiverName,
    access: FileAccess,
    random: Random,
    open: Option<Open>,
}

/// The place, and what was switched there.
struct Open {
    place: PublishDir,
    /// What was published before, the oldest first, and when it was replaced.
    replaced: VecDeque<(UnitName, MonotonicTime)>,
}

/// What is published now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedUnit {
    /// The unit, if there is one.
    pub unit: Option<UnitName>,
    /// Whether there was another one, or none, before.
    pub switch: PublishOutcome,
    /// Whether the workload was told of it.
    pub told: HookNotified,
    /// When it was published, by the link's own time.
    pub since: Option<Timestamp>,
}

/// Whether the link leads elsewhere than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishOutcome {
    /// It does.
    Done,
    /// What was to be published was there already.
    NotNeeded,
}

/// Whether the workload was told of what is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookNotified {
    /// It was not, or nobody knows.
    NotYet,
    /// It was.
    Already,
}

/// Whether units can be published in a directory by this user, as far as that can be said before one is. Nothing is made.
///
/// # Errors
/// If it is none, or others could replace what is published.
pub fn check(directory: &Path) -> Result<(), PublishError> {
    publish_dir::check(directory)
}

impl UnitPublisher {
    /// For a receiver whose link is to be in this directory. Nothing is touched yet.
    pub fn new(directory: PathBuf, name: ReceiverName, access: FileAccess, random: Random) -> Self {
        Self { directory, name, access, random, open: None }
    }

    /// Where the workload finds what is published.
    pub fn link(&self) -> PathBuf {
        self.directory.join(self.name.as_str())
    }

    /// Publishes these files in place of those before. If it fails, those before are whole, unless only the last sync
    /// failed: then the new ones are, and the next call syncs them.
    pub fn publish(&mut self, outputs: &Outputs, now: MonotonicTime) -> Result<PublishedUnit, PublishError> {
        let (access, random) = (self.access, self.random.clone());
        let open = self.open(now)?;
        let current = open.place.current()?;
        if let Some(unit) = current
            && compare::holds(&open.place, unit, outputs, &access)
        {
            open.place.sync_link()?;
            let told = told(&open.place, unit);
            let since = open.place.since();
            return Ok(PublishedUnit { unit: Some(unit), switch: PublishOutcome::NotNeeded, told, since });
        }
        let number = current.map_or(1, |unit| unit.number().saturating_add(1));
        let unit = UnitName::new(number, &*random)?;
        let staged = StagedUnit::write(&open.place, unit, outputs, &access).inspect_err(|_| {
            // It may be room that is missing.
            open.replaced.drain(..open.replaced.len().saturating_sub(1));
            sweep_all(&open.place, current, &open.replaced);
        })?;
        staged.publish(&*random)?;
        open.replaced.extend(current.map(|current| (current, now)));
        open.sweep(Some(unit), now);
        let since = open.place.since();
        Ok(PublishedUnit { unit: Some(unit), switch: PublishOutcome::Done, told: HookNotified::NotYet, since })
    }

    /// Removes the link and every unit: nothing is published any more.
    pub fn withdraw(&mut self, now: MonotonicTime) -> Result<PublishedUnit, PublishError> {
        let is_gone = |name: &str| {
            let found = std::fs::symlink_metadata(self.directory.join(name));
            found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        if is_gone(self.name.as_str()) && is_gone(&format!(".{}", self.name)) {
            return Ok(PublishedUnit {
                unit: None,
                switch: PublishOutcome::NotNeeded,
                told: HookNotified::Already,
                since: None,
            });
        }
        let open = self.open(now)?;
        let place = &open.place;
        let switch = if place.current()?.is_some() {
            unlinkat(&place.directory, place.link_name(), AtFlags::empty())
                .map_err(|error| PublishError::of_system("remove", &place.link, error))?;
            PublishOutcome::Done
        } else {
            PublishOutcome::NotNeeded
        };
        place.sync_link()?;
        open.replaced.clear();
        gc::sweep(place, &[])?;
        let told = if switch == PublishOutcome::Done { HookNotified::NotYet } else { HookNotified::Already };
        Ok(PublishedUnit { unit: None, switch, told, since: None })
    }

    /// Whether a unit is still what the link leads to, with these files.
    ///
    /// # Errors
    /// What of it is gone, in words.
    pub fn look(&self, unit: UnitName, files: &[String]) -> Result<(), String> {
        let gone = |path: PathBuf| Err(format!("{} was removed or replaced", path.display()));
        let Some(open) = self.open.as_ref().filter(|open| open.place.is_current(&self.directory)) else {
            return gone(self.directory.clone());
        };
        match open.place.current() {
            Ok(Some(current)) if current == unit => {}
            Ok(_) => return gone(self.link()),
            Err(error) => return Err(deputy_core::in_one_line(&error)),
        }
        let is_there = |file: &&String| {
            let path = format!("{unit}/{file}");
            statat(&open.place.container, path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
        };
        match files.iter().find(|file| !is_there(file)) {
            Some(file) => gone(self.link().join(file)),
            None => Ok(()),
        }
    }

    /// Notes that the workload was told of a unit, so that a later start doesn't tell it once more.
    pub fn tell(&mut self, unit: UnitName, now: MonotonicTime) -> Result<(), PublishError> {
        let chance = UnitName::new(unit.number(), &*self.random)?;
        let place = &self.open(now)?.place;
        let link = gc::link_name(chance);
        let failed = |error| place.error("write", TOLD, error);
        symlinkat(unit.to_string(), &place.container, &link).map_err(failed)?;
        renameat(&place.container, &link, &place.container, TOLD).map_err(failed)
    }

    /// The place, opened anew if the path leads elsewhere by now: a directory on a tmpfs may have been made again.
    fn open(&mut self, now: MonotonicTime) -> Result<&mut Open, PublishError> {
        let open = match self.open.take().filter(|open| open.place.is_current(&self.directory)) {
            Some(open) => open,
            None => {
                let place = PublishDir::open(&self.directory, &self.name, &self.access)?;
                let current = place.current()?;
                let replaced = before(&place, current)?.into_iter().map(|unit| (unit, now)).collect();
                let mut open = Open { replaced, place };
                open.sweep(current, now);
                open
            }
        };
        Ok(self.open.insert(open))
    }
}

impl Open {
    /// Removes what nobody is reading any more. What can't be removed is tried again at the next switch.
    fn sweep(&mut self, current: Option<UnitName>, now: MonotonicTime) {
        let is_over = |(_, since): &(UnitName, MonotonicTime)| now.since(*since) >= LINGER;
        while self.replaced.len() > MOST || (self.replaced.len() > 1 && self.replaced.front().is_some_and(is_over)) {
            self.replaced.pop_front();
        }
        sweep_all(&self.place, current, &self.replaced);
    }
}

fn sweep_all(place: &PublishDir, current: Option<UnitName>, replaced: &VecDeque<(UnitName, MonotonicTime)>) {
    let keep: Vec<UnitName> = current.into_iter().chain(replaced.iter().map(|(unit, _)| *unit)).collect();
    if let Err(error) = gc::sweep(place, &keep) {
        let error = deputy_core::in_one_line(&error);
        tracing::warn!(error, "removing an old unit failed; the next publication retries");
    }
}

/// The unit before the current one, which somebody may be reading. What has a greater number was never published.
fn before(place: &PublishDir, current: Option<UnitName>) -> Result<Option<UnitName>, PublishError> {
    let Some(current) = current else { return Ok(None) };
    let units = place.names()?.into_iter().filter_map(|name| name.parse::<UnitName>().ok());
    Ok(units.filter(|unit| unit.number() < current.number()).max())
}

fn told(place: &PublishDir, unit: UnitName) -> HookNotified {
    match readlinkat(&place.container, TOLD, Vec::new()) {
        Ok(told) if told.to_bytes() == unit.to_string().as_bytes() => HookNotified::Already,
        Ok(_) | Err(Errno::NOENT) => HookNotified::NotYet,
        Err(error) => {
            tracing::warn!(%error, place = %place.path.display(), "hook state unknown; running the hook again");
            HookNotified::NotYet
        }
    }
}
