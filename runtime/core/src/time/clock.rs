//! The two clocks: the wall clock says when something expires, the monotonic clock how long to wait.

use super::{Span, Timestamp};

/// A point of a clock that only goes forward, in milliseconds since an arbitrary origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct MonotonicTime(u64);

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For delays. It may stand still while the machine sleeps.
    pub mono: MonotonicTime,
    /// For expiries. It may jump either way.
    pub wall: Timestamp,
}

/// Reads both clocks. A closure is one, too.
pub trait Clock: Send + Sync {
    fn now(&self) -> Now;
}

impl<F: Fn() -> Now + Send + Sync> Clock for F {
    fn now(&self) -> Now {
        self()
    }
}

impl MonotonicTime {
    /// Later than all others.
    pub const NEVER: Self = Self(u64::MAX);

    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Adds a span; saturates.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_millis()))
    }

    /// The span from `earlier` to this time, or zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Span {
        Span::millis(self.0.saturating_sub(earlier.0))
    }
}

impl Now {
    /// When the wait for a wall time ends, if no clock jumps.
    pub fn mono_at(self, wall: Timestamp) -> MonotonicTime {
        self.mono.plus(wall.since(self.wall))
    }
}
