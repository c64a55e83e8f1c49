//! The shape of a value: how long it may be, and whether the newline at its end is part of it.

use deputy_core::{ByteSize, SecretBytes};

use crate::{SourceError, SourceLocation};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueShape {
    limit: ByteSize,
    newline: Newline,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newline {
    /// Part of the value.
    Kept,
    /// One at the end is removed.
    Stripped,
}

impl ValueShape {
    /// A key or password: 64 KiB of text, four times the largest RSA key.
    pub const SECRET: Self = Self::text(ByteSize::kib(64));

    /// At most `limit` bytes, without the newline that editors and `echo` add.
    pub const fn text(limit: ByteSize) -> Self {
        Self { limit, newline: Newline::Stripped }
    }

    /// At most `limit` bytes, unchanged: the last byte of a raw key may be a newline.
    pub const fn bytes(limit: ByteSize) -> Self {
        Self { limit, newline: Newline::Kept }
    }

    /// How many bytes may be read, newline included.
    pub(crate) fn read_limit(self) -> usize {
        self.limit.as_usize().saturating_add(match self.newline {
            Newline::Kept => 0,
            Newline::Stripped => 2,
        })
    }

    pub(crate) fn too_long(self, location: SourceLocation) -> SourceError {
        SourceError::Size { location, limit: self.limit }
    }

    /// The value in what was read.
    pub(crate) fn finish(self, read: &[u8], location: SourceLocation) -> Result<SecretBytes, SourceError> {
        let value = match self.newline {
            Newline::Kept => read,
            Newline::Stripped => read.strip_suffix(b"\n").map_or(read, |line| line.strip_suffix(b"\r").unwrap_or(line)),
        };
        if value.len() > self.limit.as_usize() {
            return Err(self.too_long(location));
        }
        if value.is_empty() {
            return Err(SourceError::Empty(location));
        }
        Ok(SecretBytes::new(value.to_vec()))
    }
}
