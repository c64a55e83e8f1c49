//! The clocks of one machine: none runs as fast as the true time.

use std::sync::Mutex;
use std::time::Duration;

use deputy_core::Timestamp;
use deputy_core::time::{Clock, MonotonicTime, Now};
use deputy_support::LockUnpoisoned as _;

/// What a true clock shows at the beginning.
const EPOCH: u64 = 1_700_000_000_000;

const MILLION: i64 = 1_000_000;

/// Times are milliseconds; `truth` is the true time since the beginning.
pub(super) struct MachineClock {
    /// A true time, and what the clock for delays showed then.
    from: (u64, u64),
    /// How much faster than the truth it runs, in millionths.
    drift: i64,
    /// How long the machine was suspended, by its own clock.
    suspended: u64,
    /// How far the wall clock is ahead.
    skew: i64,
}

impl MachineClock {
    pub(super) fn new(drift: i64, skew: i64) -> Self {
        Self { from: (0, 1), drift, suspended: 0, skew }
    }

    pub(super) fn set_drift(&mut self, truth: u64, drift: i64) {
        self.from = (truth, self.mono(truth));
        self.drift = drift;
    }

    /// The machine was suspended for this time, which has passed.
    pub(super) fn suspend(&mut self, truth: u64, span: u64) {
        let before = self.mono(truth - span);
        self.suspended += self.mono(truth) - before;
        self.from = (truth, before);
    }

    pub(super) fn mono(&self, truth: u64) -> u64 {
        let passed = i64::try_from(truth - self.from.0).unwrap();
        self.from.1 + u64::try_from(passed + passed * self.drift / MILLION).unwrap()
    }

    /// Since the machine started, with the time for which it was suspended.
    pub(super) fn boot(&self, truth: u64) -> Duration {
        Duration::from_millis(self.mono(truth) + self.suspended)
    }

    pub(super) fn now(&self, truth: u64) -> Now {
        let wall = Timestamp::from_millis((EPOCH + truth).checked_add_signed(self.skew).unwrap());
        Now { mono: MonotonicTime::from_millis(self.mono(truth)), wall }
    }

    /// When the clock for delays will show this, if the machine is not suspended: never too early.
    pub(super) fn truth_at(&self, mono: u64) -> u64 {
        let left = i64::try_from(mono.saturating_sub(self.from.1)).unwrap();
        let mut truth = self.from.0 + u64::try_from(left - left * self.drift / (MILLION + self.drift)).unwrap();
        while self.mono(truth) < mono {
            truth += 1;
        }
        truth
    }
}

/// The clocks of a machine as they were when its process last ran, for what has clocks of its own.
pub(super) struct ReadClock(Mutex<Now>);

impl ReadClock {
    pub(super) fn new(now: Now) -> Self {
        Self(Mutex::new(now))
    }

    pub(super) fn set(&self, now: Now) {
        *self.0.lock_unpoisoned() = now;
    }
}

impl Clock for ReadClock {
    fn now(&self) -> Now {
        *self.0.lock_unpoisoned()
    }
}

/// The time by a clock that is right.
pub(super) fn right(truth: u64) -> Timestamp {
    Timestamp::from_millis(EPOCH + truth)
}
