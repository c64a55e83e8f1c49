#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use std::fs;
use std::path::{Path, PathBuf};

use deputy_core::Digest;
use deputy_store::{DirectoryStore, ExpectedVersion, MasterKey, WriteRight};
use tempfile::TempDir;

use super::*;
use crate::testing::test_lock;

struct TestKeeper {
    folder: TempDir,
    keeper: Arc<StateKeeper>,
}

impl TestKeeper {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keeper = keeper(folder.path()).await;
        Self { folder, keeper }
    }

    async fn load(&self, grant: &StateGrant, own: StateIdentity) -> Result<Option<String>, StateKeeperError> {
        let loaded = self.keeper.turn(&name()).await.load(grant, own).await?;
        Ok(loaded.map(|value| String::from_utf8(value.expose().to_vec()).unwrap()))
    }

    async fn save(&self, grant: &StateGrant, own: StateIdentity, value: &str) -> Result<(), StateKeeperError> {
        self.keeper.turn(&name()).await.save(grant, own, &SecretBytes::new(value.into())).await
    }

    /// Another process.
    async fn restarted(self) -> Self {
        let Self { folder, keeper: old } = self;
        drop(old);
        let keeper = keeper(folder.path()).await;
        keeper.restore().await.unwrap();
        Self { folder, keeper }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("state/state.login.sealed")
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own chance")]
async fn keeper(folder: &Path) -> Arc<StateKeeper> {
    let master = MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
    let random = Arc::new(aws_lc_rs::rand::SystemRandom::new());
    let store = DirectoryStore::open(&folder.join("state"), master, random).await.unwrap();
    let lock = test_lock(&store).await;
    let keeper = StateKeeper::new(Arc::new(store));
    keeper.lead(lock);
    Arc::new(keeper)
}

fn name() -> InstanceName {
    "login".parse().unwrap()
}

fn identity(byte: u8) -> StateIdentity {
    StateIdentity::new(Digest::new([byte; 32]))
}

const PLAIN: StateGrant = StateGrant { inherit: None };

fn inheriting(byte: u8) -> StateGrant {
    StateGrant { inherit: Some(identity(byte)) }
}

#[tokio::test]
async fn state_is_durable_and_sealed_when_it_is_saved() {
    let kept = TestKeeper::new().await;
    assert_eq!(kept.load(&PLAIN, identity(1)).await.unwrap(), None);
    kept.save(&PLAIN, identity(1), "first").await.unwrap();
    kept.save(&PLAIN, identity(1), "the refresh token").await.unwrap();
    let sealed = fs::read(kept.file()).unwrap();
    assert!(!sealed.windows(7).any(|part| part == b"refresh"));
    let kept = kept.restarted().await;
    assert_eq!(kept.keeper.owner(&name()), Some(identity(1)));
    assert_eq!(kept.load(&PLAIN, identity(1)).await.unwrap().as_deref(), Some("the refresh token"));
}

#[tokio::test]
async fn state_saved_empty_is_deleted() {
    let kept = TestKeeper::new().await;
    kept.save(&PLAIN, identity(1), "").await.unwrap();
    kept.save(&PLAIN, identity(1), "x").await.unwrap();
    kept.save(&PLAIN, identity(1), "").await.unwrap();
    assert_eq!((kept.load(&PLAIN, identity(1)).await.unwrap(), kept.keeper.owner(&name())), (None, None));
    assert!(!kept.file().exists());
    kept.save(&PLAIN, identity(2), "of another, since nothing was kept").await.unwrap();
}

#[tokio::test]
async fn state_stays_sealed_for_another_identity() {
    let kept = TestKeeper::new().await;
    kept.save(&PLAIN, identity(1), "mine").await.unwrap();
    for grant in [PLAIN, inheriting(3)] {
        let denied = |error| matches!(error, StateKeeperError::Denied(PolicyDenial::StateOfAnother { .. }));
        assert!(denied(kept.load(&grant, identity(2)).await.unwrap_err()));
        for value in ["theirs", ""] {
            assert!(denied(kept.save(&grant, identity(2), value).await.unwrap_err()), "nor is it replaced");
        }
    }
    assert_eq!(kept.load(&PLAIN, identity(1)).await.unwrap().as_deref(), Some("mine"));
}

#[tokio::test]
async fn state_that_is_inherited_belongs_to_the_heir() {
    let kept = TestKeeper::new().await;
    kept.save(&PLAIN, identity(1), "login").await.unwrap();
    assert_eq!(kept.load(&inheriting(1), identity(2)).await.unwrap().as_deref(), Some("login"));
    let kept = kept.restarted().await;
    assert_eq!(kept.keeper.owner(&name()), Some(identity(2)));
    // The line may stay or go.
    for grant in [inheriting(1), PLAIN] {
        assert_eq!(kept.load(&grant, identity(2)).await.unwrap().as_deref(), Some("login"));
    }
    kept.load(&PLAIN, identity(1)).await.unwrap_err();
    kept.save(&inheriting(2), identity(3), "replaced unread").await.unwrap();
    assert_eq!(kept.keeper.owner(&name()), Some(identity(3)));
}

#[tokio::test]
async fn state_turns_of_an_instance_follow_each_other() {
    let kept = TestKeeper::new().await;
    let turn = kept.keeper.turn(&name()).await;
    let name = name();
    let waiting = kept.keeper.turn(&name);
    tokio::pin!(waiting);
    let at_once = tokio::time::timeout(Span::millis(50).duration(), &mut waiting).await;
    assert!(at_once.is_err(), "two calls have a turn");
    let other = "other".parse().unwrap();
    kept.keeper.turn(&other).await;
    drop(turn);
    waiting.await;
}

#[tokio::test]
async fn state_that_is_damaged_is_set_aside_and_can_be_saved_anew() {
    let kept = TestKeeper::new().await;
    kept.save(&PLAIN, identity(1), "lost").await.unwrap();
    fs::write(kept.file(), b"not what was sealed").unwrap();
    assert_eq!(kept.load(&PLAIN, identity(2)).await.unwrap(), None);
    kept.save(&PLAIN, identity(2), "new").await.unwrap();
    assert_eq!(kept.load(&PLAIN, identity(2)).await.unwrap().as_deref(), Some("new"));
    let names = fs::read_dir(kept.folder.path().join("state")).unwrap();
    let names: Vec<String> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.contains(&"state.login.sealed.damaged-1".to_owned()), "{names:?}");
}

#[tokio::test]
async fn state_of_a_newer_version_is_left_alone() {
    let kept = TestKeeper::new().await;
    let head = br#"{"format":2}"#;
    let bytes = [&u32::try_from(head.len()).unwrap().to_be_bytes()[..], head].concat();
    let key = StoreKey::of_instance(&STATE, &name());
    let store = &kept.keeper.store;
    let by = WriteRight::shared(store.write_id().unwrap());
    store.put(&key, &SecretBytes::new(bytes), ExpectedVersion::Absent, by).await.unwrap();
    assert!(matches!(kept.save(&PLAIN, identity(1), "x").await, Err(StateKeeperError::Decode(..))));
    let error = kept.keeper.restore().await.unwrap_err();
    assert!(error.to_string().contains("only a newer version"), "{error}");
}

#[tokio::test]
async fn state_is_not_saved_once_the_keeper_is_closed() {
    let kept = TestKeeper::new().await;
    kept.save(&PLAIN, identity(1), "in time").await.unwrap();
    kept.keeper.close().await;
    assert!(matches!(kept.save(&PLAIN, identity(1), "too late").await, Err(StateKeeperError::NotLeading)));
    assert_eq!(kept.load(&PLAIN, identity(1)).await.unwrap().as_deref(), Some("in time"));
}

#[tokio::test]
async fn state_is_forgotten_with_its_instance() {
    let kept = TestKeeper::new().await;
    kept.keeper.forget(&name()).await.unwrap();
    kept.save(&PLAIN, identity(1), "x").await.unwrap();
    kept.keeper.forget(&name()).await.unwrap();
    assert_eq!((kept.file().exists(), kept.keeper.owner(&name())), (false, None));
    kept.save(&PLAIN, identity(1), "y").await.unwrap();
    fs::write(kept.file(), b"damaged").unwrap();
    kept.keeper.forget(&name()).await.unwrap();
    assert!(!kept.file().exists());
}
