//! Reading a component's file: its digest, and its bytes if they still have that digest.

use std::fs::File;
use std::io::{self, Read, Take};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use deputy_core::{ComponentRef, Digest, Span};
use deputy_files::ambient;
use deputy_support::sha256;

use crate::blocking::blocking;
use crate::component_folders::ComponentFolders;
use crate::load_error::LoadError;

const MAX_COMPONENT: u64 = 256 << 20;

/// How long one read may take.
const READ_TIMEOUT: Span = Span::secs(60);

/// The SHA-256 of a component's file, read within the bounds on size and time that hold when the component is loaded.
///
/// # Errors
/// If the file is not found, or cannot be read within them.
pub async fn component_digest(folders: &ComponentFolders, component: &ComponentRef) -> Result<Digest, LoadError> {
    let path = folders.find(component).await?;
    let file = path.clone();
    in_time(&path, move || digest(&file)).await.map(|(digest, _)| digest)
}

/// Reads beside the runtime's threads, within the time for one read: a hanging file system keeps the thread.
pub(crate) async fn in_time<T: Send + 'static>(
    path: &Path,
    read: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    tokio::time::timeout(READ_TIMEOUT.duration(), blocking(|_| read()))
        .await
        .map_err(|_| LoadError::Hangs { path: path.to_owned(), limit: READ_TIMEOUT })?
}

/// The digest of a file and its size, read through a small buffer: the bytes of a component that is compiled already are
/// not needed.
pub(crate) fn digest(path: &Path) -> Result<(Digest, u64), LoadError> {
    let mut file = open(path)?;
    let mut context = Context::new(&SHA256);
    let mut size = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                context.update(buffer.get(..count).unwrap_or_default());
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(LoadError::Read { path: path.to_owned(), source }),
        }
    }
    if size > MAX_COMPONENT {
        return Err(LoadError::Size { path: path.to_owned() });
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok((Digest::new(digest), size))
}

/// The bytes of a file that has this digest: the file may have changed since [`digest`] read it.
pub(crate) fn read(path: &Path, digest: Digest) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
    open(path)?.read_to_end(&mut bytes).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    if sha256(&bytes) == digest { Ok(bytes) } else { Err(LoadError::Changed { path: path.to_owned() }) }
}

/// A file, cut one byte after the limit: a longer one is recognised and not read. A fifo would never end, and a device
/// has no length.
fn open(path: &Path) -> Result<Take<File>, LoadError> {
    let file = ambient::open_file(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    let metadata = file.metadata().map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    if !metadata.is_file() {
        return Err(LoadError::Irregular { path: path.to_owned() });
    }
    if metadata.len() > MAX_COMPONENT {
        return Err(LoadError::Size { path: path.to_owned() });
    }
    Ok(file.take(MAX_COMPONENT + 1))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn component_digest_covers_the_whole_file() {
        for size in [0, 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 300_000] {
            let bytes: Vec<u8> = (0..size).map(|n: u32| n.to_le_bytes()[1]).collect();
            let file = file(&bytes);
            let expected = sha256(&bytes);
            assert_eq!(digest(file.path()).unwrap(), (expected, u64::from(size)));
            assert_eq!(read(file.path(), expected).unwrap(), bytes);
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(file(b"").path()).unwrap().0.to_string(), empty);
    }

    #[test]
    fn component_that_changed_since_its_digest_is_not_read() {
        let mut file = file(b"the first version");
        let (before, _) = digest(file.path()).unwrap();
        file.write_all(b", and then more").unwrap();
        assert!(matches!(read(file.path(), before), Err(LoadError::Changed { .. })));
    }

    #[test]
    fn component_is_too_large_one_byte_over_the_limit() {
        let file = file(b"");
        file.as_file().set_len(MAX_COMPONENT).unwrap();
        assert_eq!(digest(file.path()).unwrap().1, MAX_COMPONENT);
        file.as_file().set_len(MAX_COMPONENT + 1).unwrap();
        assert!(matches!(digest(file.path()), Err(LoadError::Size { .. })));
    }

    #[tokio::test]
    async fn component_that_is_a_device_or_a_fifo_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        for path in [Path::new("/dev/zero"), &fifo, folder.path()] {
            let refused = component_digest(&ComponentFolders::default(), &path.to_owned().into()).await;
            assert!(matches!(refused, Err(LoadError::Irregular { .. })), "{}: {refused:?}", path.display());
        }
    }
}
