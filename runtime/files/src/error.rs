//! Why a file or directory cannot be used, and how to fix it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// A file or directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot {doing} {}: permission denied; give this process's user access to it", path.display())]
    Denied { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is open to other users (mode {mode:04o}): {fix}", path.display())]
    Exposed { path: PathBuf, mode: u32, fix: String },
    #[error("cannot {doing} {}: there is no room; free some space or raise the quota", path.display())]
    Full { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is {found}, not a regular file: give the path of a file", path.display())]
    Irregular { path: PathBuf, found: &'static str },
    #[error("{} is a symbolic link or not a directory: give the path of the directory itself", .0.display())]
    NotADirectory(PathBuf),
    #[error("{} belongs to user {owner}, who could change it: {fix}", path.display())]
    Owner { path: PathBuf, owner: u32, fix: String },
    #[error("cannot {doing} {}: its file system is read-only; mount it writable or choose another path", path.display())]
    ReadOnly { doing: &'static str, path: PathBuf, source: io::Error },
}

impl FileError {
    /// Sorts a system error by what an operator can do about it.
    pub fn new(doing: &'static str, path: &Path, error: impl Into<io::Error>) -> Self {
        let source = error.into();
        let path = path.to_owned();
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Self::Full { doing, path, source },
            Some(Errno::ROFS) => Self::ReadOnly { doing, path, source },
            Some(Errno::ACCESS | Errno::PERM) => Self::Denied { doing, path, source },
            _ => Self::Io { doing, path, source },
        }
    }

    /// Whether the same call fails until an operator changes something. The other errors may pass by themselves.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Exposed { .. } | Self::Irregular { .. } | Self::NotADirectory(_) | Self::Owner { .. } => true,
            Self::Denied { .. } | Self::Full { .. } | Self::Io { .. } | Self::ReadOnly { .. } => false,
        }
    }
}

/// Whether a path leads to no file that this process's user may read, so that reading it fails until an operator changes
/// something.
pub fn is_wrong_path(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), InvalidInput | IsADirectory | NotADirectory | NotFound | PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_error_tells_an_operator_what_to_do() {
        let error = |errno: Errno| FileError::new("write to", Path::new("/state"), errno);
        assert!(matches!(error(Errno::NOSPC), FileError::Full { .. }));
        assert!(matches!(error(Errno::DQUOT), FileError::Full { .. }));
        assert!(matches!(error(Errno::FBIG), FileError::Full { .. }));
        assert!(matches!(error(Errno::ROFS), FileError::ReadOnly { .. }));
        assert!(matches!(error(Errno::ACCESS), FileError::Denied { .. }));
        assert!(matches!(error(Errno::IO), FileError::Io { .. }));
        assert_eq!(error(Errno::IO).to_string(), "cannot write to /state");
    }
}
