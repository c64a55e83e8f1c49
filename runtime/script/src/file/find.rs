//! The tests of a folder.

use std::path::{Path, PathBuf};

use crate::script_error::ScriptError;

/// The end of a test's name.
const SUFFIX: &str = ".test.toml";
/// Folders within folders.
const MAX_DEPTH: usize = 8;
/// Entries of folders that are looked at.
const MAX_ENTRIES: usize = 20_000;
/// What tools build.
const SKIPPED: [&str; 2] = ["node_modules", "target"];

/// A file itself, or the tests in a folder and below it, by name. What begins with a dot and what tools build is left out.
///
/// # Errors
/// If a folder cannot be read, has no test, or is too large to be looked through.
pub fn find_scripts(path: &Path) -> Result<Vec<PathBuf>, ScriptError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut left = MAX_ENTRIES;
    collect(path, MAX_DEPTH, &mut left, &mut found)?;
    found.sort();
    if found.is_empty() { Err(ScriptError::Empty(path.to_owned())) } else { Ok(found) }
}

#[expect(clippy::disallowed_methods, reason = "an edge: the author's folder")]
fn collect(folder: &Path, depth: usize, left: &mut usize, found: &mut Vec<PathBuf>) -> Result<(), ScriptError> {
    let failed = |source| ScriptError::Folder { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let too_large = || ScriptError::TooLarge { path: folder.to_owned(), entries: MAX_ENTRIES, depth: MAX_DEPTH };
        *left = left.checked_sub(1).ok_or_else(too_large)?;
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && !name.starts_with('.') && !SKIPPED.contains(&name.as_ref()) {
            let depth = depth.checked_sub(1).ok_or_else(too_large)?;
            collect(&entry.path(), depth, left, found)?;
        } else if !kind.is_dir() && name.ends_with(SUFFIX) {
            found.push(entry.path());
        }
    }
    Ok(())
}
