//! The store's own record: up to which number versions are given out.
//!
//! A process takes numbers in blocks, so that a thousand writings cost one more; what is left of a block when it ends is
//! never used. The numbers of two processes stay in order too: whoever finds that the record was written by another
//! since takes a new block. The record is sealed like any value, and so it is the first thing that a wrong master key
//! does not open. If it is itself what was damaged, any value that opens shows that the key is right, and the record is
//! made anew, with a leap over all numbers that may have been given out.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;

use super::folder::FolderEntry;
use super::{Inner, held, names};
use crate::seal::{self, OVERHEAD, Plaintext, SealLabel};
use crate::{Corruption, StoreError, Version};

/// The record's file.
pub(super) const FILE: &str = ".store";

/// How many numbers are taken at a time.
const BLOCK: u64 = 1024;

/// More than are given out between two damages of the record.
const LEAP: u64 = 1 << 32;

/// The numbers that this process may give out.
#[derive(Default)]
pub(super) struct VersionRange {
    next: u64,
    /// The first that it may not.
    end: u64,
    /// The record as this process wrote it.
    record: Option<File>,
}

impl Inner {
    /// Makes the record if the directory is new, or shows that the key fits. To be called with the guard held.
    pub(super) fn begin(&self) -> Result<(), StoreError> {
        match self.reserved()? {
            Some(_) => Ok(()),
            None => self.write(1).map(drop),
        }
    }

    /// The next number: greater than all that were given out before in this directory.
    pub(super) fn next(&self) -> Result<u64, StoreError> {
        let mut sequence = held(&self.sequence);
        if sequence.next >= sequence.end || !self.is_current(&sequence) {
            let _guard = self.guard()?;
            let next = self.reserved()?.unwrap_or(1).max(sequence.end);
            let end = next.saturating_add(BLOCK);
            *sequence = VersionRange { next, end, record: Some(self.write(end)?) };
        }
        let number = sequence.next;
        sequence.next += 1;
        Ok(number)
    }

    /// Whether no other process has taken numbers since.
    fn is_current(&self, sequence: &VersionRange) -> bool {
        let ours = sequence.record.as_ref().and_then(|record| record.metadata().ok()).map(|record| record.ino());
        ours.is_some() && ours == self.folder.inode(FILE)
    }

    /// The first number that nobody has taken, unless the directory is new.
    fn reserved(&self) -> Result<Option<u64>, StoreError> {
        let why = match self.folder.read(FILE, OVERHEAD + 8)? {
            FolderEntry::Bytes(bytes) => match seal::open(bytes, &SealLabel::of_record(), &self.master) {
                Ok((_, value)) => match value.expose().try_into() {
                    Ok(bytes) => return Ok(Some(u64::from_be_bytes(bytes))),
                    Err(_) => Corruption::Cut,
                },
                Err(why) => why,
            },
            FolderEntry::Damaged(why) => why,
            FolderEntry::Absent => Corruption::Cut,
        };
        self.recovered(why)
    }

    /// The same from the values alone.
    fn recovered(&self, why: Corruption) -> Result<Option<u64>, StoreError> {
        let path = || self.folder.path().to_owned();
        let mut seen = 0_usize;
        let mut greatest: Option<Version> = None;
        for name in self.folder.names()? {
            if let Some(key) = names::key(&name) {
                seen += 1;
                if let Some(Ok(entry)) = self.look(&key)? {
                    greatest = greatest.max(Some(entry.version));
                }
            }
        }
        match (greatest, why) {
            (Some(version), _) => {
                tracing::warn!(%why, "version record damaged; rebuilding it (values are not affected)");
                Ok(Some(version.as_u64().saturating_add(LEAP)))
            }
            (None, Corruption::Format(found)) => Err(StoreError::Format { path: path(), found }),
            (None, _) if seen == 0 && self.folder.inode(FILE).is_none() => Ok(None),
            (None, _) => Err(StoreError::KeyMismatch { path: path() }),
        }
    }

    /// To be called with the guard held.
    fn write(&self, reserved: u64) -> Result<File, StoreError> {
        let draft = Plaintext::new(&reserved.to_be_bytes());
        let sealed = draft.seal(&SealLabel::of_record(), Version::new(0), &self.master, &*self.random);
        let staged = self.folder.stage(&sealed.map_err(|_| StoreError::Random)?, &*self.random)?;
        staged.publish(FILE)?;
        self.folder.sync()?;
        self.folder.pin(FILE)
    }
}
