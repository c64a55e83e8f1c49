//! Sizes and durations as operators write them: `64MiB`, `30s`, `1h30m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Why a text is no size or duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// No duration.
    #[error("{0:?} is not a duration: write a number and a unit, such as \"500ms\", \"30s\", \"15m\", \"12h\", \"7d\"")]
    Duration(String),
    /// No size.
    #[error("{0:?} is not a size: write a number and a unit, such as \"512B\", \"64KiB\", \"64MiB\", \"1GiB\"")]
    Size(String),
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

/// A length of time, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const SPANS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl ByteSize {
    /// So many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many times 1,024 bytes.
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// So many times 1,048,576 bytes.
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// The number of bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The number of bytes, or as many as this machine can address.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parts(text, &SIZES).filter(|_| single(text)).map(Self).ok_or_else(|| UnitError::Size(shown(text)))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = SIZES.iter().find(|(_, n)| self.0 >= *n && self.0.is_multiple_of(*n)).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Span {
    /// So many milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// So many seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// As the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// In milliseconds.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parts(text, &SPANS).map(Self::millis).ok_or_else(|| UnitError::Duration(shown(text)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in SPANS {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

/// The sum of `number unit` parts, units falling in size, or `None`.
fn parts(text: &str, units: &[(&str, u64)]) -> Option<u64> {
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

/// Whether there is one part only: `1GiB512MiB` reads badly.
fn single(text: &str) -> bool {
    text.trim_start_matches(|c: char| c.is_ascii_digit()).bytes().all(|b| b.is_ascii_alphabetic())
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_as_operators_write_them() {
        for (text, bytes) in [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("64MiB", 64 << 20), ("2GiB", 2 << 30)] {
            assert_eq!(text.parse(), Ok(ByteSize::bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn sizes_are_counted_and_shown_in_the_largest_unit_that_fits() {
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
    fn an_error_shows_what_was_written_and_not_all_of_a_long_one() {
        let size = |text: &str| text.parse::<ByteSize>().unwrap_err().to_string();
        let span = |text: &str| text.parse::<Span>().unwrap_err().to_string();
        assert!(size("8KB").starts_with("\"8KB\" is not a size"), "{}", size("8KB"));
        assert!(span("30").starts_with("\"30\" is not a duration"), "{}", span("30"));
        assert_eq!(size(&"x".repeat(1000)), size(&"x".repeat(40)));
        assert_ne!(size(&"x".repeat(40)), size(&"x".repeat(39)));
    }

    #[test]
    fn a_size_without_a_known_unit_is_refused() {
        for text in ["", "64", "MiB", "64MB", "64 MiB", "-1B", "1GiB512MiB", "1.5MiB", "99999999999GiB", "1B1"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn durations_are_read_as_operators_write_them() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("1s5ms", 1005)]
        {
            assert_eq!(text.parse(), Ok(Span::millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_duration_that_could_be_misread_is_refused() {
        for text in ["", "30", "s", "30 s", "30m1h", "1h1h", "-1s", "1.5h", "99999999999999999d", "1s5"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_size_survives_the_round_trip(bytes: u64) {
            let size = ByteSize::bytes(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn every_duration_survives_the_round_trip(millis in 0..u64::MAX / 2) {
            let span = Span::millis(millis);
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
