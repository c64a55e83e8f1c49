//! A unit that is being written. Nobody is led to it yet, and it is removed unless it is published.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use aws_lc_rs::rand::SecureRandom;
use deputy_core::{OutputPath, Outputs};
use rustix::fs::{Mode, OFlags, fchmod, fchown, fsync, mkdirat, openat, renameat, symlinkat};
use rustix::io::Errno;

use super::place::{DIRECTORY, Place};
use super::{Access, UnitError, UnitName, sweep};

const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
const PRIVATE_DIRECTORY: Mode = Mode::RWXU;

/// A whole unit to which no link leads.
pub(super) struct Staged<'p> {
    place: &'p Place,
    name: UnitName,
    is_published: bool,
}

impl<'p> Staged<'p> {
    /// Writes all files and waits until they are on the disk.
    pub(super) fn write(
        place: &'p Place,
        name: UnitName,
        outputs: &Outputs,
        access: &Access,
    ) -> Result<Self, UnitError> {
        mkdirat(&place.container, name.to_string(), PRIVATE_DIRECTORY)
            .map_err(|error| place.error("make", &name.to_string(), error))?;
        let staged = Self { place, name, is_published: false };
        let root = openat(&place.container, name.to_string(), DIRECTORY, Mode::empty());
        let root = root.map_err(|error| staged.error("open", "", error))?;
        // By path, so that each comes after the one that it is in.
        let mut directories = BTreeMap::new();
        for (path, contents) in &outputs.files {
            let directory = staged.directory_of(&root, &mut directories, path)?;
            staged.file(directory, path, contents.expose(), access)?;
        }
        for (path, directory) in directories.iter().rev() {
            staged.finish(directory, path, access)?;
        }
        staged.finish(&root, "", access)?;
        place.sync_units()?;
        Ok(staged)
    }

    /// The directory that a file goes to, made if need be.
    fn directory_of<'d>(
        &self,
        root: &'d OwnedFd,
        directories: &'d mut BTreeMap<String, OwnedFd>,
        path: &OutputPath,
    ) -> Result<&'d OwnedFd, UnitError> {
        let Some((folder, _)) = path.as_str().rsplit_once('/') else { return Ok(root) };
        let mut way = String::new();
        for name in folder.split('/') {
            let above = if way.is_empty() { root } else { directories.get(&way).unwrap_or(root) };
            let here = if way.is_empty() { name.to_owned() } else { format!("{way}/{name}") };
            if !directories.contains_key(&here) {
                let failed = |error| match (error, here.parse()) {
                    (Errno::EXIST, Ok(file)) => UnitError::Collision(file),
                    (error, _) => self.error("make", &here, error),
                };
                mkdirat(above, name, PRIVATE_DIRECTORY).map_err(failed)?;
                let made = openat(above, name, DIRECTORY, Mode::empty()).map_err(failed)?;
                directories.insert(here.clone(), made);
            }
            way = here;
        }
        Ok(directories.get(&way).unwrap_or(root))
    }

    fn file(&self, directory: &OwnedFd, path: &OutputPath, contents: &[u8], access: &Access) -> Result<(), UnitError> {
        let name = path.names().last().unwrap_or_default();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(directory, name, flags, PRIVATE);
        let file = file.map_err(|error| self.error("write", path.as_str(), error))?;
        let mut file = File::from(file);
        let failed = |error| UnitError::of_io("write", &self.path(path.as_str()), error);
        file.write_all(contents).map_err(failed)?;
        self.hand_over(&file, path.as_str(), access, access.mode.of_files())?;
        file.sync_all().map_err(failed)
    }

    fn finish(&self, directory: &OwnedFd, path: &str, access: &Access) -> Result<(), UnitError> {
        self.hand_over(directory, path, access, access.mode.of_directories())?;
        fsync(directory).map_err(|error| self.error("sync", path, error))
    }

    /// Owner first: a change of it takes bits of the mode away.
    fn hand_over(
        &self,
        file: impl std::os::fd::AsFd,
        path: &str,
        access: &Access,
        mode: Mode,
    ) -> Result<(), UnitError> {
        if access.owner.is_some() || access.group.is_some() {
            fchown(&file, access.owner, access.group)
                .map_err(|error| self.error("change the owner of", path, error))?;
        }
        fchmod(&file, mode).map_err(|error| self.error("change the mode of", path, error))
    }

    /// Leads the link here: from one moment to the next, and for good when this returns.
    pub(super) fn publish(mut self, random: &dyn SecureRandom) -> Result<(), UnitError> {
        let place = self.place;
        let link = sweep::link_name(UnitName::new(self.name.number(), random)?);
        symlinkat(place.target(self.name), &place.container, &link)
            .map_err(|error| place.error("make", &link, error))?;
        // A link that stays behind is removed by the next sweep.
        renameat(&place.container, &link, &place.directory, place.link_name())
            .map_err(|error| UnitError::of_system("switch", &place.link, error))?;
        // Seen from now on, whether or not the disk takes it.
        self.is_published = true;
        place.sync_link()?;
        place.sync_units()
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.place.path.join(self.name.to_string()).join(Path::new(path))
    }

    fn error(&self, doing: &'static str, path: &str, error: Errno) -> UnitError {
        UnitError::of_system(doing, &self.path(path), error)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.is_published
            && let Err(error) = sweep::remove(&self.place.container, &self.name.to_string())
        {
            tracing::warn!(%error, "a unit that was not published could not be removed; the next start does it");
        }
    }
}
