//! A share of something: `0.75`.

use std::fmt;
use std::str::FromStr;

use crate::{Span, excerpt};

/// A share from 0 to 1, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(u16);

/// A text is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a ratio: write a number from 0 to 1 with at most three decimals, such as 0.75")]
pub struct RatioError(String);

impl Ratio {
    /// A ratio in thousandths, at most 1000.
    pub const fn thousandths(thousandths: u16) -> Self {
        Self(if thousandths > 1000 { 1000 } else { thousandths })
    }

    /// This share of a time.
    pub fn apply(self, span: Span) -> Span {
        let millis = u128::from(span.as_millis()) * u128::from(self.0) / 1000;
        Span::millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// Whether one of many things is in this share, by a random number.
    pub const fn takes(self, random: u64) -> bool {
        random % 1000 < self.0 as u64
    }

    /// What is left beside this share.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(1000 - self.0)
    }

    /// A share of this share, `part` being uniform over all of `u16`.
    #[must_use]
    pub fn scale(self, part: u16) -> Self {
        let scaled = u32::from(self.0) * u32::from(part) / u32::from(u16::MAX);
        Self::thousandths(u16::try_from(scaled).unwrap_or(1000))
    }
}

impl FromStr for Ratio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Self, RatioError> {
        parse_thousandths(text).map(Self).ok_or_else(|| RatioError(excerpt(text, 40)))
    }
}

/// Parses `0` to `1` with at most three decimals.
fn parse_thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if !is_digits(whole) || !is_digits(decimals) || decimals.len() > 3 {
        return None;
    }
    let whole: u16 = whole.parse().ok()?;
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    let thousandths = whole.checked_mul(1000)?.checked_add(decimals)?;
    (thousandths <= 1000).then_some(thousandths)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        let short = text.trim_end_matches('0');
        f.write_str(if short.ends_with('.') { text.trim_end_matches("00") } else { short })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratio_survives_the_round_trip() {
        for thousandths in 0..=1000 {
            let ratio = Ratio::thousandths(thousandths);
            assert_eq!(ratio.to_string().parse(), Ok(ratio));
        }
        assert_eq!(Ratio::thousandths(750).to_string(), "0.75");
        assert_eq!(Ratio::thousandths(1000).to_string(), "1.0");
        assert_eq!(Ratio::thousandths(0).to_string(), "0.0");
        assert_eq!("1".parse(), Ok(Ratio::thousandths(1000)));
    }

    #[test]
    fn ratio_outside_0_to_1_is_rejected() {
        for text in ["", ".", ".5", "1.", "1.1", "2", "-0.5", "0.7500", "1e-1", "0,5", "70000", "nan"] {
            assert!(text.parse::<Ratio>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn ratio_of_the_longest_span_does_not_overflow() {
        assert_eq!(Ratio::thousandths(1000).apply(Span::millis(u64::MAX)), Span::millis(u64::MAX));
        assert_eq!(Ratio::thousandths(500).apply(Span::millis(100)), Span::millis(50));
        assert_eq!(Ratio::thousandths(500).scale(u16::MAX), Ratio::thousandths(500));
        assert_eq!(Ratio::thousandths(500).scale(0), Ratio::thousandths(0));
        assert_eq!(Ratio::thousandths(250).complement(), Ratio::thousandths(750));
    }
}
