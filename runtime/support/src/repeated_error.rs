//! Errors of a loop that tries again.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::timer_now;

/// Without an error for so long, what is tried has succeeded.
const QUIET: Duration = Duration::from_secs(60);

/// Errors that are remembered. Members of a cluster may each have their own.
const MAX_ERRORS: usize = 8;

/// Tells the errors of a loop that tries again from those before, so that each is logged once while the trouble lasts.
#[derive(Debug, Default)]
pub struct RepeatedError {
    known: BTreeSet<String>,
    last: Option<Instant>,
}

impl RepeatedError {
    /// Notes an error. Whether it is to be logged: it is not known yet, and not one of too many.
    pub fn is_new(&mut self, error: &str) -> bool {
        self.is_new_at(timer_now(), error)
    }

    fn is_new_at(&mut self, now: Instant, error: &str) -> bool {
        if self.last.replace(now).is_none_or(|last| now.duration_since(last) >= QUIET) {
            self.known.clear();
        }
        self.known.len() < MAX_ERRORS && self.known.insert(error.to_owned())
    }

    /// What was tried has succeeded.
    pub fn clear(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_error_is_new_after_a_success_or_a_minute() {
        let mut error = RepeatedError::default();
        assert_eq!(["a", "b", "a", "b"].map(|text| error.is_new(text)), [true, true, false, false]);
        error.clear();
        let begun = timer_now();
        let after = [(0, true), (59, false), (118, false), (178, true)];
        for (seconds, is_new) in after {
            assert_eq!(error.is_new_at(begun + Duration::from_secs(seconds), "a"), is_new, "{seconds}");
        }
    }

    #[test]
    fn repeated_errors_that_all_differ_are_bounded() {
        let mut error = RepeatedError::default();
        let new = (0..1000).filter(|number| error.is_new(&number.to_string())).count();
        assert_eq!((new, error.known.len()), (MAX_ERRORS, MAX_ERRORS));
    }
}
