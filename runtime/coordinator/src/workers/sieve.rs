//! How much strangers may have written in a minute: each attempt costs them little, and a line of the log takes room. All
//! are counted elsewhere.

use std::sync::{Mutex, PoisonError};

use deputy_core::Timestamp;

/// Lets so many through in a minute.
pub(super) struct Sieve {
    most: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    minute: u64,
    count: u32,
    held_back: u64,
}

impl Sieve {
    pub(super) fn new(most: u32) -> Self {
        Self { most, state: Mutex::default() }
    }

    /// Whether this one goes through; then how many were held back since the last that did.
    pub(super) fn pass(&self, now: Timestamp) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.as_secs() / 60;
        if state.minute != minute {
            (state.minute, state.count) = (minute, 0);
        }
        if state.count >= self.most {
            state.held_back += 1;
            return None;
        }
        state.count += 1;
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_go_through_in_a_minute_and_the_next_that_does_says_how_many_did_not() {
        let sieve = Sieve::new(3);
        let (now, later) = (Timestamp::from_millis(60_000), Timestamp::from_millis(120_000));
        assert_eq!([0; 5].map(|_| sieve.pass(now)), [Some(0), Some(0), Some(0), None, None]);
        assert_eq!([0; 2].map(|_| sieve.pass(later)), [Some(2), Some(0)]);
    }
}
