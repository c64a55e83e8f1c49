//! Components of receivers that the coordinator gave out, by their digest, so that each is fetched once and a worker
//! starts while the coordinator is down.
//!
//! What is read is compared with the digest that it is asked by, each time: who could write to the file could not write
//! another component.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use deputy_core::{ByteSize, Digest};
use deputy_store::{Content, Folder, Random, StoreError};

/// The largest component. A Python one has 40 MiB.
pub const MAX_COMPONENT: ByteSize = ByteSize::mib(256);

const END: &str = ".wasm";

/// A folder of components. Cheap to clone.
#[derive(Clone)]
pub struct Components {
    folder: Arc<Folder>,
    path: PathBuf,
    random: Random,
}

/// A component is not kept.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// By the disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody sent another one.
    #[error("what was sent has the digest {found}, not {asked}: it is not used")]
    Digest {
        /// The one that was asked for.
        asked: Digest,
        /// The one of what came.
        found: Digest,
    },
    /// A task panicked.
    #[error("the work on a component panicked: this is a bug, please report it")]
    Panicked,
}

impl Components {
    /// Those in a directory, which is made if it is not there, and is nobody else's.
    ///
    /// # Errors
    /// If it can't be used.
    pub async fn open(path: PathBuf, random: Random) -> Result<Self, ComponentError> {
        blocking(move || {
            let folder = Folder::open(&path)?;
            folder.clean()?;
            Ok(Self { folder: Arc::new(folder), path, random })
        })
        .await
    }

    /// A component, if it is kept. One that is damaged is removed.
    ///
    /// # Errors
    /// If the disk fails.
    pub async fn load(&self, digest: Digest) -> Result<Option<Vec<u8>>, ComponentError> {
        let own = self.clone();
        blocking(move || {
            let name = file(digest);
            match own.folder.read(&name, MAX_COMPONENT.as_usize())? {
                Content::Absent => Ok(None),
                Content::Bytes(bytes) if digest_of(&bytes) == digest => Ok(Some(bytes)),
                Content::Bytes(_) | Content::Damaged(_) => {
                    let file = own.path.join(&name);
                    tracing::warn!(file = %file.display(), "a component that was kept is damaged: it is fetched again");
                    own.folder.remove(&name)?;
                    Ok(None)
                }
            }
        })
        .await
    }

    /// Where the component of a digest is, if it is kept. Who reads it compares its digest.
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.path.join(file(digest))
    }

    /// Keeps a component.
    ///
    /// # Errors
    /// If it has another digest, or can't be written.
    pub async fn keep(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), ComponentError> {
        let own = self.clone();
        blocking(move || match digest_of(&bytes) {
            found if found == digest => Ok(own.folder.write(&file(digest), &bytes, &*own.random)?),
            found => Err(ComponentError::Digest { asked: digest, found }),
        })
        .await
    }

    /// Removes those that are no longer bound.
    ///
    /// # Errors
    /// If one can't be removed.
    pub async fn prune(&self, bound: BTreeSet<Digest>) -> Result<(), ComponentError> {
        let own = self.clone();
        blocking(move || {
            for name in own.folder.names()? {
                let digest = name.strip_suffix(END).and_then(|digits| digits.parse::<Digest>().ok());
                if digest.is_some_and(|digest| !bound.contains(&digest)) {
                    own.folder.remove(&name)?;
                }
            }
            Ok(())
        })
        .await
    }
}

fn file(digest: Digest) -> String {
    format!("{digest}{END}")
}

/// The SHA-256 of a component.
pub fn digest_of(bytes: &[u8]) -> Digest {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut array = [0; 32];
    array.copy_from_slice(digest.as_ref());
    Digest::new(array)
}

#[expect(clippy::disallowed_methods, reason = "it can't be cancelled; it reads or writes one file")]
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ComponentError> + Send + 'static,
) -> Result<T, ComponentError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(ComponentError::Panicked))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::testing::{put, random};

    async fn open(path: PathBuf) -> Components {
        Components::open(path, random()).await.unwrap()
    }

    #[tokio::test]
    async fn a_component_is_kept_and_given_out_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("components");
        let components = open(path.clone()).await;
        let digest = digest_of(b"component");
        assert_eq!(components.load(digest).await.unwrap(), None);
        components.keep(digest, b"component".to_vec()).await.unwrap();
        assert_eq!(open(path.clone()).await.load(digest).await.unwrap().unwrap(), b"component");
        let file = path.join(format!("{digest}.wasm"));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        components.prune(BTreeSet::from([digest])).await.unwrap();
        assert!(file.exists());
        components.prune(BTreeSet::new()).await.unwrap();
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn another_component_is_neither_kept_nor_given_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("components");
        let components = open(path.clone()).await;
        let digest = digest_of(b"component");
        let error = components.keep(digest, b"hostile".to_vec()).await.unwrap_err();
        assert!(matches!(error, ComponentError::Digest { asked, .. } if asked == digest), "{error}");
        let file = path.join(format!("{digest}.wasm"));
        assert!(!file.exists());
        for harm in [&b"hostile"[..], b"", b"componen"] {
            components.keep(digest, b"component".to_vec()).await.unwrap();
            put(&file, harm);
            assert_eq!(components.load(digest).await.unwrap(), None);
            assert!(!file.exists(), "it is fetched again");
        }
        std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
        assert_eq!(components.load(digest).await.unwrap(), None);
        assert!(fs::symlink_metadata(&file).is_err());
    }
}
