//! What a value looks like: how long it may be, and whether the newline at its end is part of it.

use deputy_core::{ByteSize, SecretBytes};

use crate::{SourceError, SourceLocation};

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueShape {
    limit: ByteSize,
    ending: Ending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Kept,
    /// One newline is cut off.
    Cut,
}

impl ValueShape {
    /// A key or password: 64 KiB of text, four times the largest RSA key.
    pub const SECRET: Self = Self::text(ByteSize::kib(64));

    /// At most so many bytes, without the newline that editors and `echo` add.
    pub const fn text(limit: ByteSize) -> Self {
        Self { limit, ending: Ending::Cut }
    }

    /// At most so many bytes, all of them as they are: of a token's file, the last byte may be a newline.
    pub const fn bytes(limit: ByteSize) -> Self {
        Self { limit, ending: Ending::Kept }
    }

    /// How much there may be to read, with the newline.
    pub(crate) fn most(self) -> usize {
        self.limit.as_usize().saturating_add(match self.ending {
            Ending::Kept => 0,
            Ending::Cut => 2,
        })
    }

    pub(crate) fn size(self, place: SourceLocation) -> SourceError {
        SourceError::Size { place, limit: self.limit }
    }

    /// The value in what was read.
    pub(crate) fn finish(self, read: &[u8], place: SourceLocation) -> Result<SecretBytes, SourceError> {
        let value = match self.ending {
            Ending::Kept => read,
            Ending::Cut => read.strip_suffix(b"\n").map_or(read, |line| line.strip_suffix(b"\r").unwrap_or(line)),
        };
        if value.len() > self.limit.as_usize() {
            return Err(self.size(place));
        }
        if value.is_empty() {
            return Err(SourceError::Empty(place));
        }
        Ok(SecretBytes::new(value.to_vec()))
    }
}
