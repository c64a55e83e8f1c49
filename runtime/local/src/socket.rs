//! The file of a socket: made for those who may use it, and removed by those who made it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// A socket's file, which goes with this value: unless the next process has put its own there already.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    /// Listens at a path, open to those whom the mode lets in. A socket that a process left behind which is gone is taken
    /// over.
    ///
    /// # Errors
    /// If another process listens there, something else is there, or the system refuses.
    pub fn listen(path: &Path, mode: u32) -> io::Result<(UnixListener, Self)> {
        if let Ok(there) = fs::symlink_metadata(path) {
            if !there.file_type().is_socket() {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else than a socket is there"));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
            }
            fs::remove_file(path)?;
        }
        // Made where nobody else can come, and opened to others then, if at all.
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = listener?;
        let file = Self { path: path.to_owned(), identity: identity(path) };
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        Ok((listener, file))
    }
}

/// Which file is at a path.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|there| (there.dev(), there.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // One that stays is in nobody's way.
            drop(fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_there_as_long_as_somebody_listens_for_those_who_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        for mode in [0o600, 0o660] {
            let (_listener, file) = SocketFile::listen(&path, mode).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
            assert_eq!(SocketFile::listen(&path, mode).unwrap_err().kind(), io::ErrorKind::AddrInUse);
            drop(file);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn what_was_left_behind_is_taken_over_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (_listener, first) = SocketFile::listen(&path, 0o600).unwrap();
        fs::remove_file(&path).unwrap();
        let (_other, second) = SocketFile::listen(&path, 0o600).unwrap();
        drop(first);
        assert!(path.exists(), "the next process's own stays");
        drop(second);
        #[expect(clippy::disallowed_methods, reason = "a file that only this test reads")]
        fs::write(&path, "a file").unwrap();
        assert_eq!(SocketFile::listen(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }
}
