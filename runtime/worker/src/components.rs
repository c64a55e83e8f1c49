//! Components of receivers that the coordinator sent, by their digest, so that each is fetched once and a worker starts
//! while the coordinator is down.
//!
//! A component is compared with its digest each time that it is read, so a changed file is never run. Components that no
//! receiver is bound to are removed when the coordinator has sent all bindings.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use deputy_core::{ByteSize, Digest, in_one_line};
use deputy_files::{FileError, FileRead, PrivateDir};
use deputy_link::DeliveredState;
use deputy_link::client::{LinkPhase, LinkState};
use deputy_support::{RwLockUnpoisoned as _, sha256, try_blocking};
use tokio::sync::watch;

/// The largest component. A Python one has 40 MiB.
pub const MAX_COMPONENT: ByteSize = ByteSize::mib(256);

const EXTENSION: &str = ".wasm";

/// A directory of components. Cheap to clone.
#[derive(Clone)]
pub struct ComponentStore {
    dir: Arc<PrivateDir>,
    /// Removal takes the write lock, so that a component is never loaded while it is being removed.
    removing: Arc<RwLock<()>>,
}

/// A component cannot be loaded or kept.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the coordinator sent a component with digest {found} instead of {asked}; it is discarded")]
    Digest { asked: Digest, found: Digest },
    #[error("loading a component panicked; this is a bug, please report it")]
    Panicked,
}

impl ComponentStore {
    /// Opens a directory that no other process uses; it is created if it is missing.
    pub async fn open(path: PathBuf) -> Result<Self, ComponentError> {
        blocking(move || {
            let dir = PrivateDir::open(&path)?;
            dir.remove_staged()?;
            Ok(Self { dir: Arc::new(dir), removing: Arc::default() })
        })
        .await
    }

    /// Reads a component, if it is kept. A damaged one is removed.
    pub async fn load(&self, digest: Digest) -> Result<Option<Vec<u8>>, ComponentError> {
        let store = self.clone();
        blocking(move || {
            let _shared = store.removing.read_unpoisoned();
            let name = file_name(digest);
            match store.dir.read(&name, MAX_COMPONENT.as_usize())? {
                FileRead::Absent => Ok(None),
                FileRead::Bytes(bytes) if sha256(&bytes) == digest => Ok(Some(bytes)),
                FileRead::Bytes(_) | FileRead::Unusable(_) => {
                    let file = store.path(digest);
                    tracing::warn!(file = %file.display(), "cached component damaged; fetching it again");
                    store.dir.remove(&name)?;
                    Ok(None)
                }
            }
        })
        .await
    }

    /// Where the component of a digest is, if it is kept. The reader has to compare its digest.
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.dir.path().join(file_name(digest))
    }

    /// Writes a component, unless it has another digest.
    pub async fn keep(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), ComponentError> {
        let store = self.clone();
        blocking(move || {
            let found = sha256(&bytes);
            if found != digest {
                return Err(ComponentError::Digest { asked: digest, found });
            }
            let _shared = store.removing.read_unpoisoned();
            Ok(store.dir.write(&file_name(digest), &bytes)?)
        })
        .await
    }

    /// Removes components that no receiver is bound to, each time after the coordinator has sent a whole snapshot, until the
    /// link ends. Bindings from the cache alone remove nothing.
    pub async fn follow(self, mut held: watch::Receiver<Arc<DeliveredState>>, mut state: watch::Receiver<LinkState>) {
        let mut pruned = None;
        loop {
            // From then on the snapshot is whole.
            if state.wait_for(|state| state.phase == LinkPhase::Connected).await.is_err() {
                return;
            }
            let now = bound(&held.borrow_and_update());
            if pruned.as_ref() != Some(&now) {
                let held = held.clone();
                match self.prune(move || bound(&held.borrow())).await {
                    Ok(()) => pruned = Some(now),
                    Err(error) => {
                        let error = in_one_line(&error);
                        tracing::warn!(error, "removing an unused component failed");
                    }
                }
            }
            if held.changed().await.is_err() {
                return;
            }
        }
    }

    /// Removes components that are not bound. The bindings are read under the lock: a component that is being kept belongs
    /// to a binding that is known by then.
    async fn prune(&self, bound: impl FnOnce() -> BTreeSet<Digest> + Send + 'static) -> Result<(), ComponentError> {
        let store = self.clone();
        blocking(move || {
            let _exclusive = store.removing.write_unpoisoned();
            let bound = bound();
            for name in store.dir.names()? {
                let digest = name.strip_suffix(EXTENSION).and_then(|digits| digits.parse::<Digest>().ok());
                if digest.is_some_and(|digest| !bound.contains(&digest)) {
                    store.dir.remove(&name)?;
                }
            }
            Ok(())
        })
        .await
    }
}

fn bound(held: &DeliveredState) -> BTreeSet<Digest> {
    held.receivers.values().map(|binding| binding.component).collect()
}

fn file_name(digest: Digest) -> String {
    format!("{digest}{EXTENSION}")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ComponentError> + Send + 'static,
) -> Result<T, ComponentError> {
    try_blocking(work).await.unwrap_or(Err(ComponentError::Panicked))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::time::Duration;

    use deputy_core::Timestamp;
    use deputy_link::ReceiverBinding;
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;
    use crate::testing::put;

    async fn open(path: PathBuf) -> ComponentStore {
        ComponentStore::open(path).await.unwrap()
    }

    #[tokio::test]
    async fn components_are_stored_and_loaded_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("components");
        let components = open(path.clone()).await;
        let digest = sha256(b"component");
        assert_eq!(components.load(digest).await.unwrap(), None);
        components.keep(digest, b"component".to_vec()).await.unwrap();
        assert_eq!(open(path.clone()).await.load(digest).await.unwrap().unwrap(), b"component");
        let file = path.join(format!("{digest}.wasm"));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        components.prune(move || BTreeSet::from([digest])).await.unwrap();
        assert!(file.exists());
        components.prune(BTreeSet::new).await.unwrap();
        assert!(!file.exists());
    }

    /// With a receiver of each of these components.
    fn held(components: &[&[u8]]) -> Arc<DeliveredState> {
        let mut held = DeliveredState { complete: true, ..DeliveredState::default() };
        for (number, component) in components.iter().enumerate() {
            let binding = ReceiverBinding {
                component: sha256(component),
                settings: BTreeMap::new(),
                instances: BTreeSet::new(),
                limits: deputy_core::LimitOverrides::default(),
            };
            held.receivers.insert(format!("receiver-{number}").parse().unwrap(), binding);
        }
        Arc::new(held)
    }

    fn state(phase: LinkPhase) -> LinkState {
        let never = Timestamp::from_millis(0);
        LinkState {
            phase,
            address: None,
            addresses: "coordinator:8271".parse().unwrap(),
            since: never,
            last_message: None,
            error: None,
            failures: 0,
            certificate_ends: never,
            refusals: Vec::new(),
        }
    }

    #[tokio::test]
    async fn components_without_a_binding_are_removed_after_a_snapshot() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("components");
        let components = open(path.clone()).await;
        for component in [&b"one"[..], b"two", b"three"] {
            components.keep(sha256(component), component.to_vec()).await.unwrap();
        }
        let there = |component: &[u8]| path.join(format!("{}.wasm", sha256(component))).exists();
        let (holds, held_now) = watch::channel(held(&[b"one", b"two"]));
        let (says, says_now) = watch::channel(state(LinkPhase::Connecting));
        let mut following = JoinSet::new();
        following.spawn(components.clone().follow(held_now, says_now));

        // What was bound before the coordinator was heard is no reason to remove anything.
        assert!(timeout(Duration::from_millis(200), following.join_next()).await.is_err());
        assert!(there(b"one") && there(b"two") && there(b"three"));
        says.send_replace(state(LinkPhase::Connected));
        until(|| !there(b"three")).await;
        assert!(there(b"one") && there(b"two"));
        holds.send_replace(held(&[b"two"]));
        until(|| !there(b"one")).await;
        assert!(there(b"two"));
        // It ends with the link.
        drop(holds);
        timeout(Duration::from_secs(20), following.join_next()).await.unwrap().unwrap().unwrap();
    }

    async fn until(so: impl Fn() -> bool) {
        let waiting = async {
            while !so() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), waiting).await.unwrap();
    }

    #[tokio::test]
    async fn components_with_another_digest_are_neither_stored_nor_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("components");
        let components = open(path.clone()).await;
        let digest = sha256(b"component");
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
