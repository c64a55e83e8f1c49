//! Where the lines go: a file that can be reopened, or a stream.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::AuditError;

pub(super) enum LogTarget {
    File(LogFile),
    Stream(Box<dyn Write + Send>),
}

/// An append-only file, or a named pipe.
pub(super) struct LogFile {
    path: PathBuf,
    /// `None` for a pipe without a reader.
    file: Option<File>,
    /// Whether to reopen the path before the next write.
    stale: bool,
}

pub(super) struct Opened {
    /// Whether the last line lacks its end.
    pub(super) torn: bool,
}

impl LogFile {
    /// A pipe without a reader is not an error: the reader may come later. Until then nothing is recorded.
    pub(super) fn open(path: &Path) -> Result<(Self, Opened), AuditError> {
        let mut log = Self { path: path.to_owned(), file: None, stale: true };
        match log.ready() {
            Ok(opened) => Ok((log, opened.unwrap_or(Opened { torn: false }))),
            Err(AuditError::Unread { .. }) => Ok((log, Opened { torn: false })),
            Err(error) => Err(error),
        }
    }

    /// Reopens the path on request, or if the file was removed. If that fails, the open file stays in use.
    fn ready(&mut self) -> Result<Option<Opened>, AuditError> {
        if self.file.as_ref().is_some_and(is_removed) {
            self.stale = true;
        }
        if !self.stale && self.file.is_some() {
            return Ok(None);
        }
        let file = open(&self.path).map_err(|source| self.cannot_open(source))?;
        let torn = is_torn(&self.path, &file);
        self.file = Some(file);
        self.stale = false;
        Ok(Some(Opened { torn }))
    }

    fn cannot_open(&self, source: io::Error) -> AuditError {
        let path = self.path.clone();
        if is_unread_pipe(&path, &source) {
            return AuditError::Unread { path };
        }
        AuditError::Open { path, source: Arc::new(source) }
    }

    /// The error of a pipe without a reader.
    pub(super) fn unread(&self) -> Option<AuditError> {
        self.file.is_none().then(|| AuditError::Unread { path: self.path.clone() })
    }
}

impl LogTarget {
    /// Opens the file if necessary. A stream is always open.
    pub(super) fn ready(&mut self) -> Result<Option<Opened>, AuditError> {
        let Self::File(log) = self else { return Ok(None) };
        match log.ready() {
            // The previous file is better than none.
            Err(_) if log.file.as_ref().is_some_and(|file| !is_removed(file)) => Ok(None),
            opened => opened,
        }
    }

    /// Reopens the path, as after a log rotation.
    pub(super) fn reopen(&mut self) -> Result<Option<Opened>, AuditError> {
        let Self::File(log) = self else { return Ok(None) };
        log.stale = true;
        log.ready()
    }

    /// Writes as much as the system takes. Returns the number of bytes, and why it was not all of them.
    pub(super) fn write(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let stream: &mut dyn Write = match self {
            Self::File(LogFile { file: Some(file), .. }) => file,
            Self::File(LogFile { file: None, .. }) => return (0, Err(ErrorKind::NotConnected.into())),
            Self::Stream(stream) => stream,
        };
        let (written, result) = write(stream, bytes);
        if result.is_err()
            && let Self::File(log) = self
        {
            // A disk that was replaced, or a pipe with a new reader, needs a new descriptor.
            log.stale = true;
        }
        (written, result)
    }
}

fn write(stream: &mut dyn Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, stream.flush())
}

/// Does not wait for the reader of a pipe. Writes may block: they have a thread of their own.
#[expect(clippy::disallowed_methods, reason = "an edge: the operator's file, which other programs rotate")]
fn open(path: &Path) -> io::Result<File> {
    let no_wait = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(no_wait.bits()).unwrap_or_default();
    let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

#[expect(clippy::disallowed_methods, reason = "an edge: the operator's file, which other programs rotate")]
fn is_unread_pipe(path: &Path, error: &io::Error) -> bool {
    let is_pipe = std::fs::metadata(path).is_ok_and(|there| there.file_type().is_fifo());
    is_pipe && error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
}

fn is_removed(file: &File) -> bool {
    file.metadata().is_ok_and(|file| file.is_file() && file.nlink() == 0)
}

/// Whether a file ends in the middle of a line. A file that cannot be read counts as such: an empty line does no harm.
fn is_torn(path: &Path, file: &File) -> bool {
    match file.metadata() {
        Ok(file) if file.is_file() && file.len() > 0 => last_byte(path).is_none_or(|byte| byte != b'\n'),
        _ => false,
    }
}

#[expect(clippy::disallowed_methods, reason = "an edge: the operator's file, which other programs rotate")]
fn last_byte(path: &Path) -> Option<u8> {
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::End(-1)).ok()?;
    let mut byte = [0];
    file.read_exact(&mut byte).ok()?;
    Some(byte[0])
}
