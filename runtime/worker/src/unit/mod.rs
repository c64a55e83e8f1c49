//! Publishing: all files of one `accept` appear at once, or none do.
//!
//! | in the operator's directory | contents |
//! |---|---|
//! | `NAME` | a link to the current unit: `.NAME/7-00c0ffee00c0ffee` |
//! | `.NAME/` | the container: ours; other users may pass through it, but not list it |
//! | `.NAME/<number>-<random>/` | a unit: a directory with its files |
//! | `.NAME/.deputy` | marks the container as ours, and is locked by the process that publishes |
//! | `.NAME/.notified` | a link that names the unit that the hook has reported to the workload |
//! | `.NAME/.link-…` | a link before it is renamed to its place |
//!
//! A unit is written under a name that was never used, to which no link leads. Each file is synced, then each directory
//! from the innermost out, then `.NAME/`. Then a link to it is created beside it and renamed to `NAME`, and the directory
//! is synced. `rename` is the only step that a reader can see, and the link leads either to the unit before, which is
//! untouched, or to one that is on the disk already: so after a crash or a power cut at any point, `NAME` leads to a whole
//! unit. Whatever else is left then has a name of ours and no link, and the next start removes it.
//!
//! A reader that opens `NAME` once and reads all files through that handle sees one unit. It has time to finish, even if it
//! was suspended after it opened a unit: the unit before the current one stays until a switch that comes [`LINGER`] after
//! it was replaced, and so do those before it, up to [`MAX_REPLACED`], if switches follow each other quickly.
//!
//! Why this is our own code: cap-std and cap-tempfile replace single files, and none of them syncs. Here many files are
//! switched by one link, and the workload's user may own what is below it.

mod access;
mod compare;
mod error;
mod gc;
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
use deputy_files::{FileError, ambient};
use deputy_store::Random;

pub use access::{AccessError, FileAccess, group, user};
pub use error::PublishError;
pub use name::UnitName;

use publish_dir::PublishDir;
use staged_unit::StagedUnit;

/// Names the unit that the hook has reported to the workload.
const NOTIFIED: &str = ".notified";

/// How long a unit stays after it was replaced, unless more than [`MAX_REPLACED`] follow.
const LINGER: Span = Span::secs(10);

/// Units that stay beside the current one.
const MAX_REPLACED: usize = 32;

/// Publishes the units of one receiver.
pub struct UnitPublisher {
    directory: PathBuf,
    name: ReceiverName,
    access: FileAccess,
    random: Random,
    open: Option<OpenUnits>,
}

struct OpenUnits {
    place: PublishDir,
    /// The units before the current one, the oldest first, and when each was replaced.
    replaced: VecDeque<(UnitName, MonotonicTime)>,
}

/// What is published now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedUnit {
    pub unit: Option<UnitName>,
    pub switch: PublishOutcome,
    pub notified: HookNotified,
    /// The modification time of the link.
    pub since: Option<Timestamp>,
}

/// Whether the link was switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishOutcome {
    Done,
    /// The same files were published already.
    NotNeeded,
}

/// Whether the hook has reported the published unit to the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookNotified {
    /// It has not, or that is unknown.
    NotYet,
    Already,
}

/// Whether this user can publish units in a directory, as far as that shows before one is published. Nothing is created.
pub fn check(directory: &Path) -> Result<(), PublishError> {
    publish_dir::check(directory)
}

impl UnitPublisher {
    /// For a receiver whose link is to be in this directory. Nothing is created yet.
    pub fn new(directory: PathBuf, name: ReceiverName, access: FileAccess, random: Random) -> Self {
        Self { directory, name, access, random, open: None }
    }

    /// The path that the workload reads.
    pub fn link(&self) -> PathBuf {
        self.directory.join(self.name.as_str())
    }

    /// Publishes these files in place of the current unit. If this fails, the current unit stays, unless only the last sync
    /// failed: then the new one is current, and the next call syncs it.
    pub fn publish(&mut self, outputs: &Outputs, now: MonotonicTime) -> Result<PublishedUnit, PublishError> {
        let access = self.access;
        let random = self.random.clone();
        let open = self.open(now)?;
        let current = open.place.current()?;
        if let Some(unit) = current
            && compare::holds(&open.place, unit, outputs, &access)
        {
            open.place.sync_link()?;
            let notified = hook_notified(&open.place, unit);
            let since = open.place.since();
            return Ok(PublishedUnit { unit: Some(unit), switch: PublishOutcome::NotNeeded, notified, since });
        }
        let number = current.map_or(1, |unit| unit.number().saturating_add(1));
        let unit = UnitName::new(number, &*random)?;
        let staged = StagedUnit::write(&open.place, unit, outputs, &access).inspect_err(|_| {
            // The disk may be full.
            open.replaced.drain(..open.replaced.len().saturating_sub(1));
            sweep_all(&open.place, current, &open.replaced);
        })?;
        staged.publish(&*random)?;
        open.replaced.extend(current.map(|current| (current, now)));
        open.sweep(Some(unit), now);
        let since = open.place.since();
        Ok(PublishedUnit { unit: Some(unit), switch: PublishOutcome::Done, notified: HookNotified::NotYet, since })
    }

    /// Removes the link and every unit.
    pub fn withdraw(&mut self, now: MonotonicTime) -> Result<PublishedUnit, PublishError> {
        // What cannot be inspected may exist.
        let exists = |name: &str| ambient::exists(&self.directory.join(name)).unwrap_or(true);
        if !exists(self.name.as_str()) && !exists(&format!(".{}", self.name)) {
            return Ok(PublishedUnit {
                unit: None,
                switch: PublishOutcome::NotNeeded,
                notified: HookNotified::Already,
                since: None,
            });
        }
        let open = self.open(now)?;
        let place = &open.place;
        let switch = if place.current()?.is_some() {
            place
                .directory
                .remove_file(place.link_name())
                .map_err(|error| FileError::new("remove", &place.link, error))?;
            PublishOutcome::Done
        } else {
            PublishOutcome::NotNeeded
        };
        place.sync_link()?;
        open.replaced.clear();
        gc::sweep(place, &[])?;
        let notified = if switch == PublishOutcome::Done { HookNotified::NotYet } else { HookNotified::Already };
        Ok(PublishedUnit { unit: None, switch, notified, since: None })
    }

    /// Whether the link still leads to a unit that has these files. The error names what is missing.
    pub fn verify(&self, unit: UnitName, files: &[String]) -> Result<(), String> {
        let Some(open) = self.open.as_ref().filter(|open| open.place.is_current(&self.directory)) else {
            return Err(removed(&self.directory));
        };
        match open.place.current() {
            Ok(Some(current)) if current == unit => {}
            Ok(_) => return Err(removed(&self.link())),
            Err(error) => return Err(deputy_core::in_one_line(&error)),
        }
        let unit = unit.to_string();
        let exists = |file: &&String| open.place.container.symlink_metadata(Path::new(&unit).join(file)).is_ok();
        match files.iter().find(|file| !exists(file)) {
            Some(file) => Err(removed(&self.link().join(file))),
            None => Ok(()),
        }
    }

    /// Records that the hook has reported a unit, so that a later start does not run the hook again.
    pub fn record_notified(&mut self, unit: UnitName, now: MonotonicTime) -> Result<(), PublishError> {
        let link = gc::link_name(UnitName::new(unit.number(), &*self.random)?);
        let place = &self.open(now)?.place;
        let container = &place.container;
        let written =
            container.symlink(unit.to_string(), &link).and_then(|()| container.rename(&link, container, NOTIFIED));
        written.map_err(|error| place.error("write", NOTIFIED, error))
    }

    /// The directories, opened again if the path leads elsewhere by now: a directory on a tmpfs may have been recreated.
    fn open(&mut self, now: MonotonicTime) -> Result<&mut OpenUnits, PublishError> {
        let open = match self.open.take().filter(|open| open.place.is_current(&self.directory)) {
            Some(open) => open,
            None => {
                let place = PublishDir::open(&self.directory, &self.name, &self.access)?;
                let current = place.current()?;
                let replaced = before(&place, current)?.into_iter().map(|unit| (unit, now)).collect();
                let mut open = OpenUnits { replaced, place };
                open.sweep(current, now);
                open
            }
        };
        Ok(self.open.insert(open))
    }
}

impl OpenUnits {
    /// Removes units that are old enough. What cannot be removed is tried again at the next switch.
    fn sweep(&mut self, current: Option<UnitName>, now: MonotonicTime) {
        let is_over = |(_, since): &(UnitName, MonotonicTime)| now.since(*since) >= LINGER;
        while self.replaced.len() > MAX_REPLACED
            || (self.replaced.len() > 1 && self.replaced.front().is_some_and(is_over))
        {
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

/// The unit before the current one, which a workload may be reading. A greater number was never published.
fn before(place: &PublishDir, current: Option<UnitName>) -> Result<Option<UnitName>, PublishError> {
    let Some(current) = current else { return Ok(None) };
    let units = place.names()?.into_iter().filter_map(|name| name.parse::<UnitName>().ok());
    Ok(units.filter(|unit| unit.number() < current.number()).max())
}

fn removed(path: &Path) -> String {
    format!("{} was removed or replaced", path.display())
}

fn hook_notified(place: &PublishDir, unit: UnitName) -> HookNotified {
    match place.container.read_link_contents(NOTIFIED) {
        Ok(target) if target.as_os_str() == unit.to_string().as_str() => HookNotified::Already,
        Ok(_) => HookNotified::NotYet,
        Err(error) if error.kind() == io::ErrorKind::NotFound => HookNotified::NotYet,
        Err(error) => {
            tracing::warn!(%error, place = %place.path.display(), "hook state unknown; running the hook again");
            HookNotified::NotYet
        }
    }
}
