//! What a provider brings back: tokens, or a failure that says what to do next.

use std::fmt;

use crate::{SecretBytes, Span};

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// What a provider obtained.
#[derive(Debug)]
pub struct Tokens {
    /// For the receivers of the provider's service; opaque here.
    pub payload: SecretBytes,
    /// When the service will stop to accept them, if it said.
    pub valid_until: Option<Timestamp>,
}

/// Why a provider failed. The texts come from a component: bounded and free of control characters, but not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFailure {
    /// The service understood and refused.
    #[error("denied: {0}")]
    Denied(String),
    /// A setting or grant is missing or wrong.
    #[error("misconfigured: {0}")]
    Misconfigured(String),
    /// The service asked to slow down.
    #[error("throttled, retry after {retry_after}: {message}")]
    Throttled {
        /// What the service said.
        message: String,
        /// The least time to wait.
        retry_after: Span,
    },
    /// No answer, or one that says "later".
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl Timestamp {
    /// From milliseconds since 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z.
    pub fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_millis()))
    }

    /// So much earlier, or the beginning of time.
    #[must_use]
    pub fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.as_millis()))
    }

    /// From an earlier time to this one; nothing if the other is later.
    pub fn since(self, earlier: Self) -> Span {
        Span::millis(self.0.saturating_sub(earlier.0))
    }

    /// Year, month and day in UTC, by Howard Hinnant's `civil_from_days`.
    pub fn date(self) -> (u64, u64, u64) {
        let days = self.0 / 86_400_000 + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        (year_of_era + era * 400 + u64::from(month <= 2), month, day)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let of_day = self.0 % 86_400_000;
        let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", of_day % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_prints_as_rfc_3339() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(951_782_400_123).to_string(), "2000-02-29T00:00:00.123Z");
        assert_eq!(Timestamp::from_millis(1_440_938_160_000).to_string(), "2015-08-30T12:36:00.000Z");
        assert_eq!(Timestamp::from_millis(4_107_542_399_999).to_string(), "2100-02-28T23:59:59.999Z");
    }

    #[test]
    fn seconds_are_whole_and_never_rounded_up() {
        for (millis, secs) in [(0, 0), (999, 0), (1000, 1), (1_440_938_160_999, 1_440_938_160)] {
            assert_eq!(Timestamp::from_millis(millis).as_secs(), secs);
        }
    }

    #[test]
    fn every_day_of_ten_centuries_has_the_date_of_the_calendar() {
        let mut days = 0;
        for year in 1970..2970 {
            let leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
            let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, length) in (1..).zip(lengths) {
                for day in 1..=length {
                    let begun = Timestamp::from_millis(days * 86_400_000);
                    assert_eq!(begun.date(), (year, month, day));
                    days += 1;
                }
            }
        }
    }

    #[test]
    fn the_greatest_timestamp_does_not_overflow() {
        assert!(Timestamp::from_millis(u64::MAX).to_string().starts_with("584556019-04-03T14:25:51"));
    }
}
