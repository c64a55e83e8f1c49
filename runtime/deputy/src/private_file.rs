//! Files for payloads, join strings and backups: written whole or not at all, and readable by their owner alone.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use deputy_files::{FileError, StagedFile, ambient, sys};

/// A file that is ready to be written. If it is dropped unwritten, it is removed.
#[derive(Debug)]
pub(crate) struct PrivateFile {
    path: PathBuf,
    name: String,
    dir: Dir,
    staged: StagedFile,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivateFileError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{} exists: name a new file", .0.display())]
    Exists(PathBuf),
    #[error("{} is not the path of a file", .0.display())]
    Nameless(PathBuf),
}

impl PrivateFile {
    /// Called before a payload is obtained, so that none is obtained that cannot be written.
    pub(crate) fn prepare(path: &Path) -> Result<Self, PrivateFileError> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(PrivateFileError::Nameless(path.to_owned()));
        };
        let dir = ambient::open_parent(path).map_err(|error| write_error(path, error))?;
        match dir.symlink_metadata(name) {
            Ok(found) if !found.is_file() => {
                let found = if found.is_symlink() { "a symbolic link" } else { "a directory or device" };
                return Err(FileError::Irregular { path: path.to_owned(), found }.into());
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write_error(path, error).into()),
            _ => {}
        }
        let staged = StagedFile::create(&dir, &format!(".{name}.")).map_err(|error| write_error(path, error))?;
        Ok(Self { path: path.to_owned(), name: name.to_owned(), dir, staged })
    }

    /// Writes the file and renames it to its place. The old file stays until then.
    pub(crate) fn commit(mut self, contents: &[u8]) -> Result<(), PrivateFileError> {
        let file = self.staged.file();
        let written = file.write_all(contents).and_then(|()| file.sync_all());
        let published = written.and_then(|()| self.staged.publish(&self.name)).and_then(|()| sys::sync_dir(&self.dir));
        Ok(published.map_err(|error| write_error(&self.path, error))?)
    }
}

/// Creates a file that must not exist, whole or not at all.
pub(crate) fn create_private_file(path: &Path, contents: &[u8]) -> Result<(), PrivateFileError> {
    created(path, ambient::create_file(path, ".deputy.", contents))
}

/// Creates a file that must not exist, readable by the group of its directory as well.
pub(crate) fn create_group_file(path: &Path, contents: &[u8]) -> Result<(), PrivateFileError> {
    created(path, ambient::create_file_for_group(path, ".deputy.", contents))
}

fn created(path: &Path, result: io::Result<()>) -> Result<(), PrivateFileError> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => PrivateFileError::Exists(path.to_owned()),
        _ => FileError::new("create", path, error).into(),
    })
}

fn write_error(path: &Path, error: io::Error) -> FileError {
    FileError::new("write", path, error)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]
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
    fn private_file_is_private_and_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for payload in [b"one".as_slice(), b"second"] {
            PrivateFile::prepare(&path).unwrap().commit(payload).unwrap();
            assert_eq!(fs::read(&path).unwrap(), payload);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
            assert_eq!(names(folder.path()), ["token"]);
        }
    }

    #[test]
    fn private_file_that_is_created_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.toml");
        create_private_file(&path, b"one").unwrap();
        assert!(matches!(create_private_file(&path, b"two"), Err(PrivateFileError::Exists(found)) if found == path));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(names(folder.path()), ["new.toml"]);
    }

    #[test]
    fn private_file_that_is_not_used_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        drop(PrivateFile::prepare(&folder.path().join("token")).unwrap());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn private_file_replaces_no_link_directory_or_device() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        let target = folder.path().join("target");
        symlink(&target, &link).unwrap();
        for path in [link.as_path(), folder.path(), Path::new("/dev/null")] {
            assert!(
                matches!(PrivateFile::prepare(path), Err(PrivateFileError::File(FileError::Irregular { .. }))),
                "{}",
                path.display()
            );
        }
        assert!(matches!(PrivateFile::prepare(Path::new("/")), Err(PrivateFileError::Nameless(_))));
        assert!(matches!(
            PrivateFile::prepare(Path::new("/nowhere/token")),
            Err(PrivateFileError::File(FileError::Io { .. }))
        ));
        assert_eq!(names(folder.path()), ["link"]);
    }
}
