//! Compiled code in a file, with what authenticates it.
//!
//! | bytes | contents |
//! |---|---|
//! | as many as there are | the code, in pieces of 64 KiB; the last one may be shorter |
//! | 16 for each piece | its tag |
//! | 32 | the salt of the file's key |
//!
//! Pieces are authenticated one by one, so that several threads load a large file: a component of Python or JavaScript has
//! some 40 MiB of code. What is authenticated is what was copied into memory, whatever happens to the file meanwhile.

use std::io::{self, Write};
use std::num::NonZero;
use std::ops::Range;
use std::thread;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use cap_std::fs::{File, FileExt as _};

use super::key::{CacheKey, FileKey, PiecePlace, SALT, TAG};
use super::memory_file::{Code, Draft};

/// The largest compiled code.
pub(crate) const MAX_CODE: u64 = 1 << 30;

/// Small enough for a processor's cache.
const PIECE: u64 = 64 << 10;

/// The fewest pieces that are worth a thread.
const PIECES_PER_THREAD: u64 = 64;

/// The most threads that load one file.
const MAX_THREADS: u64 = 4;

/// Where the parts of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    /// Bytes of code.
    code: u64,
    /// Empty code has one piece, too.
    pieces: u64,
}

/// A file that is being loaded.
struct Loading<'f> {
    file: &'f File,
    key: FileKey,
    layout: Layout,
    tags: &'f [u8],
    draft: Draft,
}

/// Writes code with its tags under a name.
#[expect(clippy::disallowed_methods, reason = "the salt of a file's key is random")]
pub(super) fn write(mut file: impl Write, key: &CacheKey, name: &str, code: &Code) -> io::Result<()> {
    let mut salt = [0; SALT];
    SystemRandom::new().fill(&mut salt).map_err(failed)?;
    let key = key.of_file(name, &salt).map_err(failed)?;
    let layout = Layout::of_code(code.len()?);
    let mut tags = Vec::new();
    let mut buffer = vec![0; usize::try_from(PIECE).unwrap_or_default()];
    for number in 0..layout.pieces {
        let piece = buffer.get_mut(..layout.piece_len(number)).unwrap_or_default();
        code.read_exact_at(piece, number * PIECE)?;
        tags.extend(key.tag(layout.place(number), piece).map_err(failed)?);
        file.write_all(piece)?;
    }
    file.write_all(&tags)?;
    file.write_all(&salt)
}

/// Copies the code of a file of this length into memory; `None` if a part of it is not authentic.
pub(super) fn read(file: &File, length: u64, key: &CacheKey, name: &str) -> io::Result<Option<Code>> {
    let Some(layout) = Layout::of_file(length) else { return Ok(None) };
    let mut trailer = vec![0; usize::try_from(length - layout.code).unwrap_or_default()];
    if !is_whole(file.read_exact_at(&mut trailer, layout.code))? {
        return Ok(None);
    }
    let Some((tags, salt)) = trailer.split_last_chunk::<SALT>() else { return Ok(None) };
    let key = key.of_file(name, salt).map_err(failed)?;
    let loading = Loading { file, key, layout, tags, draft: Draft::new()? };
    if loading.run()? { loading.draft.seal().map(Some) } else { Ok(None) }
}

impl Layout {
    fn of_code(code: u64) -> Self {
        Self { code, pieces: code.div_ceil(PIECE).max(1) }
    }

    /// The only layout of a file of this length, if there is one.
    fn of_file(length: u64) -> Option<Self> {
        let tagged = length.checked_sub(SALT as u64)?;
        let pieces = tagged.div_ceil(PIECE + TAG as u64);
        let layout = Self::of_code(tagged.checked_sub(pieces * TAG as u64)?);
        (layout.pieces == pieces && layout.code <= MAX_CODE).then_some(layout)
    }

    fn place(self, number: u64) -> PiecePlace {
        PiecePlace { number, is_last: number + 1 == self.pieces }
    }

    fn piece_len(self, number: u64) -> usize {
        let left = self.code.saturating_sub(number * PIECE);
        usize::try_from(left.min(PIECE)).unwrap_or_default()
    }
}

impl Loading<'_> {
    /// Copies and authenticates all pieces, in several threads if there are many.
    fn run(&self) -> io::Result<bool> {
        let processors = thread::available_parallelism().map_or(1, NonZero::get) as u64;
        let threads = (self.layout.pieces / PIECES_PER_THREAD).clamp(1, processors.min(MAX_THREADS));
        let share = self.layout.pieces.div_ceil(threads);
        let part = |number: u64| number * share..((number + 1) * share).min(self.layout.pieces);
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|number| scope.spawn(move || self.copy(part(number)))).collect();
            let mut authentic = self.copy(part(0))?;
            for other in others {
                authentic &= other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            Ok(authentic)
        })
    }

    /// Copies and authenticates some pieces.
    fn copy(&self, pieces: Range<u64>) -> io::Result<bool> {
        let mut buffer = vec![0; usize::try_from(PIECE).unwrap_or_default()];
        for number in pieces {
            let piece = buffer.get_mut(..self.layout.piece_len(number)).unwrap_or_default();
            if !is_whole(self.file.read_exact_at(piece, number * PIECE))? {
                return Ok(false);
            }
            if !self.key.is_tag_of(self.layout.place(number), piece, self.tag(number)) {
                return Ok(false);
            }
            self.draft.write_all_at(piece, number * PIECE)?;
        }
        Ok(true)
    }

    fn tag(&self, number: u64) -> &[u8] {
        let (tags, _) = self.tags.as_chunks::<TAG>();
        usize::try_from(number).ok().and_then(|number| tags.get(number)).map_or(&[], |tag| tag.as_slice())
    }
}

/// Whether all bytes were there: the file may become shorter while it is read.
fn is_whole(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn failed(_: Unspecified) -> io::Error {
    io::Error::other("the cryptographic library failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_layout_follows_from_the_length_of_the_file() {
        for code in [0, 1, PIECE - 1, PIECE, PIECE + 1, 40 * PIECE, 40 * PIECE + 7, MAX_CODE] {
            let layout = Layout::of_code(code);
            let length = code + layout.pieces * TAG as u64 + SALT as u64;
            assert_eq!(Layout::of_file(length), Some(layout), "{code}");
        }
        let longest = MAX_CODE + MAX_CODE / PIECE * TAG as u64 + SALT as u64;
        for length in [0, SALT as u64, SALT as u64 + TAG as u64 - 1, PIECE + 2 * TAG as u64 + SALT as u64, longest + 17]
        {
            assert_eq!(Layout::of_file(length), None, "{length}");
        }
    }
}
