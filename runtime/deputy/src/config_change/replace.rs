//! Replacing a configuration file: whole or not at all, with its owner, group and mode.

use std::io;
use std::path::Path;

use deputy_files::{FileRead, StagedFile, ambient, read_regular, sys};
use rustix::fs::{Gid, Mode, Uid, fchmod, fchown};

use crate::error::CommandError;
use crate::exit::Exit;

/// Writes `new`, if the file still has the text `old`.
pub(super) fn replace(path: &Path, old: &str, new: &str) -> Result<(), CommandError> {
    let failed = |error: io::Error| {
        CommandError::new(Exit::Failed, format!("{}: {error}", path.display()))
            .context("cannot write the configuration")
    };
    // The file that a link leads to is replaced, not the link.
    let path = path.canonicalize().map_err(failed)?;
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidFilename.into());
    let name = name.map_err(failed)?;
    let access = ambient::access(&path).map_err(failed)?;
    let dir = ambient::open_parent(&path).map_err(failed)?;
    let mut staged = StagedFile::write(&dir, ".deputy.", new.as_bytes()).map_err(failed)?;
    let file = staged.file();
    fchown(&*file, Some(Uid::from_raw(access.owner)), Some(Gid::from_raw(access.group)))
        .map_err(|e| failed(e.into()))?;
    fchmod(&*file, Mode::from_raw_mode(access.mode & 0o7777)).map_err(|error| failed(error.into()))?;
    file.sync_all().map_err(failed)?;
    // Of two commands at a time, the second one finds a changed file. Some file systems lock no folders, and go without.
    if matches!(sys::try_lock(&dir), Ok(false)) {
        let error = format!("{} is being written by another command: try again", path.display());
        return Err(CommandError::new(Exit::Failed, error));
    }
    if !matches!(read_regular(&dir, name, old.len()).map_err(failed)?, FileRead::Bytes(found) if found == old.as_bytes())
    {
        let error = format!("{} changed meanwhile: nothing was written; try again", path.display());
        return Err(CommandError::new(Exit::Failed, error));
    }
    staged.publish(name).and_then(|()| sys::sync_dir(&dir)).map_err(failed)
}
