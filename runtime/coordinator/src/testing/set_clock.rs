//! A clock that the test sets.

use std::sync::atomic::{AtomicU64, Ordering};

use deputy_core::Span;
use deputy_core::time::{Clock, Now};
use deputy_support::SystemClock;

/// A clock whose wall time is set apart from its monotonic time.
#[derive(Default)]
pub(crate) struct SetClock {
    clock: SystemClock,
    passed: AtomicU64,
    ahead: AtomicU64,
}

impl SetClock {
    pub(crate) fn pass(&self, seconds: u64) {
        self.passed.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn set_ahead(&self, seconds: u64) {
        self.ahead.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Now {
        let Now { mono, wall } = self.clock.now();
        let passed = Span::secs(self.passed.load(Ordering::Relaxed));
        Now { mono: mono.plus(passed), wall: wall.plus(passed).plus(Span::secs(self.ahead.load(Ordering::Relaxed))) }
    }
}
