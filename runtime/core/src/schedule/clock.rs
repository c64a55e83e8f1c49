//! The two clocks, as arguments: one tells when something expires, the other how long to wait.

use crate::{Span, Timestamp};

/// Differences between the clocks of less than this are drift.
pub(super) const CLOCK_TOLERANCE: Span = Span::secs(2);

/// A point of a clock that only goes forward, in milliseconds since some point of its own.
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

impl MonotonicTime {
    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// In milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_millis()))
    }

    /// From an earlier point to this one; nothing if the other is later.
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
