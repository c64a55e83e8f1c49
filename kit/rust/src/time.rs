//! Times in the formats of services.
//!
//! Written here and not taken from a crate, for the size of components: `jiff` and `time` bring formats, time zones and
//! error types that providers have no use for.

use crate::types::Timestamp;

const DAY: u64 = 86_400;

/// `20150830T123600Z`, as AWS signs it.
#[must_use]
pub fn basic(at: Timestamp) -> String {
    let seconds = at / 1000;
    let (year, month, day) = date(seconds / DAY);
    let [hour, minute, second] = time_of_day(seconds);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// `2015-08-30T12:36:00Z`, without the part of a second.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    let seconds = at / 1000;
    let (year, month, day) = date(seconds / DAY);
    let [hour, minute, second] = time_of_day(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn time_of_day(seconds: u64) -> [u64; 3] {
    [seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60]
}

/// Parses `2026-11-22T18:00:00Z`, with a fraction or an offset from UTC as well (RFC 3339); `+0100` and the basic form of
/// ISO 8601, `20261122T180000Z`, too. `None` for other texts, without an offset
/// from UTC, and before 1970.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let (clock, offset) = match rest.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let (clock, offset) = rest.split_at_checked(rest.rfind(['+', '-'])?)?;
            (clock, offset_seconds(offset)?)
        }
    };
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let date = numbers(date, '-', [4, 2, 2]).or_else(|| fixed_width(date, [4, 2, 2]))?;
    let clock = numbers(clock, ':', [2, 2, 2]).or_else(|| fixed_width(clock, [2, 2, 2]))?;
    let millis = u64::try_from(seconds(date, clock)? - offset).ok()?.checked_mul(1000)?;
    millis.checked_add(fraction.map_or(Some(0), milliseconds)?)
}

/// Parses seconds since 1970, as AWS's JSON protocols write a time: `1659377625`, `1.659377625E9`. `None` for other
/// texts, and outside of the years 2001 to 5138, so that a duration or a number of milliseconds is not taken for a time.
#[must_use]
pub fn parse_epoch(text: &str) -> Option<Timestamp> {
    // Excludes signs at the front, "inf" and "NaN", which `f64` would parse.
    if !text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '+' | 'e' | 'E')) {
        return None;
    }
    let seconds = text.parse::<f64>().ok()?;
    // A float with this many digits is exact to far less than a millisecond.
    (1e9..1e11).contains(&seconds).then_some((seconds * 1000.0) as Timestamp)
}

/// Parses seconds, also with a fraction, as milliseconds, rounded up and saturating.
#[must_use]
pub fn parse_delay(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let beyond = fraction.get(3..).is_some_and(|rest| rest.bytes().any(|byte| byte != b'0'));
    let millis = milliseconds(fraction)?.saturating_add(u64::from(beyond));
    Some(whole.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1000).saturating_add(millis))
}

/// Parses an HTTP date in any of its three forms (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday,
/// 06-Nov-94 08:49:37 GMT`, `Sun Nov  6 08:49:37 1994`. The day of the week is not checked.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    let words: Vec<&str> = text.split([' ', '-']).filter(|word| !word.is_empty()).collect();
    let (day, month, year, clock) = match words.as_slice() {
        [weekday, day, month, year, clock, "GMT"] if weekday.ends_with(',') => (day, month, year, clock),
        [_, month, day, clock, year] => (day, month, year, clock),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| name == month)?;
    let [day] = numbers(day, ' ', [2]).or_else(|| numbers(day, ' ', [1]))?;
    let year = match numbers(year, ' ', [4]) {
        Some([year]) => year,
        // Two digits are taken for a year from 1970 to 2069.
        None => numbers(year, ' ', [2]).map(|[year]| if year < 70 { 2000 + year } else { 1900 + year })?,
    };
    let seconds = seconds([year, i64::try_from(month).ok()? + 1, day], numbers(clock, ':', [2, 2, 2])?)?;
    u64::try_from(seconds).ok()?.checked_mul(1000)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970 of a date and a time of day.
fn seconds([year, month, day]: [i64; 3], [hour, minute, second]: [i64; 3]) -> Option<i64> {
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second)
}

/// `+01:00` or `+0100` as seconds.
fn offset_seconds(text: &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let text = text.get(1..)?;
    let [hours, minutes] = numbers(text, ':', [2, 2]).or_else(|| fixed_width(text, [2, 2]))?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Exactly N numbers of these numbers of digits, without separators.
fn fixed_width<const N: usize>(text: &str, digits: [usize; N]) -> Option<[i64; N]> {
    let mut rest = text;
    let mut found = [0; N];
    for (number, digits) in found.iter_mut().zip(digits) {
        let (part, behind) = rest.split_at_checked(digits)?;
        *number = part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()?;
        rest = behind;
    }
    rest.is_empty().then_some(found)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn milliseconds(fraction: &str) -> Option<u64> {
    if !is_digits(fraction) {
        return None;
    }
    fraction.chars().chain("00".chars()).take(3).collect::<String>().parse().ok()
}

/// Exactly N numbers of these numbers of digits.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut found = [0; N];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part =
            parts.next().filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

// The conversions between days and dates are Howard Hinnant's: years begin in March, so that the leap day is the last.

/// Days since 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Year, month and day of a day since 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_basic_is_as_aws_signs_it() {
        assert_eq!(basic(0), "19700101T000000Z");
        assert_eq!(basic(1_440_938_160_000), "20150830T123600Z");
        assert_eq!(basic(1_709_251_199_999), "20240229T235959Z");
    }

    #[test]
    fn time_round_trips_for_six_hundred_years() {
        for day in 0..220_000 {
            let at = day * DAY * 1000 + 12_345_000;
            let extended = rfc3339(at);
            assert!(extended.ends_with("T03:25:45Z"), "{extended}");
            assert_eq!(parse_rfc3339(&extended), Some(at), "{extended}");
        }
    }

    #[test]
    fn rfc3339_fractions_and_offsets_are_parsed() {
        assert_eq!(parse_rfc3339("2015-08-30T12:36:00Z"), Some(1_440_938_160_000));
        assert_eq!(parse_rfc3339("2015-08-30T12:36:00.5Z"), Some(1_440_938_160_500));
        assert_eq!(parse_rfc3339("2015-08-30T12:36:00.123456789Z"), Some(1_440_938_160_123));
        assert_eq!(parse_rfc3339("2015-08-30T14:36:00+02:00"), Some(1_440_938_160_000));
        assert_eq!(parse_rfc3339("2015-08-30T07:06:00-05:30"), Some(1_440_938_160_000));
        assert_eq!(parse_rfc3339("2015-08-30T14:36:00+0200"), Some(1_440_938_160_000));
        assert_eq!(parse_rfc3339("20150830T123600Z"), Some(1_440_938_160_000));
        assert_eq!(parse_rfc3339("20150830T123600.25Z"), Some(1_440_938_160_250));
    }

    #[test]
    fn epoch_seconds_are_parsed_and_durations_are_not() {
        assert_eq!(parse_epoch("1440938160"), Some(1_440_938_160_000));
        assert_eq!(parse_epoch("1.659377625E9"), Some(1_659_377_625_000));
        assert_eq!(parse_epoch("1440938160.5"), Some(1_440_938_160_500));
        for text in ["3600", "3600000", "1440938160000", "-1440938160", "inf", "NaN", "", "1e", "0x5fffffff"] {
            assert_eq!(parse_epoch(text), None, "{text}");
        }
    }

    #[test]
    fn delay_is_whole_or_fractional_seconds_rounded_up() {
        for (text, expected) in [("0", 0), ("120", 120_000), ("1.5", 1500), ("0.0001", 1), ("1.2340", 1234)] {
            assert_eq!(parse_delay(text), Some(expected), "{text}");
        }
        assert_eq!(parse_delay("99999999999999999999999"), Some(u64::MAX));
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1 ", "1.5.5"] {
            assert_eq!(parse_delay(text), None, "{text}");
        }
    }

    #[test]
    fn http_date_is_read_in_its_three_forms() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse_http_date(text), Some(784_111_777_000), "{text}");
        }
        assert_eq!(parse_http_date("Sunday, 30-Aug-15 12:36:00 GMT"), Some(1_440_938_160_000));
        for text in [
            "",
            "Sun",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, é6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1964 08:49:37 GMT",
        ] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
    }

    #[test]
    fn rfc3339_rejects_other_texts() {
        for text in [
            "",
            "T",
            "Z",
            "2015-08-30",
            "2015-08-30T12:36:00",
            "2015-02-29T00:00:00Z",
            "2015-13-01T00:00:00Z",
            "2015-00-10T00:00:00Z",
            "2015-08-30T24:00:00Z",
            "2015-08-30T12:36Z",
            "2015-8-30T12:36:00Z",
            "1969-12-31T23:59:59Z",
            "2015-08-30T12:36:00.Z",
            "2015-08-30T12:36:00.xZ",
            "2015-08-30T12:36:00+é",
            "2015-08-30T12:36:00+24:00",
            "+015-08-30T12:36:00Z",
            "99999-08-30T12:36:00Z",
            "2015-08-30T12:36:00ZZ",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text:?}");
        }
    }
}
