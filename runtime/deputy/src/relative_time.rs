//! Times as people read them: relative to now, with no more than two units.

use deputy_core::Span;

/// A time in at most two units.
pub(crate) fn short_time(millis: u64) -> String {
    let seconds = millis / 1000;
    let rounded = match seconds {
        0 => Span::millis(millis),
        1..3600 => Span::secs(seconds),
        3600..86_400 => Span::secs(seconds / 60 * 60),
        _ => Span::secs(seconds / 3600 * 3600),
    };
    rounded.to_string()
}

/// `in 5s`, or `5s ago` if it is not positive.
pub(crate) fn in_or_ago(millis: i64) -> String {
    let time = short_time(millis.unsigned_abs());
    if millis > 0 { format!("in {time}") } else { format!("{time} ago") }
}

/// How long a lease is valid, or how long ago it expired; `None` if it does not expire.
pub(crate) fn valid_for(millis: Option<i64>) -> String {
    match millis {
        None => "for ever".to_owned(),
        Some(millis) if millis > 0 => short_time(millis.unsigned_abs()),
        Some(millis) => in_or_ago(millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_time_has_two_units_at_most() {
        for (millis, text) in [
            (0, "0s"),
            (999, "999ms"),
            (59_999, "59s"),
            (61_500, "1m1s"),
            (3_599_999, "59m59s"),
            (3_600_000, "1h"),
            (86_399_999, "23h59m"),
            (90_061_000, "1d1h"),
            (31_536_000_000, "365d"),
        ] {
            assert_eq!(short_time(millis), text);
        }
    }

    #[test]
    fn relative_time_says_whether_it_is_past() {
        assert_eq!(in_or_ago(61_500), "in 1m1s");
        assert_eq!(in_or_ago(-5000), "5s ago");
        assert_eq!(valid_for(Some(61_500)), "1m1s");
        assert_eq!(valid_for(Some(-5000)), "5s ago");
        assert_eq!(valid_for(None), "for ever");
    }
}
