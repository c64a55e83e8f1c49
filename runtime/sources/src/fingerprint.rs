//! Whether a file changed, without reading it.
//!
//! Who watches a file takes its fingerprint now and then, which costs one look at the directory, and reads the file when
//! it differs from the one that came with the last value. Every way to put a new value there shows: a file moved over
//! the old one has another inode, a link that leads elsewhere another file, and what writes into the file sets its
//! times, of which `ctime` can't be set back. What is written twice within the grain of the file system's clock (a few
//! milliseconds) may look the same if the length stays: who has read a file that is younger than that looks again.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use deputy_core::Timestamp;

use crate::{SourceError, SourceLocation};

/// What of a file changes when its contents do.
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
    /// That of a file as it is now. Links are followed, as they are for reading.
    #[expect(
        clippy::disallowed_methods,
        reason = "it can't be cancelled and is one look at a directory; where a file system hangs, one thread waits"
    )]
    pub async fn of_file(path: &Path) -> Result<Self, SourceError> {
        let place = SourceLocation::File(path.to_owned());
        let path = path.to_owned();
        let looked = tokio::task::spawn_blocking(move || std::fs::metadata(path)).await;
        let metadata = looked.unwrap_or_else(|lost| Err(io::Error::other(lost)));
        metadata.map(|file| Self::of(&file)).map_err(|source| SourceError::Read { place, source })
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

    /// Whether nothing was written in between. To replace or rename a file that is being read sets its `ctime` alone.
    pub(crate) fn same_contents(&self, other: &Self) -> bool {
        (self.length, self.modified) == (other.length, other.modified)
    }

    /// When the file was last written to, as its writer or a copying program says; a time before 1970 is 1970.
    pub fn modified(&self) -> Timestamp {
        let (seconds, nanos) = self.modified;
        let part = u64::try_from(nanos / 1_000_000).unwrap_or(0);
        Timestamp::from_millis(u64::try_from(seconds).map_or(0, |seconds| seconds.saturating_mul(1000) + part))
    }
}

#[cfg(test)]
#[path = "fingerprint_tests.rs"]
mod tests;
