//! The file that a payload is written to: whole or not at all, for its owner alone.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that is ready to take a payload. Dropped without one, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct PayloadFile {
    path: PathBuf,
    directory: File,
    file: NamedTempFile,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadFileError {
    #[error("{} exists and is not a regular file", path.display())]
    Irregular { path: PathBuf },
    #[error("{} is not the path of a file", path.display())]
    Nameless { path: PathBuf },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl PayloadFile {
    /// Opens it before anything is obtained, so that no payload is obtained that cannot be written.
    pub(crate) fn prepare(path: &Path) -> Result<Self, PayloadFileError> {
        let Some(name) = path.file_name().and_then(OsStr::to_str) else {
            return Err(PayloadFileError::Nameless { path: path.to_owned() });
        };
        match path.symlink_metadata() {
            Ok(metadata) if !metadata.is_file() => {
                return Err(PayloadFileError::Irregular { path: path.to_owned() });
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write_error(path, error)),
            _ => {}
        }
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let directory = File::open(parent).map_err(|error| write_error(path, error))?;
        let file = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(parent)
            .map_err(|error| write_error(path, error))?;
        Ok(Self { path: path.to_owned(), directory, file })
    }

    /// Writes the payload and renames the file. What was there before stays whole until then.
    pub(crate) fn commit(self, payload: &[u8]) -> Result<(), PayloadFileError> {
        let path = self.path.clone();
        self.write(payload).map_err(|error| write_error(&path, error))
    }

    fn write(mut self, payload: &[u8]) -> io::Result<()> {
        self.file.write_all(payload)?;
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path)?;
        self.directory.sync_all()
    }
}

fn write_error(path: &Path, source: io::Error) -> PayloadFileError {
    PayloadFileError::Write { path: path.to_owned(), source }
}

/// The size of a payload, and where it is.
pub(crate) fn payload_text(bytes: usize, file: Option<&Path>) -> String {
    match file {
        Some(path) => format!("{bytes} bytes, in {}", path.display()),
        None => format!("{bytes} bytes, not shown: --reveal prints them, --out FILE writes them to a file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn payload_file_is_private_and_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for payload in [b"one".as_slice(), b"second"] {
            PayloadFile::prepare(&path).unwrap().commit(payload).unwrap();
            assert_eq!(fs::read(&path).unwrap(), payload);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
            assert_eq!(names(folder.path()), ["token"]);
        }
    }

    #[test]
    fn payload_file_that_is_not_used_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        drop(PayloadFile::prepare(&folder.path().join("token")).unwrap());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn payload_file_replaces_no_link_directory_or_device() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        symlink(&target, &link).unwrap();
        for path in [link.as_path(), folder.path(), Path::new("/dev/null")] {
            assert!(
                matches!(PayloadFile::prepare(path), Err(PayloadFileError::Irregular { .. })),
                "{}",
                path.display()
            );
        }
        assert!(matches!(PayloadFile::prepare(Path::new("/")), Err(PayloadFileError::Nameless { .. })));
        assert!(matches!(PayloadFile::prepare(Path::new("/nowhere/token")), Err(PayloadFileError::Write { .. })));
        assert_eq!(names(folder.path()), ["link"]);
    }
}
