//! Whether a unit on the disk is already what would be written: the same files, bytes, modes and owners, and no more.

use std::collections::BTreeSet;
use std::io;

use cap_std::fs::{Dir, File};
use deputy_core::{OutputPath, Outputs};
use deputy_files::{Access, FileOpen, fill, names, open_regular, sys};
use zeroize::Zeroizing;

use super::publish_dir::PublishDir;
use super::{FileAccess, UnitName};

/// Bytes compared at a time.
const CHUNK: usize = 16 << 10;

/// A unit that cannot be read counts as different: it is written again.
pub(super) fn holds(place: &PublishDir, unit: UnitName, outputs: &Outputs, access: &FileAccess) -> bool {
    let root = sys::open_dir(&place.container, &unit.to_string());
    root.is_ok_and(|root| directory_holds(&root, "", outputs, access).unwrap_or(false))
}

fn directory_holds(dir: &Dir, path: &str, outputs: &Outputs, access: &FileAccess) -> io::Result<bool> {
    if !has_access(Access::of(dir)?, access, access.of_directories()) {
        return Ok(false);
    }
    let expected: BTreeSet<&str> = outputs.files.keys().filter_map(|file| child(file, path)).collect();
    let found = names(dir)?;
    if !found.iter().map(String::as_str).collect::<BTreeSet<_>>().eq(&expected) {
        return Ok(false);
    }
    for name in found {
        let inner = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        let contents = inner.parse::<OutputPath>().ok().and_then(|inner| outputs.files.get(&inner));
        let is_same = match contents {
            Some(contents) => file_holds(dir, &name, contents.expose(), access)?,
            None => directory_holds(&sys::open_dir(dir, &name)?, &inner, outputs, access)?,
        };
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}

fn file_holds(dir: &Dir, name: &str, contents: &[u8], access: &FileAccess) -> io::Result<bool> {
    let FileOpen::Regular(file, metadata) = open_regular(dir, name)? else { return Ok(false) };
    Ok(has_access(Access::of(&file)?, access, access.of_files())
        && usize::try_from(metadata.len()) == Ok(contents.len())
        && has_bytes(&file, contents)?)
}

/// The name in a directory on the way to a file.
fn child<'f>(file: &'f OutputPath, directory: &str) -> Option<&'f str> {
    let rest = file.as_str().strip_prefix(directory)?;
    let rest = if directory.is_empty() { rest } else { rest.strip_prefix('/')? };
    rest.split('/').next()
}

fn has_access(found: Access, access: &FileAccess, mode: u32) -> bool {
    let user = access.owner.unwrap_or_else(rustix::process::geteuid).as_raw();
    found.mode == mode
        && found.owner == user
        // Without a configured group, it is the directory's or the process's, as the file system decides.
        && access.group.is_none_or(|group| found.group == group.as_raw())
}

fn has_bytes(file: &File, mut expected: &[u8]) -> io::Result<bool> {
    let mut buffer = Zeroizing::new([0; CHUNK]);
    loop {
        let count = fill(file, buffer.as_mut())?;
        if count == 0 {
            return Ok(expected.is_empty());
        }
        match buffer.get(..count).and_then(|read| expected.strip_prefix(read)) {
            Some(rest) => expected = rest,
            None => return Ok(false),
        }
    }
}
