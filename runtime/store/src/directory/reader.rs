//! Reads a directory as it is, beside whatever process uses it: nothing is created, locked, finished, moved or written.

use std::path::Path;
use std::sync::Arc;

use deputy_core::SecretBytes;
use deputy_files::{FileError, FileRead, PrivateDir};

use super::{blocking, names, record, value_file};
use crate::seal::{self, SealLabel};
use crate::{KeyFit, MasterKey, StoreError, StoreKey};

/// Single values of a directory, for a command that only looks.
pub struct DirectoryReader(Arc<ReadDir>);

struct ReadDir {
    dir: PrivateDir,
    master: MasterKey,
}

impl DirectoryReader {
    /// `None` if the directory is missing. Fails if another user can look into it.
    pub async fn open(path: &Path, master: MasterKey) -> Result<Option<Self>, StoreError> {
        let owned = path.to_owned();
        let dir = blocking(path, move || Ok(PrivateDir::open_existing(&owned)?)).await?;
        Ok(dir.map(|dir| Self(Arc::new(ReadDir { dir, master }))))
    }

    /// The keys of all values. Opens none of them.
    pub async fn list(&self) -> Result<Vec<StoreKey>, StoreError> {
        let inner = Arc::clone(&self.0);
        let found = blocking(self.0.dir.path(), move || Ok(inner.dir.names()?)).await?;
        Ok(found.iter().filter_map(|name| names::key(name)).collect())
    }

    /// Whether the master key is that of this state. [`StoreError::KeyMismatch`] if neither the version record nor a value opens
    /// with it.
    pub async fn check_key(&self) -> Result<KeyFit, StoreError> {
        let inner = Arc::clone(&self.0);
        blocking(self.0.dir.path(), move || inner.check_key()).await
    }

    /// Reads a value. [`StoreError::KeyMismatch`] if neither it nor the version record opens with the master key.
    pub async fn get(&self, key: &StoreKey) -> Result<Option<SecretBytes>, StoreError> {
        let inner = Arc::clone(&self.0);
        let key = key.clone();
        blocking(self.0.dir.path(), move || inner.get(&key)).await
    }
}

impl ReadDir {
    fn check_key(&self) -> Result<KeyFit, StoreError> {
        if self.opens_record()? {
            return Ok(KeyFit::Fits);
        }
        let names = self.dir.names()?;
        let keys: Vec<_> = names.iter().filter_map(|name| names::key(name)).collect();
        for key in &keys {
            if let FileRead::Bytes(bytes) = self.dir.read(&names::file(key), value_file::max_size())?
                && value_file::open(bytes, key, &self.master).is_ok()
            {
                return Ok(KeyFit::Fits);
            }
        }
        if keys.is_empty() && !names.iter().any(|name| name == record::FILE) {
            return Ok(KeyFit::NoState);
        }
        Err(StoreError::KeyMismatch { path: self.dir.path().to_owned() })
    }

    fn get(&self, key: &StoreKey) -> Result<Option<SecretBytes>, StoreError> {
        let found = match self.dir.read(&names::file(key), value_file::max_size())? {
            FileRead::Absent => return Ok(None),
            FileRead::Unusable(why) => Err(why.into()),
            FileRead::Bytes(bytes) => value_file::open(bytes, key, &self.master),
        };
        match found {
            Ok(found) => Ok(Some(found.value)),
            Err(why) if self.opens_record()? => Err(StoreError::Damaged { key: key.clone(), why }),
            Err(_) => Err(StoreError::KeyMismatch { path: self.dir.path().to_owned() }),
        }
    }

    fn opens_record(&self) -> Result<bool, FileError> {
        Ok(match self.dir.read(record::FILE, record::SIZE)? {
            FileRead::Bytes(bytes) => seal::open(bytes, &SealLabel::of_record(), &self.master).is_ok(),
            FileRead::Absent | FileRead::Unusable(_) => false,
        })
    }
}
