//! Whether a file changed, without reading it.
//!
//! A watcher takes the fingerprint of a file now and then, which costs one look-up, and reads the file when it differs from
//! the one that came with the last value. Every way to put a new value there shows: a file moved over the old one has
//! another inode, a link that leads elsewhere another file, and writing into the file sets its times; `ctime` cannot be
//! set back. Two writes within the granularity of the file system's clock (a few milliseconds) may look the same
//! if the length stays: a watcher that has read a younger file than that looks again.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use deputy_core::Timestamp;
use deputy_files::ambient;
use deputy_support::try_blocking;

use crate::{SourceError, SourceLocation};

/// The metadata of a file that changes with its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileFingerprint {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileFingerprint {
    /// The fingerprint of a file as it is now. Links are followed, as for reading.
    pub async fn of_file(path: &Path) -> Result<Self, SourceError> {
        let owned = path.to_owned();
        match try_blocking(move || ambient::metadata(&owned)).await.flatten() {
            Ok(metadata) => Ok(Self::of(&metadata)),
            Err(source) => Err(SourceError::Read { location: SourceLocation::File(path.to_owned()), source }),
        }
    }

    pub(crate) fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    /// Whether nothing was written in between. Replacing or renaming a file that is being read changes its `ctime` alone.
    pub(crate) fn same_contents(&self, other: &Self) -> bool {
        (self.length, self.modified) == (other.length, other.modified)
    }

    /// When the file was last written, as its writer or a copying program recorded; a time before 1970 is 1970.
    pub fn modified(&self) -> Timestamp {
        let (seconds, nanos) = self.modified;
        let part = u64::try_from(nanos / 1_000_000).unwrap_or(0);
        Timestamp::from_millis(u64::try_from(seconds).map_or(0, |seconds| seconds.saturating_mul(1000) + part))
    }
}

#[cfg(test)]
mod tests;
