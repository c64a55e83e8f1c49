//! Points of the wall clock.

use std::fmt;

use super::Span;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CivilDate {
    pub year: u64,
    /// From 1 to 12.
    pub month: u64,
    /// From 1 to 31.
    pub day: u64,
}

impl Timestamp {
    /// Later than all others: the expiry of what does not expire.
    pub const FOREVER: Self = Self(u64::MAX);

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Adds a span; saturates.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_millis()))
    }

    /// Subtracts a span; not below 1970.
    #[must_use]
    pub fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.as_millis()))
    }

    /// The span from `earlier` to this time, or zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Span {
        Span::millis(self.0.saturating_sub(earlier.0))
    }

    /// The date in UTC, by Howard Hinnant's `civil_from_days`.
    pub fn date(self) -> CivilDate {
        let days = self.0 / 86_400_000 + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        CivilDate { year: year_of_era + era * 400 + u64::from(month <= 2), month, day }
    }
}

impl CivilDate {
    /// The first moment of this day in UTC, by Howard Hinnant's `days_from_civil`. `None` if there is no such day, or
    /// before 1970.
    pub fn midnight(self) -> Option<Timestamp> {
        if !(1..=12).contains(&self.month) || !(1..=31).contains(&self.day) {
            return None;
        }
        let year = self.year.checked_sub(u64::from(self.month <= 2))?;
        let era = year / 400;
        let year_of_era = year % 400;
        let shifted_month = (self.month + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era.checked_mul(146_097)?.checked_add(day_of_era)?.checked_sub(719_468)?;
        let midnight = Timestamp(days.checked_mul(86_400_000)?);
        // The 31st of a shorter month is another day.
        (midnight.date() == self).then_some(midnight)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds; [`FOREVER`](Self::FOREVER) is `never`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::FOREVER {
            return f.write_str("never");
        }
        let CivilDate { year, month, day } = self.date();
        let of_day = self.0 % 86_400_000;
        let hour = of_day / 3_600_000;
        let minute = of_day / 60_000 % 60;
        let second = of_day / 1000 % 60;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", of_day % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_prints_as_rfc_3339() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(951_782_400_123).to_string(), "2000-02-29T00:00:00.123Z");
        assert_eq!(Timestamp::from_millis(1_440_938_160_000).to_string(), "2015-08-30T12:36:00.000Z");
        assert_eq!(Timestamp::from_millis(4_107_542_399_999).to_string(), "2100-02-28T23:59:59.999Z");
    }

    #[test]
    fn timestamp_in_seconds_is_rounded_down() {
        for (millis, secs) in [(0, 0), (999, 0), (1000, 1), (1_440_938_160_999, 1_440_938_160)] {
            assert_eq!(Timestamp::from_millis(millis).as_secs(), secs);
        }
    }

    #[test]
    fn timestamp_date_follows_the_calendar_for_ten_centuries() {
        let mut days = 0;
        for year in 1970..2970 {
            let leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
            let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, length) in (1..).zip(lengths) {
                for day in 1..=length {
                    let midnight = Timestamp::from_millis(days * 86_400_000);
                    assert_eq!(midnight.date(), CivilDate { year, month, day });
                    assert_eq!(CivilDate { year, month, day }.midnight(), Some(midnight));
                    days += 1;
                }
            }
        }
    }

    #[test]
    fn date_that_does_not_exist_has_no_midnight() {
        for (year, month, day) in [
            (2015, 2, 29),
            (2015, 4, 31),
            (2015, 0, 1),
            (2015, 13, 1),
            (2015, 1, 0),
            (2015, 1, 32),
            (1969, 12, 31),
            (0, 1, 1),
            (0, 0, 0),
            (2015, u64::MAX, 1),
            (2015, 1, u64::MAX),
            (u64::MAX, 1, 1),
        ] {
            assert_eq!(CivilDate { year, month, day }.midnight(), None, "{year} {month} {day}");
        }
    }

    #[test]
    fn timestamp_at_its_maximum_does_not_overflow() {
        assert!(Timestamp::from_millis(u64::MAX - 1).to_string().starts_with("584556019-04-03T14:25:51"));
        assert_eq!(Timestamp::FOREVER.to_string(), "never");
    }
}
