//! The file that a payload is written to: whole or not at all, for its owner alone.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use deputy_files::{FileError, StagedFile, ambient, sys};

/// A file that is ready to take a payload. If it is dropped without one, it is removed.
#[derive(Debug)]
pub(crate) struct PayloadFile {
    path: PathBuf,
    name: String,
    dir: Dir,
    staged: StagedFile,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadFileError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{} is not the path of a file", .0.display())]
    Nameless(PathBuf),
}

impl PayloadFile {
    /// Makes sure, before anything is obtained, that the payload can be written.
    pub(crate) fn prepare(path: &Path) -> Result<Self, PayloadFileError> {
        let failed = |error: io::Error| FileError::new("write", path, error);
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(PayloadFileError::Nameless(path.to_owned()));
        };
        let dir = ambient::open_parent(path).map_err(failed)?;
        match dir.symlink_metadata(name) {
            Ok(found) if !found.is_file() => {
                let found = if found.is_symlink() { "a symbolic link" } else { "a directory or device" };
                return Err(FileError::Irregular { path: path.to_owned(), found }.into());
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error).into()),
            _ => {}
        }
        let staged = StagedFile::create(&dir, &format!(".{name}.")).map_err(failed)?;
        Ok(Self { path: path.to_owned(), name: name.to_owned(), dir, staged })
    }

    /// Writes the payload and renames the file to its place; what was there before stays whole until then.
    pub(crate) fn commit(mut self, payload: &[u8]) -> Result<(), PayloadFileError> {
        let file = self.staged.file();
        let written = file.write_all(payload).and_then(|()| file.sync_all());
        let published = written.and_then(|()| self.staged.publish(&self.name)).and_then(|()| sys::sync_dir(&self.dir));
        Ok(published.map_err(|error| FileError::new("write", &self.path, error))?)
    }
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
    use std::os::unix::fs::{PermissionsExt as _, symlink};

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
                matches!(PayloadFile::prepare(path), Err(PayloadFileError::File(FileError::Irregular { .. }))),
                "{}",
                path.display()
            );
        }
        assert!(matches!(PayloadFile::prepare(Path::new("/")), Err(PayloadFileError::Nameless(_))));
        assert!(matches!(
            PayloadFile::prepare(Path::new("/nowhere/token")),
            Err(PayloadFileError::File(FileError::Io { .. }))
        ));
        assert_eq!(names(folder.path()), ["link"]);
    }
}
