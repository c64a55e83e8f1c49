//! A unit that is being written. No link leads to it yet, and it is removed unless it is published.

use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::PathBuf;

use aws_lc_rs::rand::SecureRandom;
use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, OpenOptions, OpenOptionsExt as _};
use deputy_core::{OutputPath, Outputs};
use deputy_files::{FileError, sys};

use super::publish_dir::PublishDir;
use super::{FileAccess, PublishError, UnitName, gc};

/// A whole unit to which no link leads.
pub(super) struct StagedUnit<'p> {
    place: &'p PublishDir,
    name: UnitName,
    access: &'p FileAccess,
    is_published: bool,
}

/// A directory on the way to the file that is being written.
struct OpenDir {
    /// In the unit.
    path: String,
    dir: Dir,
}

impl OpenDir {
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
        access: &'p FileAccess,
    ) -> Result<Self, PublishError> {
        let directory = name.to_string();
        create_private_dir(&place.container, &directory).map_err(|error| place.error("create", &directory, error))?;
        let staged = Self { place, name, access, is_published: false };
        let root = sys::open_dir(&place.container, &directory).map_err(|error| staged.error("open", "", error))?;
        // In the order of paths, so that all files of a directory are written while it is open.
        let mut open = Vec::new();
        for (path, contents) in &outputs.files {
            staged.enter(&root, &mut open, path)?;
            let dir = open.last().map_or(&root, |inner| &inner.dir);
            staged.write_file(dir, path, contents.expose())?;
        }
        staged.finish_below(&mut open, 0)?;
        staged.finish(&root, "")?;
        place.sync_units()?;
        Ok(staged)
    }

    /// Creates the directory of a file, and finishes those that the file is not in: only those on the way to the file are
    /// open.
    fn enter(&self, root: &Dir, open: &mut Vec<OpenDir>, file: &OutputPath) -> Result<(), PublishError> {
        let folder = file.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
        let names: Vec<&str> = folder.split('/').filter(|name| !name.is_empty()).collect();
        let common = open.iter().zip(&names).take_while(|(inner, name)| inner.name() == **name).count();
        self.finish_below(open, common)?;
        for name in names.into_iter().skip(common) {
            let (above, path) = match open.last() {
                Some(inner) => (&inner.dir, format!("{}/{name}", inner.path)),
                None => (root, name.to_owned()),
            };
            let dir =
                create_private_dir(above, name).and_then(|()| sys::open_dir(above, name)).map_err(|error| {
                    match (error.kind(), path.parse()) {
                        (io::ErrorKind::AlreadyExists, Ok(file)) => PublishError::Collision(file),
                        _ => self.error("create", &path, error),
                    }
                })?;
            open.push(OpenDir { path, dir });
        }
        Ok(())
    }

    /// Finishes all open directories but the outermost `kept`, the innermost first.
    fn finish_below(&self, open: &mut Vec<OpenDir>, kept: usize) -> Result<(), PublishError> {
        while open.len() > kept {
            if let Some(OpenDir { path, dir }) = open.pop() {
                self.finish(&dir, &path)?;
            }
        }
        Ok(())
    }

    fn write_file(&self, dir: &Dir, path: &OutputPath, contents: &[u8]) -> Result<(), PublishError> {
        let failed = |error| self.error("write", path.as_str(), error);
        let name = path.names().last().unwrap_or_default();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).follow(FollowSymlinks::No).mode(0o600);
        let mut file = dir.open_with(name, &options).map_err(failed)?;
        file.write_all(contents).map_err(failed)?;
        self.hand_over(&file, path.as_str(), self.access.of_files())?;
        file.sync_all().map_err(failed)
    }

    fn finish(&self, dir: &Dir, path: &str) -> Result<(), PublishError> {
        self.hand_over(dir, path, self.access.of_directories())?;
        sys::sync_dir(dir).map_err(|error| self.error("sync", path, error))
    }

    /// The owner first: a change of it clears bits of the mode.
    fn hand_over(&self, file: impl AsFd, path: &str, mode: u32) -> Result<(), PublishError> {
        if self.access.owner.is_some() || self.access.group.is_some() {
            sys::set_owner(&file, self.access.owner, self.access.group)
                .map_err(|error| self.error("change the owner of", path, error))?;
        }
        sys::set_mode(&file, mode).map_err(|error| self.error("change the mode of", path, error))
    }

    /// Switches the link to this unit: from one moment to the next, and on the disk when this returns.
    pub(super) fn publish(mut self, random: &dyn SecureRandom) -> Result<(), PublishError> {
        let place = self.place;
        let link = gc::link_name(UnitName::new(self.name.number(), random)?);
        place.container.symlink(place.target(self.name), &link).map_err(|error| place.error("create", &link, error))?;
        // A link that stays behind is removed by the next sweep.
        place.container.rename(&link, &place.directory, place.link_name()).map_err(|error| match error.kind() {
            io::ErrorKind::CrossesDevices => PublishError::Mounted(place.link.clone()),
            _ => FileError::new("switch", &place.link, error).into(),
        })?;
        // Readers see it from now on, whether or not the sync succeeds.
        self.is_published = true;
        place.sync_link()?;
        place.sync_units()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.place.path.join(self.name.to_string()).join(path)
    }

    fn error(&self, doing: &'static str, path: &str, error: io::Error) -> PublishError {
        FileError::new(doing, &self.path(path), error).into()
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

fn create_private_dir(above: &Dir, name: &str) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    above.create_dir_with(name, &builder)
}
