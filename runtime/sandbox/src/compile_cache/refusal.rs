//! What is known of a component that could not be compiled, so that it does not cost a child again at once.

use deputy_core::Span;
use deputy_support::Backoff;
use tokio::time::Instant;

use crate::compile::CompileError;

/// How long a refusal holds, at first and at most.
const LEAST: Span = Span::secs(60);
const MOST: Span = Span::secs(3600);

/// The refusals of one digest.
pub(super) struct Refusals {
    backoff: Backoff,
    last: Option<(CompileError, Instant)>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { backoff: Backoff::new(LEAST, MOST), last: None }
    }
}

impl Refusals {
    /// The last refusal, and how long it holds.
    pub(super) fn active(&self, now: Instant) -> Option<(&CompileError, Span)> {
        let (error, until) = self.last.as_ref()?;
        let left = until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some((error, Span::millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1))))
    }

    /// Remembers an error, if it is the component's.
    pub(super) fn note(&mut self, error: &CompileError, now: Instant) {
        if let Some(error) = error.of_component() {
            self.last = Some((error, now + self.backoff.fail(0).duration()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn refusal_holds_longer_each_time_and_an_hour_at_most() {
        let now = deputy_support::timer_now();
        let mut refusals = Refusals::default();
        assert!(refusals.active(now).is_none());
        refusals.note(&CompileError::Invalid("bad".into()), now);
        assert_eq!(refusals.active(now).unwrap().1, LEAST);
        assert!(refusals.active(now + Duration::from_secs(60)).is_none());
        for _ in 0..20 {
            refusals.note(&CompileError::Slow(Span::secs(120)), now);
        }
        assert_eq!(refusals.active(now).unwrap().1, MOST);
    }

    #[test]
    fn refusal_is_not_what_the_machine_could_not_do() {
        let now = deputy_support::timer_now();
        let mut refusals = Refusals::default();
        let source = std::io::Error::from(std::io::ErrorKind::OutOfMemory);
        refusals.note(&CompileError::Start { program: "deputy".into(), source }, now);
        assert!(refusals.active(now).is_none());
    }
}
