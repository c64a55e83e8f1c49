//! Components of receivers that the coordinator gave out, by their digest, so that each is fetched once and a worker
//! starts while the coordinator is down.
//!
//! What is read is compared with the digest that it is asked by, each time: who could write to the file could not write
//! another component. What nothing is bound to any more is removed when the coordinator has said what is.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use deputy_core::{ByteSize, Digest, in_one_line};
use deputy_link::WorkerState;
use deputy_link::client::{LinkPhase, LinkState};
use deputy_store::{Folder, FolderEntry, Random, StoreError};
use tokio::sync::watch;

/// The largest component. A Python one has 40 MiB.
pub const MAX_COMPONENT: ByteSize = ByteSize::mib(256);

const END: &str = ".wasm";

/// A folder of components. Cheap to clone.
#[derive(Clone)]
pub struct ComponentStore {
    folder: Arc<Folder>,
    path: PathBuf,
    random: Random,
    /// Who removes is alone here, so that nobody finds what is being removed.
    removing: Arc<RwLock<()>>,
}

/// A component is not kept.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// By the disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody sent another one.
    #[error("the coordinator sent a component with digest {found} instead of {asked}; it is discarded")]
    Digest {
        /// The one that was asked for.
        asked: Digest,
        /// The one of what came.
        found: Digest,
    },
    /// A task panicked.
    #[error("loading a component panicked; this is a bug, please report it")]
    Panicked,
}

impl ComponentStore {
    /// Those in a directory, which is made if it is not there, and is nobody else's.
    ///
    /// # Errors
    /// If it can't be used.
    pub async fn open(path: PathBuf, random: Random) -> Result<Self, ComponentError> {
        blocking(move || {
            let folder = Folder::open(&path)?;
            folder.clean()?;
            Ok(Self { folder: Arc::new(folder), path, random, removing: Arc::default() })
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
            let _there = own.removing.read().unwrap_or_else(PoisonError::into_inner);
            let name = file(digest);
            match own.folder.read(&name, MAX_COMPONENT.as_usize())? {
                FolderEntry::Absent => Ok(None),
                FolderEntry::Bytes(bytes) if digest_of(&bytes) == digest => Ok(Some(bytes)),
                FolderEntry::Bytes(_) | FolderEntry::Damaged(_) => {
                    let file = own.path.join(&name);
                    tracing::warn!(file = %file.display(), "cached component damaged; fetching it again");
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
        blocking(move || {
            let found = digest_of(&bytes);
            if found != digest {
                return Err(ComponentError::Digest { asked: digest, found });
            }
            let _there = own.removing.read().unwrap_or_else(PoisonError::into_inner);
            Ok(own.folder.write(&file(digest), &bytes, &*own.random)?)
        })
        .await
    }

    /// Removes what is no longer bound, each time that the coordinator has said all that is, for as long as the link lasts.
    /// What is known from before alone removes nothing.
    pub async fn follow(self, mut held: watch::Receiver<Arc<WorkerState>>, mut state: watch::Receiver<LinkState>) {
        let mut before = None;
        loop {
            // All that there is was sent when it is connected.
            if state.wait_for(|state| state.phase == LinkPhase::Connected).await.is_err() {
                return;
            }
            let now = bound(&held.borrow_and_update());
            if before.as_ref() != Some(&now) {
                let held = held.clone();
                match self.prune(move || bound(&held.borrow())).await {
                    Ok(()) => before = Some(now),
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

    /// Removes those that are not bound. What is bound is asked when nobody else is here: who came before needs what was
    /// bound then.
    async fn prune(&self, bound: impl FnOnce() -> BTreeSet<Digest> + Send + 'static) -> Result<(), ComponentError> {
        let own = self.clone();
        blocking(move || {
            let _alone = own.removing.write().unwrap_or_else(PoisonError::into_inner);
            let bound = bound();
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

fn bound(held: &WorkerState) -> BTreeSet<Digest> {
    held.receivers.values().map(|binding| binding.component).collect()
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
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::time::Duration;

    use deputy_core::Timestamp;
    use deputy_link::ReceiverBinding;
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;
    use crate::testing::{put, random};

    async fn open(path: PathBuf) -> ComponentStore {
        ComponentStore::open(path, random()).await.unwrap()
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
        components.prune(move || BTreeSet::from([digest])).await.unwrap();
        assert!(file.exists());
        components.prune(BTreeSet::new).await.unwrap();
        assert!(!file.exists());
    }

    /// With a receiver of each of these components.
    fn held(components: &[&[u8]]) -> Arc<WorkerState> {
        let mut held = WorkerState { complete: true, ..WorkerState::default() };
        for (number, component) in components.iter().enumerate() {
            let binding = ReceiverBinding {
                component: digest_of(component),
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
            since: never,
            heard: None,
            error: None,
            failures: 0,
            certificate_ends: never,
            refused: Vec::new(),
        }
    }

    #[tokio::test]
    async fn what_no_binding_names_is_removed_once_the_coordinator_has_said_all_that_is_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("components");
        let components = open(path.clone()).await;
        for component in [&b"one"[..], b"two", b"three"] {
            components.keep(digest_of(component), component.to_vec()).await.unwrap();
        }
        let there = |component: &[u8]| path.join(format!("{}.wasm", digest_of(component))).exists();
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
