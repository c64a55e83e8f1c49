//! A unit that is being written. Nobody is led to it yet, and it is removed unless it is published.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use aws_lc_rs::rand::SecureRandom;
use deputy_core::{OutputPath, Outputs};
use rustix::fs::{Mode, OFlags, fchmod, fchown, fsync, mkdirat, openat, renameat, symlinkat};
use rustix::io::Errno;

use super::publish_dir::{DIRECTORY, PublishDir};
use super::{FileAccess, PublishError, UnitName, gc};

const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
const PRIVATE_DIRECTORY: Mode = Mode::RWXU;

/// A whole unit to which no link leads.
pub(super) struct StagedUnit<'p> {
    place: &'p PublishDir,
    name: UnitName,
    is_published: bool,
}

/// A directory on the way to the file that is being written.
struct Directory {
    /// In the unit.
    path: String,
    descriptor: OwnedFd,
}

impl Directory {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

impl<'p> StagedUnit<'p> {
    /// Writes all files and waits until they are on the disk.
    pub(super) fn write(
        place: &'p PublishDir,
        name: UnitName,
        outputs: &Outputs,
        access: &FileAccess,
    ) -> Result<Self, PublishError> {
        mkdirat(&place.container, name.to_string(), PRIVATE_DIRECTORY)
            .map_err(|error| place.error("make", &name.to_string(), error))?;
        let staged = Self { place, name, is_published: false };
        let root = openat(&place.container, name.to_string(), DIRECTORY, Mode::empty());
        let root = root.map_err(|error| staged.error("open", "", error))?;
        // By path, so that all files of a directory come one after the other.
        let mut open = Vec::new();
        for (path, contents) in &outputs.files {
            staged.enter(&root, &mut open, path, access)?;
            let directory = open.last().map_or(&root, |inner| &inner.descriptor);
            staged.file(directory, path, contents.expose(), access)?;
        }
        staged.leave(&mut open, 0, access)?;
        staged.finish(&root, "", access)?;
        place.sync_units()?;
        Ok(staged)
    }

    /// Makes the directory that a file goes to, and finishes those that it is not in: only those on the way to the file
    /// are open.
    fn enter(
        &self,
        root: &OwnedFd,
        open: &mut Vec<Directory>,
        file: &OutputPath,
        access: &FileAccess,
    ) -> Result<(), PublishError> {
        let folder = file.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
        let names: Vec<&str> = folder.split('/').filter(|name| !name.is_empty()).collect();
        let common = open.iter().zip(&names).take_while(|(inner, name)| inner.name() == **name).count();
        self.leave(open, common, access)?;
        for name in names.into_iter().skip(common) {
            let (above, path) = match open.last() {
                Some(inner) => (&inner.descriptor, format!("{}/{name}", inner.path)),
                None => (root, name.to_owned()),
            };
            let failed = |error| match (error, path.parse()) {
                (Errno::EXIST, Ok(file)) => PublishError::Collision(file),
                (error, _) => self.error("make", &path, error),
            };
            mkdirat(above, name, PRIVATE_DIRECTORY).map_err(failed)?;
            let descriptor = openat(above, name, DIRECTORY, Mode::empty()).map_err(failed)?;
            open.push(Directory { path, descriptor });
        }
        Ok(())
    }

    /// Finishes all open directories but the outermost `kept`, the innermost first.
    fn leave(&self, open: &mut Vec<Directory>, kept: usize, access: &FileAccess) -> Result<(), PublishError> {
        while open.len() > kept {
            if let Some(Directory { path, descriptor }) = open.pop() {
                self.finish(&descriptor, &path, access)?;
            }
        }
        Ok(())
    }

    fn file(
        &self,
        directory: &OwnedFd,
        path: &OutputPath,
        contents: &[u8],
        access: &FileAccess,
    ) -> Result<(), PublishError> {
        let name = path.names().last().unwrap_or_default();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(directory, name, flags, PRIVATE);
        let file = file.map_err(|error| self.error("write", path.as_str(), error))?;
        let mut file = File::from(file);
        let failed = |error| PublishError::of_io("write", &self.path(path.as_str()), error);
        file.write_all(contents).map_err(failed)?;
        self.hand_over(&file, path.as_str(), access, access.of_files())?;
        file.sync_all().map_err(failed)
    }

    fn finish(&self, directory: &OwnedFd, path: &str, access: &FileAccess) -> Result<(), PublishError> {
        self.hand_over(directory, path, access, access.of_directories())?;
        fsync(directory).map_err(|error| self.error("sync", path, error))
    }

    /// Owner first: a change of it takes bits of the mode away.
    fn hand_over(
        &self,
        file: impl std::os::fd::AsFd,
        path: &str,
        access: &FileAccess,
        mode: Mode,
    ) -> Result<(), PublishError> {
        if access.owner.is_some() || access.group.is_some() {
            fchown(&file, access.owner, access.group)
                .map_err(|error| self.error("change the owner of", path, error))?;
        }
        fchmod(&file, mode).map_err(|error| self.error("change the mode of", path, error))
    }

    /// Leads the link here: from one moment to the next, and for good when this returns.
    pub(super) fn publish(mut self, random: &dyn SecureRandom) -> Result<(), PublishError> {
        let place = self.place;
        let link = gc::link_name(UnitName::new(self.name.number(), random)?);
        symlinkat(place.target(self.name), &place.container, &link)
            .map_err(|error| place.error("make", &link, error))?;
        // A link that stays behind is removed by the next sweep.
        renameat(&place.container, &link, &place.directory, place.link_name())
            .map_err(|error| PublishError::of_system("switch", &place.link, error))?;
        // Seen from now on, whether or not the disk takes it.
        self.is_published = true;
        place.sync_link()?;
        place.sync_units()
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.place.path.join(self.name.to_string()).join(Path::new(path))
    }

    fn error(&self, doing: &'static str, path: &str, error: Errno) -> PublishError {
        PublishError::of_system(doing, &self.path(path), error)
    }
}

impl Drop for StagedUnit<'_> {
    fn drop(&mut self) {
        if !self.is_published
            && let Err(error) = gc::remove(&self.place.container, &self.name.to_string())
        {
            tracing::warn!(%error, "removing an unpublished unit failed; the next start retries");
        }
    }
}
