#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use deputy_core::{Delivery, Digest, Limit, LimitOverrides, Revision, S3Place, SecretBytes, Timestamp};
use deputy_link::ReceiverBinding;
use deputy_store::{DirectoryStore, ExpectedVersion, MasterKey, Version, WriteRight};
use deputy_test_stores::{LayeredStore, StoreLayer};
use tokio::sync::Semaphore;

use super::*;
use crate::testing::{put, random};

async fn store(folder: &Path) -> Result<Arc<dyn Store>, StoreError> {
    let key: Vec<u8> = (0..32).map(|byte| byte * 7).collect();
    Ok(Arc::new(DirectoryStore::open(folder, MasterKey::parse(&key).unwrap(), random()).await?))
}

async fn open(folder: &Path) -> LeaseCache {
    opened(folder, "w1").await
}

async fn opened(folder: &Path, worker: &str) -> LeaseCache {
    StateDirLock::take(store(folder).await.unwrap()).await.unwrap().cache(worker).unwrap()
}

fn held(deliveries: &[(&str, u64)]) -> DeliveredState {
    let limits = LimitOverrides::new(Limit::ALL.map(|limit| (limit, *limit.bounds().end()))).unwrap();
    let binding = ReceiverBinding {
        component: Digest::new([7; 32]),
        settings: BTreeMap::from([("profile".to_owned(), "default".to_owned())]),
        instances: ["a", "b"].map(|name| name.parse().unwrap()).into(),
        limits,
    };
    let delivery = |(name, revision): &(&str, u64)| {
        let instance: InstanceName = name.parse().unwrap();
        let delivery = Delivery {
            instance: instance.clone(),
            service: "s3".parse().unwrap(),
            kind: "aws-credential-process/1".parse().unwrap(),
            stamp: LeaseVersion { revision: Revision(*revision), obtained_at: Timestamp::from_millis(*revision) },
            valid_until: Timestamp::from_millis(revision + 1000),
            next_at: Some(Timestamp::from_millis(revision + 500)),
            renewable_until: Some(Timestamp::from_millis(revision + 2000)),
            payload: Arc::new(SecretBytes::new(format!("payload of {name} {revision}").into_bytes())),
            trace: None,
        };
        (instance, delivery)
    };
    DeliveredState {
        deliveries: deliveries.iter().map(delivery).collect(),
        receivers: BTreeMap::from([("aws".parse().unwrap(), binding)]),
        group_instances: Some(["a", "b", "d"].map(|name| name.parse().unwrap()).into()),
        places: [("a".parse().unwrap(), S3Place { region: Some("eu-west-1".to_owned()), endpoint: None })].into(),
        complete: true,
        ..DeliveredState::default()
    }
}

/// All of it, with the payloads.
fn shown(held: &DeliveredState) -> String {
    let payloads = held.deliveries.values().map(|it| String::from_utf8_lossy(it.payload.expose()));
    format!("{held:?} {:?}", payloads.collect::<Vec<_>>())
}

#[tokio::test]
async fn cache_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut cache = open(&state).await;
    assert_eq!(shown(&cache.restore().await), shown(&DeliveredState::default()), "the cache is empty at first");
    for held in
        [held(&[("a", 1), ("b", 1)]), held(&[("a", 2), ("b", 1)]), held(&[("a", 3)]), held(&[("a", 3), ("c", 1)])]
    {
        cache.keep(&held).await.unwrap();
        cache.keep(&held).await.unwrap();
        drop(cache);
        cache = open(&state).await;
        assert_eq!(shown(&cache.restore().await), shown(&held));
    }
    let files = fs::read_dir(&state).unwrap().map(|file| file.unwrap().path()).filter(|file| file.is_file());
    for file in files {
        assert!(!String::from_utf8_lossy(&fs::read(file).unwrap()).contains("payload of"));
    }
}

#[tokio::test]
async fn cache_is_not_reduced_by_an_incomplete_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut cache = open(&state).await;
    cache.keep(&held(&[("a", 1), ("b", 1)])).await.unwrap();
    let half = DeliveredState { complete: false, ..held(&[("a", 2)]) };
    cache.keep(&half).await.unwrap();
    drop(cache);
    assert_eq!(open(&state).await.restore().await.deliveries.len(), 2);
}

#[tokio::test]
async fn cache_leaves_damaged_records_out_without_withdrawing_them() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let whole = held(&[("a", 1), ("b", 1)]);
    for (harm, left) in [("delivery.a.sealed", 1), ("index.all.sealed", 0)] {
        let mut cache = open(&state).await;
        cache.keep(&whole).await.unwrap();
        drop(cache);
        let file = state.join(harm);
        let mut bytes = fs::read(&file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        put(&file, bytes);
        let mut cache = open(&state).await;
        let restored = cache.restore().await;
        assert_eq!((restored.deliveries.len(), restored.complete), (left, false), "{harm}");
        // It is mended by what comes next.
        cache.keep(&whole).await.unwrap();
        drop(cache);
        assert_eq!(shown(&open(&state).await.restore().await), shown(&whole), "{harm}");
    }
    fs::remove_file(state.join("delivery.b.sealed")).unwrap();
    let restored = open(&state).await.restore().await;
    assert_eq!((restored.deliveries.len(), restored.complete), (1, false));
}

#[tokio::test]
async fn cache_does_not_use_an_older_lease_that_was_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let (lease, index) = (state.join("delivery.a.sealed"), state.join("index.all.sealed"));
    let mut cache = open(&state).await;
    cache.keep(&held(&[("a", 1), ("b", 1)])).await.unwrap();
    let (old_lease, old_index) = (fs::read(&lease).unwrap(), fs::read(&index).unwrap());
    let now = held(&[("a", 2), ("b", 1)]);
    cache.keep(&now).await.unwrap();
    drop(cache);
    let new_lease = fs::read(&lease).unwrap();
    put(&lease, &old_lease);
    let restored = open(&state).await.restore().await;
    let names: Vec<&str> = restored.deliveries.keys().map(InstanceName::as_str).collect();
    assert_eq!((names.as_slice(), restored.complete), (&["b"][..], false), "the coordinator sends it");

    // A power cut between the lease and the index leaves this.
    put(&lease, &new_lease);
    put(&index, &old_index);
    assert_eq!(shown(&open(&state).await.restore().await), shown(&now));
}

#[tokio::test]
async fn cache_of_another_worker_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut cache = open(&state).await;
    cache.keep(&held(&[("a", 1), ("b", 1)])).await.unwrap();
    drop(cache);
    let mut other = opened(&state, "w2").await;
    assert_eq!(shown(&other.restore().await), shown(&DeliveredState::default()));
    other.keep(&held(&[("a", 9)])).await.unwrap();
    drop(other);
    let mut again = opened(&state, "w2").await;
    assert_eq!(shown(&again.restore().await), shown(&held(&[("a", 9)])));
}

#[tokio::test]
async fn cache_is_not_shared_by_two_workers() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&folder.path().join("state")).await;
    let second = StateDirLock::take(store(&folder.path().join("state")).await.unwrap()).await;
    assert!(matches!(second, Err(LeaseCacheError::Store(StoreError::Locked { .. }))));
    drop(first);
    open(&folder.path().join("state")).await;
}

#[tokio::test]
async fn cache_follows_the_held_state_and_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(&folder.path().join("state")).await;
    let (sender, receiver) = watch::channel(Arc::new(DeliveredState::default()));
    let (used, in_use) = watch::channel(Arc::new(DeliveredState::default()));
    let following = cache.follow(receiver, used);
    let change = async {
        for revision in 1..50 {
            sender.send_replace(Arc::new(held(&[("a", revision)])));
            tokio::task::yield_now().await;
        }
        drop(sender);
    };
    tokio::join!(following, change);
    assert_eq!(shown(&in_use.borrow()), shown(&held(&[("a", 49)])));
    let last = open(&folder.path().join("state")).await.restore().await;
    assert_eq!(shown(&last), shown(&held(&[("a", 49)])));
}

/// A record of a version without limits, and one with limits that this version would not write.
#[test]
fn cache_index_limits_are_absent_or_within_bounds() {
    let index = |limits: &str| {
        let binding = format!(r#"{{"component":"{}","settings":{{}},"instances":["a"]{limits}}}"#, "07".repeat(32));
        let head = format!(r#"{{"format":2,"worker":"w1","instances":[],"receivers":{{"aws":{binding}}}}}"#);
        let bytes = deputy_store::framing::join(head.as_bytes(), std::iter::empty());
        record::decode_index("w1", bytes.expose())
    };
    let (held, _) = index("").unwrap();
    assert_eq!(held.receivers.values().next().unwrap().limits, LimitOverrides::default());
    assert!(index(r#","limits":{"wall":1000}"#).is_ok());
    for limits in [r#"{"wall":0}"#, r#"{"wall":3600001}"#, r#"{"wall":-1}"#, r#"{"walls":1000}"#, "[]"] {
        let error = index(&format!(r#","limits":{limits}"#)).unwrap_err();
        assert!(matches!(error, CacheRecordError::Malformed), "{limits}");
    }
}

#[test]
fn cache_record_that_is_truncated_is_refused() {
    let held = held(&[("a", 1)]);
    let delivery = record::encode("w1", held.deliveries.values().next().unwrap()).unwrap();
    let stamps = held.deliveries.iter().map(|(name, delivery)| (name.clone(), delivery.stamp)).collect();
    let index = record::encode_index("w1", &held, &stamps).unwrap();
    for end in 0..delivery.len() {
        assert!(record::decode("w1", &delivery.expose()[..end]).is_err());
    }
    for end in 0..index.len() {
        assert!(record::decode_index("w1", &index.expose()[..end]).is_err());
    }
    assert!(record::decode("w1", index.expose()).is_err());
    assert!(record::decode_index("w1", &[index.expose(), b"x"].concat()).is_err());
    let later = br#"{"format":3,"else":1}"#;
    let later = deputy_store::framing::join(later, std::iter::empty());
    assert!(matches!(record::decode("w1", later.expose()), Err(CacheRecordError::Format(3))));
}

/// A disk that the test can fill, and can make hang.
struct Disk {
    store: Arc<dyn Store>,
    is_full: AtomicBool,
    answers: Semaphore,
}

#[async_trait::async_trait]
impl StoreLayer for Disk {
    fn inner(&self) -> &dyn Store {
        &*self.store
    }

    async fn put(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<Version, StoreError> {
        self.answers.acquire().await.unwrap().forget();
        if self.is_full.load(Ordering::Relaxed) {
            let source = std::io::ErrorKind::StorageFull.into();
            return Err(deputy_files::FileError::Full { doing: "write", path: key.name().into(), source }.into());
        }
        self.store.put(key, value, expected, by).await
    }
}

#[tokio::test]
async fn cache_releases_leases_once_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("state");
    let store = store(&place).await.unwrap();
    let disk = Disk { store, is_full: AtomicBool::new(false), answers: Semaphore::new(0) };
    let disk = Arc::new(LayeredStore(disk));
    let cache = StateDirLock::take(Arc::clone(&disk) as _).await.unwrap().cache("w1").unwrap();
    let (sender, receiver) = watch::channel(Arc::new(held(&[("a", 1), ("b", 1)])));
    let (used, mut in_use) = watch::channel(Arc::new(DeliveredState::default()));
    let following = cache.follow(receiver, used);
    let change = async {
        // The index and two leases: the last of them is not written yet.
        disk.answers.add_permits(2);
        while disk.answers.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(in_use.borrow().deliveries.is_empty(), "it is not kept, so it is not used");
        disk.answers.add_permits(1);
        in_use.changed().await.unwrap();
        assert_eq!(shown(&in_use.borrow_and_update()), shown(&held(&[("a", 1), ("b", 1)])));

        disk.is_full.store(true, Ordering::Relaxed);
        disk.answers.add_permits(1);
        sender.send_replace(Arc::new(held(&[("a", 2), ("b", 1)])));
        in_use.changed().await.unwrap();
        assert_eq!(
            shown(&in_use.borrow()),
            shown(&held(&[("a", 2), ("b", 1)])),
            "a full disk does not keep it from use"
        );
        drop(sender);
    };
    tokio::join!(following, change);
    drop(disk);
    let last = open(&place).await.restore().await;
    assert!(
        !last.complete && last.deliveries.len() == 1,
        "a start knows that it lacks something, and does not go back"
    );
    assert!(last.deliveries.contains_key(&"b".parse::<InstanceName>().unwrap()));
}
