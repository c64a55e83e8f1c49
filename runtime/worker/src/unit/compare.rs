//! Whether a unit on the disk is already what would be written: the same files, bytes, modes and owners, and no more.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;

use deputy_core::{OutputPath, Outputs};
use rustix::fs::{Mode, OFlags, Stat, fstat, openat};
use zeroize::Zeroizing;

use super::publish_dir::{DIRECTORY, PublishDir, names};
use super::{FileAccess, UnitName};

/// At a time.
const CHUNK: usize = 16 << 10;

/// What can't be read is not the same: it is written anew.
pub(super) fn holds(place: &PublishDir, unit: UnitName, outputs: &Outputs, access: &FileAccess) -> bool {
    let root = openat(&place.container, unit.to_string(), DIRECTORY, Mode::empty());
    root.is_ok_and(|root| directory(&root, "", outputs, access).unwrap_or(false))
}

fn directory(here: &OwnedFd, path: &str, outputs: &Outputs, access: &FileAccess) -> std::io::Result<bool> {
    if !has_access(&fstat(here)?, access, access.of_directories()) {
        return Ok(false);
    }
    let expected: BTreeSet<&str> = outputs.files.keys().filter_map(|file| child(file, path)).collect();
    let found = names(here)?;
    if !found.iter().map(String::as_str).collect::<BTreeSet<_>>().eq(&expected) {
        return Ok(false);
    }
    for name in found {
        let inner = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        let file = inner.parse::<OutputPath>().ok().and_then(|inner| outputs.files.get(&inner));
        let is_same = match file {
            Some(contents) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = File::from(openat(here, &name, flags, Mode::empty())?);
                let stat = fstat(&file)?;
                has_access(&stat, access, access.of_files())
                    && file.metadata()?.is_file()
                    && usize::try_from(stat.st_size) == Ok(contents.len())
                    && has_bytes(file, contents.expose())?
            }
            None => directory(&openat(here, &name, DIRECTORY, Mode::empty())?, &inner, outputs, access)?,
        };
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The name in a directory on the way to a file.
fn child<'f>(file: &'f OutputPath, directory: &str) -> Option<&'f str> {
    let rest = file.as_str().strip_prefix(directory)?;
    let rest = if directory.is_empty() { rest } else { rest.strip_prefix('/')? };
    rest.split('/').next()
}

fn has_access(stat: &Stat, access: &FileAccess, mode: Mode) -> bool {
    let user = access.owner.unwrap_or_else(rustix::process::geteuid).as_raw();
    stat.st_mode & 0o7777 == mode.as_raw_mode()
        && stat.st_uid == user
        // Without one of the configuration it is the directory's or the process's, as the file system likes.
        && access.group.is_none_or(|group| stat.st_gid == group.as_raw())
}

fn has_bytes(mut file: File, mut expected: &[u8]) -> std::io::Result<bool> {
    let mut room = Zeroizing::new([0; CHUNK]);
    loop {
        let count = match file.read(room.as_mut()) {
            Ok(0) => return Ok(expected.is_empty()),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match room.get(..count).and_then(|read| expected.strip_prefix(read)) {
            Some(rest) => expected = rest,
            None => return Ok(false),
        }
    }
}
