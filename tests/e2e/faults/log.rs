//! The log of a coordinator that runs: one JSON object a line.

use serde_json::Value;

use crate::running::Running;

/// One line.
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

/// All lines so far. Whoever was killed while writing one left a part of it.
pub(crate) fn lines(running: &Running<'_>) -> Vec<Line> {
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

/// The milliseconds between two times of one month.
pub(crate) fn millis_between(from: &str, to: &str) -> i64 {
    millis(to) - millis(from)
}

fn millis(time: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| time[range].parse::<i64>().unwrap();
    let (day, hour, minute, second) = (number(8..10), number(11..13), number(14..16), number(17..19));
    (((day * 24 + hour) * 60 + minute) * 60 + second) * 1000 + number(20..23)
}
