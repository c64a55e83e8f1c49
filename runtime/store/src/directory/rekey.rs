//! Another master key for a directory: all of it or nothing, whenever the process is killed.
//!
//! Every value is sealed anew in a file beside the old one, `.rekey-<name>`. When all of them are on the disk, the mark
//! `.rekeyed` is written; from then on the new files are the state, and whoever opens the directory next finishes giving
//! them their names. Before that mark the old files are the state, and the new ones are leftovers.

use std::path::Path;

use deputy_core::SecretBytes;

use super::folder::Folder;
use super::{Inner, blocking, names, record};
use crate::seal::{Plaintext, SealLabel};
use crate::{MasterKey, Random, StoreError, Version};

const NEW: &str = ".rekey-";
const MARK: &str = ".rekeyed";

/// Seals everything in a directory with another key. `key_file` is the text of a new key file in the directory, for a
/// state that keeps its key itself. Gives how many values there were.
///
/// # Errors
/// If another process uses the directory, the old key does not fit, or something can't be written: then the old key is
/// the right one.
pub async fn rekey(
    path: &Path,
    old: MasterKey,
    new: MasterKey,
    random: Random,
    key_file: Option<SecretBytes>,
) -> Result<usize, StoreError> {
    let owned = path.to_owned();
    blocking(path, move || {
        let inner = Inner::open(&owned, old, random)?;
        if !inner.folder.claim() {
            return Err(StoreError::InUse { path: owned });
        }
        inner.reseal(&new, key_file.as_ref())
    })
    .await
}

impl Inner {
    fn reseal(&self, new: &MasterKey, key_file: Option<&SecretBytes>) -> Result<usize, StoreError> {
        let mut count = 0;
        for name in self.folder.names()? {
            // What is damaged stays so.
            if let Some(key) = names::key(&name)
                && let Some(Ok(entry)) = self.look(&key)?
            {
                self.seal_beside(&name, &SealLabel::of_key(&key), entry.version, entry.value.expose(), new)?;
                count += 1;
            }
        }
        let next = self.next()?.to_be_bytes();
        self.seal_beside(record::FILE, &SealLabel::of_record(), Version::new(0), &next, new)?;
        if let Some(text) = key_file {
            self.folder.write(&format!("{NEW}key"), text.expose(), &*self.random)?;
        }
        self.folder.write(MARK, b"", &*self.random)?;
        self.folder.finish_rekey()?;
        Ok(count)
    }

    fn seal_beside(
        &self,
        name: &str,
        label: &SealLabel,
        version: Version,
        value: &[u8],
        new: &MasterKey,
    ) -> Result<(), StoreError> {
        let sealed = Plaintext::new(value).seal(label, version, new, &*self.random).map_err(|_| StoreError::Random)?;
        self.folder.write(&format!("{NEW}{name}"), &sealed, &*self.random)
    }
}

impl Folder {
    /// Finishes what a process that changed the key could not, or removes what it only began.
    pub(super) fn finish_rekey(&self) -> Result<(), StoreError> {
        if self.inode(MARK).is_none() {
            return Ok(());
        }
        for name in self.names()? {
            if let Some(to) = name.strip_prefix(NEW) {
                self.rename(&name, to)?;
            }
        }
        self.sync()?;
        self.remove(MARK)?;
        self.sync()
    }

    /// Removes what a process that was to change the key began and did not finish.
    pub(super) fn drop_rekey(&self) -> Result<(), StoreError> {
        for name in self.names()?.iter().filter(|name| name.starts_with(NEW)) {
            self.remove(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "rekey_tests.rs"]
mod tests;
