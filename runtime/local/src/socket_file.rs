//! The file of a socket: its mode restricts the peers, and the process that created it removes it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// A socket's file, removed on drop unless another process has replaced it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Option<FileId>,
}

/// Device and inode.
type FileId = (u64, u64);

impl SocketFile {
    /// Listens at a path with this mode. Takes over a socket that a dead process left behind.
    #[expect(
        clippy::disallowed_methods,
        reason = "a socket is bound by its path: cap-std would bind through a path in /proc"
    )]
    pub fn listen(path: &Path, mode: u32) -> io::Result<(UnixListener, Self)> {
        if let Ok(existing) = fs::symlink_metadata(path) {
            if !existing.file_type().is_socket() {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path exists and is not a socket"));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process is listening there"));
            }
            fs::remove_file(path)?;
        }
        // For its owner alone until the mode is set.
        let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(path);
        rustix::process::umask(umask);
        let listener = listener?;
        let file = Self { path: path.to_owned(), identity: file_id(path) };
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        Ok((listener, file))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a socket is bound by its path: cap-std would bind through a path in /proc"
)]
fn file_id(path: &Path) -> Option<FileId> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    #[expect(
        clippy::disallowed_methods,
        reason = "a socket is bound by its path: cap-std would bind through a path in /proc"
    )]
    fn drop(&mut self) {
        if self.identity.is_some() && file_id(&self.path) == self.identity {
            // The next process takes over one that stays.
            fs::remove_file(&self.path).ok();
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn socket_file_has_its_mode_and_goes_with_its_listener() {
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
    async fn socket_file_takes_over_a_dead_socket_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (_listener, first) = SocketFile::listen(&path, 0o600).unwrap();
        fs::remove_file(&path).unwrap();
        let (_other, second) = SocketFile::listen(&path, 0o600).unwrap();
        drop(first);
        assert!(path.exists(), "the next process's socket stays");
        drop(second);
        #[expect(clippy::disallowed_methods, reason = "a file that only this test reads")]
        fs::write(&path, "a file").unwrap();
        assert_eq!(SocketFile::listen(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }
}
