//! Reads a directory as it is, beside whatever process uses it: nothing is created, locked, finished, moved or written.

use std::path::Path;
use std::sync::Arc;

use deputy_core::SecretBytes;
use deputy_files::{FileError, FileRead, PrivateDir};

use super::{blocking, names, record};
use crate::seal::{self, OVERHEAD, SealLabel};
use crate::{Corruption, MAX_VALUE, MasterKey, StoreError, StoreKey};

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

    /// Reads a value. [`StoreError::KeyMismatch`] if neither it nor the version record opens with the master key.
    pub async fn get(&self, key: &StoreKey) -> Result<Option<SecretBytes>, StoreError> {
        let inner = Arc::clone(&self.0);
        let key = key.clone();
        blocking(self.0.dir.path(), move || inner.get(&key)).await
    }
}

impl ReadDir {
    fn get(&self, key: &StoreKey) -> Result<Option<SecretBytes>, StoreError> {
        match self.read(&names::file(key), &SealLabel::of_key(key), MAX_VALUE.as_usize())? {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(why)) if self.opens_record()? => Err(StoreError::Damaged { key: key.clone(), why }),
            Some(Err(_)) => Err(StoreError::KeyMismatch { path: self.dir.path().to_owned() }),
        }
    }

    fn opens_record(&self) -> Result<bool, FileError> {
        Ok(matches!(self.read(record::FILE, &SealLabel::of_record(), 8)?, Some(Ok(_))))
    }

    fn read(
        &self,
        file: &str,
        label: &SealLabel,
        limit: usize,
    ) -> Result<Option<Result<SecretBytes, Corruption>>, FileError> {
        Ok(match self.dir.read(file, limit + OVERHEAD)? {
            FileRead::Absent => None,
            FileRead::Unusable(why) => Some(Err(why.into())),
            FileRead::Bytes(bytes) => Some(seal::open(bytes, label, &self.master).map(|(_, value)| value)),
        })
    }
}
