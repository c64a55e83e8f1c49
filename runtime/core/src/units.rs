//! Sizes as operators write them, such as `64MiB`, and the parser of texts with units.
//!
//! Not the crates `humantime` and `bytesize`: they read several spellings of one value, and print a rounded one.

use std::fmt;
use std::str::FromStr;

use crate::text::excerpt;

/// A text is not a size or duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("{0:?} is not a duration: write a number and a unit, such as \"500ms\", \"30s\", \"15m\", \"12h\", \"7d\"")]
    Duration(String),
    #[error("{0:?} is not a size: write a number and a unit, such as \"512B\", \"64KiB\", \"64MiB\", \"1GiB\"")]
    Size(String),
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl ByteSize {
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Saturates at what this machine can address.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse_sum(text, &SIZES)
            .filter(|_| has_one_unit(text))
            .map(Self)
            .ok_or_else(|| UnitError::Size(excerpt(text, EXCERPT)))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = SIZES.iter().find(|(_, n)| self.0 >= *n && self.0.is_multiple_of(*n)).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// The sum of parts such as `1h30m`, units falling in size. `None` if the text has another form.
pub(crate) fn parse_sum(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text;
    let mut units = units.iter();
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at_checked(letters)?;
        let (_, factor) = units.find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(sum)
}

/// `1GiB512MiB` reads badly.
fn has_one_unit(text: &str) -> bool {
    text.trim_start_matches(|c: char| c.is_ascii_digit()).bytes().all(|b| b.is_ascii_alphabetic())
}

/// Characters of an input in an error.
pub(crate) const EXCERPT: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn byte_size_parses_units_from_bytes_to_gibibytes() {
        for (text, bytes) in [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("64MiB", 64 << 20), ("2GiB", 2 << 30)] {
            assert_eq!(text.parse(), Ok(ByteSize::bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn byte_size_prints_the_largest_unit_that_divides_it() {
        for (size, bytes, text) in [
            (ByteSize::bytes(0), 0, "0B"),
            (ByteSize::bytes(1023), 1023, "1023B"),
            (ByteSize::kib(1), 1 << 10, "1KiB"),
            (ByteSize::bytes(1025), 1025, "1025B"),
            (ByteSize::kib(1536), 1536 << 10, "1536KiB"),
            (ByteSize::mib(64), 64 << 20, "64MiB"),
            (ByteSize::mib(2048), 2 << 30, "2GiB"),
        ] {
            assert_eq!((size.as_u64(), size.as_usize() as u64, size.to_string().as_str()), (bytes, bytes, text));
        }
    }

    #[test]
    fn byte_size_error_quotes_at_most_40_characters() {
        let size = |text: &str| text.parse::<ByteSize>().unwrap_err().to_string();
        assert!(size("8KB").starts_with("\"8KB\" is not a size"), "{}", size("8KB"));
        assert_eq!(size(&"x".repeat(1000)), size(&"x".repeat(40)));
        assert_ne!(size(&"x".repeat(40)), size(&"x".repeat(39)));
    }

    #[test]
    fn byte_size_requires_a_known_unit() {
        for text in ["", "64", "MiB", "64MB", "64 MiB", "-1B", "1GiB512MiB", "1.5MiB", "99999999999GiB", "1B1"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn byte_size_survives_the_round_trip(bytes: u64) {
            let size = ByteSize::bytes(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
    }
}
