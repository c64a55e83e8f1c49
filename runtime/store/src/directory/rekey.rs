//! Another master key for a directory: all of it or nothing, whenever the process is killed.
//!
//! Every value is sealed again in a file beside the old one, `.rekey-<name>`. When all of them are on the disk, the marker
//! `.rekeyed` is written; from then on the new files are the state, and the next process that opens the directory
//! finishes renaming them. Before that marker the old files are the state, and the new ones are leftovers.

use std::path::Path;

use deputy_core::SecretBytes;
use deputy_files::{FileError, PrivateDir};

use super::{StoreDir, blocking, claim, names, record, value_file};
use crate::seal::{Plaintext, SealLabel, WriteStamp};
use crate::{MasterKey, Random, StoreError, WriteId};

const NEW: &str = ".rekey-";
const MARKER: &str = ".rekeyed";

/// Seals everything in a directory with another key, and returns the number of values. `key_file` is the text of a new
/// key file in the directory, for a state that keeps its key itself. If this fails, the old key is the right one.
pub async fn rekey(
    path: &Path,
    old: MasterKey,
    new: MasterKey,
    random: Random,
    key_file: Option<SecretBytes>,
) -> Result<usize, StoreError> {
    let owned = path.to_owned();
    blocking(path, move || {
        let inner = StoreDir::open(&owned, old, random)?;
        if !claim(&inner.dir) {
            return Err(StoreError::InUse { path: owned });
        }
        inner.reseal(&new, key_file.as_ref())
    })
    .await
}

impl StoreDir {
    fn reseal(&self, new: &MasterKey, key_file: Option<&SecretBytes>) -> Result<usize, StoreError> {
        let mut count = 0;
        for name in self.dir.names()? {
            // A damaged value stays as it is.
            if let Some(key) = names::key(&name)
                && let Some(Ok(value)) = self.read(&key)?
            {
                let plaintext = Plaintext::new(value.value.expose());
                // The version stays, and so does the write: only the key is another one.
                let stamp = WriteStamp { write: value.write, replaced: None };
                let sealed = value_file::seal(plaintext, &key, value.version, stamp, new, &self.random)?;
                self.dir.write(&format!("{NEW}{name}"), &sealed)?;
                count += 1;
            }
        }
        let next = self.next_version()?.to_be_bytes();
        let stamp = WriteStamp { write: WriteId::random(&self.random)?, replaced: None };
        let sealed = Plaintext::new(&next).seal(&SealLabel::of_record(), stamp, new, &*self.random)?;
        self.dir.write(&format!("{NEW}{}", record::FILE), &sealed)?;
        if let Some(text) = key_file {
            self.dir.write(&format!("{NEW}key"), text.expose())?;
        }
        self.dir.write(MARKER, b"")?;
        finish(&self.dir)?;
        Ok(count)
    }
}

/// Finishes a change of the key that was decided and then interrupted.
pub(super) fn finish(dir: &PrivateDir) -> Result<(), FileError> {
    if dir.inode(MARKER).is_none() {
        return Ok(());
    }
    for name in dir.names()? {
        if let Some(final_name) = name.strip_prefix(NEW) {
            dir.rename(&name, final_name)?;
        }
    }
    dir.sync()?;
    dir.remove(MARKER)?;
    dir.sync()
}

/// Removes what a change of the key left that was interrupted before it was decided.
pub(super) fn discard(dir: &PrivateDir) -> Result<(), FileError> {
    dir.names()?.iter().filter(|name| name.starts_with(NEW)).try_for_each(|name| dir.remove(name))
}

#[cfg(test)]
mod tests;
