//! Time: what is true, and what the two clocks make of it.

use deputy_core::Timestamp;
use deputy_core::time::{MonotonicTime, Now};

pub(crate) struct Clocks {
    /// Milliseconds that really went by. Services and budgets live by it.
    pub(crate) truth: u64,
    mono: u64,
    /// In microseconds, so that drift adds up.
    wall: u64,
    /// How much faster the clock on the wall runs, in millionths.
    pub(crate) drift: i64,
}

/// What a true clock shows at the beginning.
pub(crate) const EPOCH: u64 = 1_700_000_000_000;

impl Clocks {
    pub(crate) fn new() -> Self {
        Self { truth: 0, mono: 1, wall: EPOCH * 1000, drift: 0 }
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono: MonotonicTime::from_millis(self.mono), wall: Timestamp::from_millis(self.wall / 1000) }
    }

    /// The time by a clock that is right.
    pub(crate) fn right(&self) -> Timestamp {
        Timestamp::from_millis(EPOCH + self.truth)
    }

    /// When this point of the clock for delays will really be.
    pub(crate) fn truth_at(&self, mono: MonotonicTime) -> u64 {
        self.truth + mono.as_millis().saturating_sub(self.mono)
    }

    pub(crate) fn go_to(&mut self, truth: u64) {
        let millis = truth.saturating_sub(self.truth);
        self.mono += millis;
        self.sleep(millis);
    }

    /// The machine sleeps: one clock stands still.
    pub(crate) fn sleep(&mut self, millis: u64) {
        self.truth += millis;
        let drift = i64::try_from(millis).unwrap() * self.drift / 1000;
        self.wall = (self.wall + millis * 1000).checked_add_signed(drift).unwrap();
    }

    /// The clock on the wall is set.
    pub(crate) fn step(&mut self, millis: i64) {
        self.wall = self.wall.checked_add_signed(millis * 1000).unwrap();
    }

    /// The clock on the wall is right again.
    pub(crate) fn correct(&mut self) {
        self.wall = self.right().as_millis() * 1000;
    }

    /// The machine starts again, and so does the clock for delays.
    pub(crate) fn boot(&mut self) {
        self.mono = 1;
    }
}
