//! The log of a coordinator that runs: one JSON object a line.

use deputy_test_harness::RunningCoordinator;
use serde_json::Value;

#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// RFC 3339 to the millisecond, so that it can be compared with what the program prints elsewhere.
    pub(crate) at: String,
    pub(crate) level: String,
    pub(crate) message: String,
    fields: Value,
}

impl Line {
    /// A field, or nothing.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields[name].as_str().unwrap_or_default()
    }

    /// A number among the fields.
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.fields[name].as_i64().unwrap()
    }

    pub(crate) fn instance(&self) -> &str {
        self.field("instance")
    }
}

/// All lines so far. A process that was killed while it wrote one left a part of it.
pub(crate) fn lines(running: &RunningCoordinator<'_>) -> Vec<Line> {
    let text = running.log();
    let parsed = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |value: Value| Line {
        at: format!("{:.23}Z", value["timestamp"].as_str().unwrap()),
        level: word(&value["level"]),
        message: word(&value["fields"]["message"]),
        fields: value["fields"].clone(),
    };
    let lines: Vec<Line> = parsed.map(line).collect();
    assert!(!lines.is_empty(), "nothing was logged");
    lines
}

/// The milliseconds between two times.
pub(crate) fn millis_between(from: &str, to: &str) -> i64 {
    millis(to) - millis(from)
}

fn millis(time: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| time[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let (hour, minute, second) = (number(11..13), number(14..16), number(17..19));
    // A year that begins in March ends with the day that it may not have.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + number(20..23)
}

#[test]
fn times_are_compared_over_the_end_of_a_day_a_month_and_a_year() {
    for (from, to, millis) in [
        ("2026-11-30T23:59:59.900Z", "2026-12-01T00:00:00.000Z", 100),
        ("2027-12-31T23:00:00.000Z", "2028-01-01T01:00:00.000Z", 7_200_000),
        ("2028-02-28T00:00:00.000Z", "2028-03-01T00:00:00.000Z", 2 * 86_400_000),
        ("2027-02-28T00:00:00.000Z", "2027-03-01T00:00:00.001Z", 86_400_001),
    ] {
        assert_eq!(millis_between(from, to), millis, "{from}");
    }
}
