//! Hadoop's `Writable` encoding: integers of variable length, and bytes with their length in front.
//!
//! Source: `org.apache.hadoop.io.WritableUtils` (`writeVLong`, `readVLong`) and `org.apache.hadoop.io.Text`.

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WritableError {
    /// They end early, or a length in them is larger than what is left.
    #[error("it ends early")]
    Truncated,
    /// A length, a date or a number is negative or too large.
    #[error("a number in it is out of range")]
    OutOfRange,
    /// A text is not UTF-8.
    #[error("a text in it is not UTF-8")]
    NotText,
    /// Something follows.
    #[error("something follows its end")]
    TooLong,
}

/// Appends an integer in one to nine bytes: `VInt` and `VLong` are the same.
pub fn put_long(out: &mut Vec<u8>, value: i64) {
    if let Ok(small) = i8::try_from(value)
        && small >= -112
    {
        out.extend(small.to_be_bytes());
        return;
    }
    // The first byte has the sign and the number of bytes that follow; those hold the number, or its complement.
    let (base, bits) = if value < 0 { (-120_i8, !value) } else { (-112_i8, value) };
    let bytes = bits.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(zeros..).unwrap_or_default();
    let count = i8::try_from(digits.len()).unwrap_or(8);
    out.extend(base.saturating_sub(count).to_be_bytes());
    out.extend(digits);
}

/// Appends bytes with their length in front, as `Text` and byte arrays are written.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_long(out, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    out.extend(bytes);
}

/// Reads from the front of bytes that a stranger wrote. Nothing is copied.
#[derive(Clone, Debug)]
pub struct WritableReader<'a> {
    rest: &'a [u8],
}

impl<'a> WritableReader<'a> {
    /// Reads all of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// One byte.
    ///
    /// # Errors
    /// At the end.
    pub fn byte(&mut self) -> Result<u8, WritableError> {
        let (byte, rest) = self.rest.split_first().ok_or(WritableError::Truncated)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// An integer of one to nine bytes.
    ///
    /// # Errors
    /// If it ends early.
    pub fn long(&mut self) -> Result<i64, WritableError> {
        let first = i8::from_be_bytes([self.byte()?]);
        let (count, is_negative) = match first {
            -112.. => return Ok(i64::from(first)),
            -120..=-113 => (first.abs_diff(-112), false),
            ..=-121 => (first.abs_diff(-120), true),
        };
        let bits = self.exactly(usize::from(count))?.iter().fold(0_i64, |bits, byte| bits << 8 | i64::from(*byte));
        Ok(if is_negative { !bits } else { bits })
    }

    /// An integer that is an `int` in Java.
    ///
    /// # Errors
    /// If it ends early or is larger than an `int`.
    pub fn int(&mut self) -> Result<i32, WritableError> {
        i32::try_from(self.long()?).map_err(|_| WritableError::OutOfRange)
    }

    /// An integer that is no length and no number below zero: a date, a count.
    ///
    /// # Errors
    /// If it ends early or is negative.
    pub fn unsigned(&mut self) -> Result<u64, WritableError> {
        u64::try_from(self.long()?).map_err(|_| WritableError::OutOfRange)
    }

    /// Bytes with their length in front.
    ///
    /// # Errors
    /// If the length is negative or larger than what is left.
    pub fn bytes(&mut self) -> Result<&'a [u8], WritableError> {
        let length = usize::try_from(self.int()?).map_err(|_| WritableError::OutOfRange)?;
        self.exactly(length)
    }

    /// A `Text`.
    ///
    /// # Errors
    /// As for [`Self::bytes`], and if it is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, WritableError> {
        str::from_utf8(self.bytes()?).map_err(|_| WritableError::NotText)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// If something is left.
    pub fn finish(self) -> Result<(), WritableError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WritableError::TooLong) }
    }

    fn exactly(&mut self, length: usize) -> Result<&'a [u8], WritableError> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(WritableError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, unhex, vectors};

    #[test]
    fn writable_integers_are_those_of_hadoop() {
        let mut count = 0;
        for (value, bytes) in vectors("vlong") {
            let value: i64 = value.parse().unwrap();
            let mut written = Vec::new();
            put_long(&mut written, value);
            assert_eq!(hex(&written), bytes, "{value}");
            let bytes = unhex(bytes);
            let mut reader = WritableReader::new(&bytes);
            assert_eq!((reader.long(), reader.finish()), (Ok(value), Ok(())));
            count += 1;
        }
        assert!(count >= 20, "{count} vectors");
    }

    #[test]
    fn writable_integer_that_ends_early_is_refused() {
        for value in [i64::MAX, i64::MIN, 1_700_000_000_000, -113, 128] {
            let mut written = Vec::new();
            put_long(&mut written, value);
            for end in 0..written.len() {
                assert_eq!(WritableReader::new(&written[..end]).long(), Err(WritableError::Truncated));
            }
        }
    }

    #[test]
    fn writable_length_that_lies_is_refused() {
        for (length, error) in [
            (4, WritableError::Truncated),
            (i64::from(i32::MAX), WritableError::Truncated),
            (2 << 30, WritableError::OutOfRange),
            (i64::MAX, WritableError::OutOfRange),
            (-1, WritableError::OutOfRange),
            (i64::MIN, WritableError::OutOfRange),
        ] {
            let mut written = Vec::new();
            put_long(&mut written, length);
            written.extend(b"abc");
            assert_eq!(WritableReader::new(&written).bytes(), Err(error), "{length}");
            assert_eq!(WritableReader::new(&written).text(), Err(error), "{length}");
        }
    }

    #[test]
    fn writable_text_is_utf8_and_ends_where_it_says() {
        let mut reader = WritableReader::new(b"\x02\xc3\xa9\x01\xff\x00");
        assert_eq!(reader.text(), Ok("é"));
        assert_eq!(reader.text(), Err(WritableError::NotText));
        assert_eq!(reader.clone().finish(), Err(WritableError::TooLong));
        assert_eq!((reader.text(), reader.finish()), (Ok(""), Ok(())));
    }

    #[test]
    fn writable_numbers_have_their_ranges() {
        let mut written = Vec::new();
        put_long(&mut written, -1);
        assert_eq!(WritableReader::new(&written).unsigned(), Err(WritableError::OutOfRange));
        assert_eq!(WritableReader::new(&written).int(), Ok(-1));
        written.clear();
        put_long(&mut written, i64::from(i32::MAX) + 1);
        assert_eq!(WritableReader::new(&written).int(), Err(WritableError::OutOfRange));
    }
}
