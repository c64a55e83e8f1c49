//! How often files are looked at, for `--watch` and `deputy dev`.

use std::time::Duration;

use deputy_support::timer_now;
use tokio::time::Instant;

const PAUSE: Duration = Duration::from_millis(300);
/// A look that takes long is followed by a pause that is longer: looking takes a tenth of a processor at most.
const PAUSE_PER_LOOK: u32 = 9;

/// A look at files that has begun.
pub(crate) struct Look(Instant);

impl Look {
    pub(crate) fn begin() -> Self {
        Self(timer_now())
    }

    /// The pause until the next look, now that this one is over. What a change leads to is no part of the look.
    pub(crate) fn end(self) -> Duration {
        pause_after(timer_now().saturating_duration_since(self.0))
    }
}

fn pause_after(look: Duration) -> Duration {
    PAUSE.max(look.saturating_mul(PAUSE_PER_LOOK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watch_takes_a_tenth_of_a_processor_at_most() {
        assert_eq!(pause_after(Duration::from_millis(1)), PAUSE);
        assert_eq!(pause_after(Duration::from_secs(1)), Duration::from_secs(9));
    }
}
