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
    folder: File,
    file: NamedTempFile,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadFileError {
    /// Something else than a file is there.
    #[error("{} exists and is not a regular file", path.display())]
    Irregular { path: PathBuf },
    /// The path does not name a file.
    #[error("{} is not the path of a file", path.display())]
    Nameless { path: PathBuf },
    /// Writing failed.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl PayloadFile {
    /// Makes sure, before anything is obtained, that the payload will have a place.
    pub(crate) fn prepare(path: &Path) -> Result<Self, PayloadFileError> {
        let path = path.to_owned();
        let failed = |source| PayloadFileError::Write { path: path.clone(), source };
        let Some(name) = path.file_name().and_then(OsStr::to_str) else {
            return Err(PayloadFileError::Nameless { path });
        };
        match path.symlink_metadata() {
            Ok(there) if !there.is_file() => return Err(PayloadFileError::Irregular { path }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let opened = File::open(&folder).map_err(failed)?;
        let prefix = format!(".{name}.");
        let mode = Permissions::from_mode(0o600);
        let file = tempfile::Builder::new().prefix(&prefix).permissions(mode).tempfile_in(&folder).map_err(failed)?;
        Ok(Self { path, folder: opened, file })
    }

    /// Writes the payload and puts it in its place; what was there before stays whole until then.
    pub(crate) fn commit(self, payload: &[u8]) -> Result<(), PayloadFileError> {
        let Self { path, folder, mut file } = self;
        let write = || -> io::Result<()> {
            file.write_all(payload)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            folder.sync_all()
        };
        write().map_err(|source| PayloadFileError::Write { path, source })
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
    fn a_payload_is_for_its_owner_alone_and_replaces_what_was_there() {
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
    fn what_was_prepared_and_not_used_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        drop(PayloadFile::prepare(&folder.path().join("token")).unwrap());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_link_a_folder_or_a_device_is_left_alone() {
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
