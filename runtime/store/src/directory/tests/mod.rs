mod access;
mod basics;
mod child;
mod crash;
mod damage;
mod full_disk;
mod locks;
mod reader;
mod record;

use std::path::PathBuf;

use super::*;
use crate::Namespace;
use tempfile::TempDir;

pub(super) struct StateDir {
    folder: TempDir,
}

impl StateDir {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(super) async fn store(&self) -> DirectoryStore {
        open(&self.path()).await.unwrap()
    }

    pub(super) fn file(&self, key: &str) -> PathBuf {
        self.path().join(names::file(&parsed(key)))
    }

    pub(super) fn names(&self) -> Vec<String> {
        PrivateDir::open(&self.path()).unwrap().names().unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own random numbers")]
pub(super) fn random() -> Random {
    Arc::new(aws_lc_rs::rand::SystemRandom::new())
}

pub(super) fn master(byte: u8) -> MasterKey {
    let mut key = [byte; 32];
    key[0] = 0xff;
    MasterKey::parse(&key).unwrap()
}

pub(super) async fn open(path: &Path) -> Result<DirectoryStore, StoreError> {
    DirectoryStore::open(path, master(1), random()).await
}

fn parsed(key: &str) -> StoreKey {
    key.parse().unwrap()
}

fn value(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

/// Writes a file as a program without the store would.
#[expect(clippy::disallowed_methods, reason = "a test's own file")]
fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// Whether a future that was asked once is not at its end.
async fn is_pending(future: impl Future) -> bool {
    tokio::time::timeout(std::time::Duration::ZERO, future).await.is_err()
}

/// What is easier to say with texts.
impl DirectoryStore {
    pub(super) async fn write(&self, key: &str, text: &str) -> Version {
        let expected = match self.get(&parsed(key)).await.unwrap() {
            Some(entry) => ExpectedVersion::Version(entry.version),
            None => ExpectedVersion::Absent,
        };
        self.put_shared(&parsed(key), &value(text), expected).await.unwrap()
    }

    pub(super) async fn put_shared(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
    ) -> Result<Version, StoreError> {
        self.put(key, value, expected, WriteRight::shared(self.write_id().unwrap())).await
    }

    pub(super) async fn delete_shared(&self, key: &StoreKey, expected: Version) -> Result<(), StoreError> {
        self.delete(key, expected, WriteRight::shared(self.write_id().unwrap())).await
    }

    pub(super) async fn text(&self, key: &str) -> Option<String> {
        let entry = self.get(&parsed(key)).await.unwrap();
        entry.map(|entry| String::from_utf8(entry.value.expose().to_vec()).unwrap())
    }

    async fn damage(&self, key: &str) -> Option<Corruption> {
        match self.get(&parsed(key)).await {
            Err(StoreError::Damaged { key: named, why }) if named == parsed(key) => Some(why),
            Ok(_) => None,
            Err(other) => panic!("{other}"),
        }
    }
}
