//! The text of a configuration, and its place.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::diagnostic::ConfigErrors;

const MAX_BYTES: u64 = 1 << 20;

/// Reads the text of a configuration.
pub fn read_text(path: &Path) -> Result<String, ConfigErrors> {
    read_bounded(path).map_err(|source| unreadable(path, source))
}

/// The absolute path of a configuration, so that the paths in it do not depend on the current directory.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, ConfigErrors> {
    std::path::absolute(path).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: io::Error) -> ConfigErrors {
    ConfigErrors::Unreadable { path: path.to_owned(), source }
}

#[expect(clippy::disallowed_methods, reason = "an edge: the operator's file; bounded by `take`")]
fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(MAX_BYTES + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1MiB"));
    }
    Ok(text)
}
