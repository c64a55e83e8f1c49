//! Reading with a bound.

use std::io::{self, Read};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::fs::{Dir, File, Metadata, OpenOptions, OpenOptionsExt as _};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// What a name in a directory holds.
#[derive(Debug)]
pub enum FileRead {
    Absent,
    Bytes(Vec<u8>),
    Unusable(Unusable),
}

/// Why a file that exists has no bytes to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It is a link, a directory, a socket or a device.
    Irregular,
    /// It is longer than the bound.
    TooLong,
    /// The disk does not return it.
    Unreadable,
}

/// What opening a name for reading found.
#[derive(Debug)]
pub enum FileOpen {
    Absent,
    /// A link, a directory, a socket or a device.
    Irregular,
    Regular(File, Metadata),
}

/// Opens a file of a directory for reading, without following a link and without waiting for the writer of a fifo.
pub fn open_regular(dir: &Dir, name: &str) -> io::Result<FileOpen> {
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No).nonblock(true).custom_flags(OFlags::NOCTTY.bits().cast_signed());
    let file = match dir.open_with(name, &options) {
        Ok(file) => file,
        Err(error) => {
            return match Errno::from_io_error(&error) {
                Some(Errno::NOENT) => Ok(FileOpen::Absent),
                Some(Errno::LOOP | Errno::NXIO | Errno::NODEV) => Ok(FileOpen::Irregular),
                _ => Err(error),
            };
        }
    };
    let metadata = file.metadata()?;
    Ok(if metadata.is_file() { FileOpen::Regular(file, metadata) } else { FileOpen::Irregular })
}

/// Reads a regular file of a directory, if it holds at most `limit` bytes.
pub fn read_regular(dir: &Dir, name: &str, limit: usize) -> io::Result<FileRead> {
    let (file, metadata) = match open_regular(dir, name)? {
        FileOpen::Absent => return Ok(FileRead::Absent),
        FileOpen::Irregular => return Ok(FileRead::Unusable(Unusable::Irregular)),
        FileOpen::Regular(file, metadata) => (file, metadata),
    };
    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if size > limit {
        return Ok(FileRead::Unusable(Unusable::TooLong));
    }
    let mut bytes = vec![0; size];
    match fill(file, &mut bytes) {
        Ok(filled) => {
            bytes.truncate(filled);
            Ok(FileRead::Bytes(bytes))
        }
        Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => Ok(FileRead::Unusable(Unusable::Unreadable)),
        Err(error) => Err(error),
    }
}

/// Reads until the buffer is full or the input ends, and returns the number of bytes read. A buffer of one byte more than
/// is expected shows whether there is more. Unlike `read_to_end`, it needs no buffer that grows and leaves copies of a
/// secret behind.
pub fn fill(mut input: impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match input.read(free) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
