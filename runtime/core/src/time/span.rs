//! Lengths of time, as operators write them: `30s`, `1h30m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::text::excerpt;
use crate::units::{EXCERPT, UnitError, parse_sum};

/// A length of time, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Span {
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// As the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// In milliseconds; saturates.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse_sum(text, &UNITS).map(Self::millis).ok_or_else(|| UnitError::Duration(excerpt(text, EXCERPT)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in UNITS {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn span_parses_units_from_days_to_milliseconds() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("1s5ms", 1005)]
        {
            assert_eq!(text.parse(), Ok(Span::millis(millis)), "{text}");
        }
    }

    #[test]
    fn span_rejects_ambiguous_texts() {
        for text in ["", "30", "s", "30 s", "30m1h", "1h1h", "-1s", "1.5h", "99999999999999999d", "1s5"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn span_error_quotes_the_input() {
        let error = "30".parse::<Span>().unwrap_err().to_string();
        assert!(error.starts_with("\"30\" is not a duration"), "{error}");
    }

    proptest! {
        #[test]
        fn span_survives_the_round_trip(millis in 0..u64::MAX / 2) {
            let span = Span::millis(millis);
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
