//! The version record: up to which number versions are given out.
//!
//! A process takes numbers in blocks, so that a thousand writes cost one more; what is left of a block when it ends is
//! never used. The numbers of two processes stay in order, too: a process that finds the record written by another one
//! takes a new block. The record is sealed like any value, and so it is the first thing that a wrong master key does not
//! open. If the record itself is damaged, any value that opens shows that the key is right, and the record is rebuilt,
//! with a leap over all numbers that may have been given out.

use cap_std::fs::{File, MetadataExt as _};
use deputy_files::{FileOpen, FileRead};
use deputy_support::LockUnpoisoned as _;

use super::{StoreDir, names};
use crate::seal::{self, FORMAT, OVERHEAD, Plaintext, SealLabel, WriteStamp};
use crate::{Corruption, StoreError, Version, WriteId};

pub(super) const FILE: &str = ".store";

pub(super) const SIZE: usize = OVERHEAD + 8;

/// Numbers taken at a time.
const BLOCK: u64 = 1024;

/// More numbers than are given out before the record is damaged again.
const LEAP: u64 = 1 << 32;

/// The numbers that this process may assign.
#[derive(Default)]
pub(super) struct VersionRange {
    next: u64,
    /// Exclusive.
    end: u64,
    /// The record as this process wrote it. While it is open, no other file gets its inode.
    record: Option<File>,
}

impl StoreDir {
    /// Writes the record if the directory is new, or checks that the key fits. The caller holds the guard.
    pub(super) fn begin(&self) -> Result<(), StoreError> {
        if self.reserved()?.is_none() {
            self.write_record(1)?;
        }
        Ok(())
    }

    /// The next number: greater than all that were given out before in this directory.
    pub(super) fn next_version(&self) -> Result<u64, StoreError> {
        let mut range = self.versions.lock_unpoisoned();
        if range.next >= range.end || !self.is_current(&range) {
            let _guard = self.guard()?;
            let next = self.reserved()?.unwrap_or(1).max(range.end);
            let end = next.saturating_add(BLOCK);
            *range = VersionRange { next, end, record: self.write_record(end)? };
        }
        let number = range.next;
        range.next += 1;
        Ok(number)
    }

    /// Whether no other process has taken numbers since.
    fn is_current(&self, range: &VersionRange) -> bool {
        let written = range.record.as_ref().and_then(|record| record.metadata().ok()).map(|record| record.ino());
        written.is_some() && written == self.dir.inode(FILE)
    }

    /// The first number that no process has taken. `None` if the directory is new.
    fn reserved(&self) -> Result<Option<u64>, StoreError> {
        let why = match self.dir.read(FILE, SIZE)? {
            FileRead::Bytes(bytes) => match seal::open(bytes, &SealLabel::of_record(), &self.master) {
                Ok((_, value)) => match value.expose().try_into() {
                    Ok(bytes) => return Ok(Some(u64::from_be_bytes(bytes))),
                    Err(_) => Corruption::Cut,
                },
                Err(why) => why,
            },
            FileRead::Unusable(why) => why.into(),
            FileRead::Absent => Corruption::Cut,
        };
        self.recovered(why)
    }

    /// As [`StoreDir::reserved`], from the values alone.
    fn recovered(&self, why: Corruption) -> Result<Option<u64>, StoreError> {
        let mut values = 0_usize;
        let mut greatest: Option<Version> = None;
        for name in self.dir.names()? {
            if let Some(key) = names::key(&name) {
                values += 1;
                if let Some(Ok(value)) = self.read(&key)? {
                    greatest = greatest.max(Some(value.version));
                }
            }
        }
        let path = self.dir.path();
        match (greatest, why) {
            (Some(version), _) => {
                tracing::warn!(%why, "version record damaged; rebuilding it (values are not affected)");
                Ok(Some(version.as_u64().saturating_add(LEAP)))
            }
            (None, Corruption::Format(found)) => {
                Err(StoreError::Format { path: path.to_owned(), found, supported: FORMAT })
            }
            (None, _) if values == 0 && self.dir.inode(FILE).is_none() => Ok(None),
            (None, _) => Err(StoreError::KeyMismatch { path: path.to_owned() }),
        }
    }

    /// The caller holds the guard.
    fn write_record(&self, reserved: u64) -> Result<Option<File>, StoreError> {
        let plaintext = Plaintext::new(&reserved.to_be_bytes());
        let stamp = WriteStamp { write: WriteId::random(&self.random)?, replaced: None };
        let sealed = plaintext.seal(&SealLabel::of_record(), stamp, &self.master, &*self.random)?;
        self.dir.write(FILE, &sealed)?;
        Ok(match self.dir.open_file(FILE)? {
            FileOpen::Regular(file, _) => Some(file),
            FileOpen::Absent | FileOpen::Irregular => None,
        })
    }
}
