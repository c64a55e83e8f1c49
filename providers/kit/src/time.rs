//! Times as services write them.

use crate::types::Timestamp;

const DAY: u64 = 86_400;

/// `20150830T123600Z`, as AWS signs it.
#[must_use]
pub fn basic(at: Timestamp) -> String {
    let seconds = at / 1000;
    let (year, month, day) = date(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Reads `2026-11-22T18:00:00Z`, with a fraction or an offset from UTC as well (RFC 3339). None: it is no such time, or
/// before 1970.
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
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second - offset;
    let millis = u64::try_from(seconds).ok()?.checked_mul(1000)?;
    millis.checked_add(fraction.map_or(Some(0), milliseconds)?)
}

/// `+01:00` as seconds.
fn offset_seconds(text: &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let [hours, minutes] = numbers(text.get(1..)?, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn milliseconds(fraction: &str) -> Option<u64> {
    let digits = |byte: u8| byte.is_ascii_digit();
    if fraction.is_empty() || !fraction.bytes().all(digits) {
        return None;
    }
    fraction.chars().chain("00".chars()).take(3).collect::<String>().parse().ok()
}

/// Exactly N numbers of so many digits, so none is large.
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

// The two ways between days and dates are Howard Hinnant's: years begin in March, so that the leap day is the last.

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
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Year, month and day of a day since 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
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
    fn known_times_are_written_as_aws_signs_them() {
        assert_eq!(basic(0), "19700101T000000Z");
        assert_eq!(basic(1_440_938_160_000), "20150830T123600Z");
        assert_eq!(basic(1_709_251_199_999), "20240229T235959Z");
    }

    #[test]
    fn what_is_written_is_read_again_on_each_day_for_six_hundred_years() {
        for day in 0..220_000 {
            let at = day * DAY * 1000 + 12_345_000;
            let (year, month, of_month) = date(day);
            let extended = format!("{year:04}-{month:02}-{of_month:02}T03:25:45Z");
            assert_eq!(parse_rfc3339(&extended), Some(at), "{extended}");
        }
    }

    #[test]
    fn fractions_and_offsets_are_understood() {
        assert_eq!(parse_rfc3339("2015-08-30T12:36:00Z"), Some(1_440_938_160_000));
        assert_eq!(parse_rfc3339("2015-08-30T12:36:00.5Z"), Some(1_440_938_160_500));
        assert_eq!(parse_rfc3339("2015-08-30T12:36:00.123456789Z"), Some(1_440_938_160_123));
        assert_eq!(parse_rfc3339("2015-08-30T14:36:00+02:00"), Some(1_440_938_160_000));
        assert_eq!(parse_rfc3339("2015-08-30T07:06:00-05:30"), Some(1_440_938_160_000));
    }

    #[test]
    fn no_other_text_is_a_time() {
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
