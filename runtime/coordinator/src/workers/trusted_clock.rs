//! A wall clock that does not follow a jump at once.
//!
//! The effects of a wrong reading outlive it: certificates that are not valid yet, an authority that was rotated. So the
//! monotonic clock carries the trusted wall time forward, and a reading that differs from it is trusted once it has differed
//! in the same way for [`SETTLE`]. Until the clock has been steady for that long after the start, every reading is trusted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use deputy_core::time::{Clock, MonotonicTime, Now};
use deputy_core::{Span, Timestamp};
use deputy_support::LockUnpoisoned;

/// How long a reading has to stay the same before it is trusted.
const SETTLE: Span = Span::secs(300);

/// How far a reading may be off at each check: clocks drift and are slewed.
const TOLERANCE: Span = Span::secs(30);

/// The clock of enrolment and of the link.
pub(super) struct TrustedClock {
    source: Arc<dyn Clock>,
    judgement: Mutex<ClockJudgement>,
    /// The trusted wall time at zero of the monotonic clock. Wraps, so that it may be before 1970.
    origin: AtomicU64,
    steady: AtomicBool,
}

/// What the readings so far say about the next one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockJudgement {
    trusted: Reading,
    doubted: Option<Reading>,
}

/// The difference between both clocks, and since when it has been so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    origin: u64,
    since: MonotonicTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockVerdict {
    Steady,
    /// Still different from the trusted time, in the same way.
    Doubted,
    /// The first reading that differs in this way.
    Jumped,
    /// Different, and trusted from now on.
    Followed,
    /// In agreement with the trusted time again.
    Recovered,
}

impl TrustedClock {
    pub(super) fn new(source: Arc<dyn Clock>) -> Self {
        let judgement = ClockJudgement::new(source.now());
        let origin = AtomicU64::new(judgement.trusted.origin);
        Self { source, judgement: Mutex::new(judgement), origin, steady: AtomicBool::new(true) }
    }

    /// Whether the clock agrees with the trusted time.
    pub(super) fn is_steady(&self) -> bool {
        self.steady.load(Ordering::Relaxed)
    }

    /// Whether the clock has been steady for [`SETTLE`], or for `at_most`, since it was last followed.
    pub(super) fn has_settled(&self, at_most: Span) -> bool {
        let since = self.judgement.lock_unpoisoned().trusted.since;
        self.is_steady() && self.source.now().mono.since(since) >= SETTLE.min(at_most)
    }

    /// The trusted wall time.
    pub(super) fn wall(&self) -> Timestamp {
        self.now().wall
    }

    /// Reads the clock, and judges the reading.
    pub(super) fn check(&self) {
        let now = self.source.now();
        let mut judgement = self.judgement.lock_unpoisoned();
        let trusted = wall(judgement.trusted.origin, now.mono);
        let verdict = judgement.judge(now);
        self.origin.store(judgement.trusted.origin, Ordering::Relaxed);
        self.steady.store(judgement.doubted.is_none(), Ordering::Relaxed);
        match verdict {
            ClockVerdict::Steady | ClockVerdict::Doubted => {}
            ClockVerdict::Jumped => tracing::warn!(
                shows = %now.wall, %trusted,
                "clock jump detected; certificates are issued again once the clock is right or steady for {SETTLE}"
            ),
            ClockVerdict::Followed => {
                tracing::warn!(shows = %now.wall, was = %trusted, "clock was set; the new time is trusted")
            }
            ClockVerdict::Recovered => tracing::info!(shows = %now.wall, "clock agrees with the trusted time again"),
        }
    }
}

impl Clock for TrustedClock {
    fn now(&self) -> Now {
        let mono = self.source.now().mono;
        Now { mono, wall: wall(self.origin.load(Ordering::Relaxed), mono) }
    }
}

impl ClockJudgement {
    pub(crate) fn new(now: Now) -> Self {
        Self { trusted: Reading::of(now), doubted: None }
    }

    /// Whether the clock has been steady for [`SETTLE`].
    pub(crate) fn is_settled(&self, now: Now) -> bool {
        self.doubted.is_none() && now.mono.since(self.trusted.since) >= SETTLE
    }

    pub(crate) fn judge(&mut self, now: Now) -> ClockVerdict {
        let read = Reading::of(now);
        if read.agrees(self.trusted) {
            self.trusted.origin = read.origin;
            return if self.doubted.take().is_some() { ClockVerdict::Recovered } else { ClockVerdict::Steady };
        }
        // Nothing was steady yet.
        if now.mono.since(self.trusted.since) < SETTLE {
            self.trusted = read;
            return ClockVerdict::Followed;
        }
        match self.doubted.filter(|doubted| read.agrees(*doubted)) {
            None => {
                self.doubted = Some(read);
                ClockVerdict::Jumped
            }
            Some(doubted) if now.mono.since(doubted.since) < SETTLE => {
                self.doubted = Some(Reading { origin: read.origin, since: doubted.since });
                ClockVerdict::Doubted
            }
            Some(doubted) => {
                self.trusted = Reading { origin: read.origin, since: doubted.since };
                self.doubted = None;
                ClockVerdict::Followed
            }
        }
    }
}

impl Reading {
    fn of(now: Now) -> Self {
        Self { origin: now.wall.as_millis().wrapping_sub(now.mono.as_millis()), since: now.mono }
    }

    fn agrees(self, other: Self) -> bool {
        let apart = self.origin.wrapping_sub(other.origin);
        apart.min(apart.wrapping_neg()) <= TOLERANCE.as_millis()
    }
}

fn wall(origin: u64, mono: MonotonicTime) -> Timestamp {
    Timestamp::from_millis(origin.wrapping_add(mono.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn at(mono: u64, wall: u64) -> Now {
        Now { mono: MonotonicTime::from_millis(mono * 1000), wall: Timestamp::from_millis(wall * 1000) }
    }

    /// Steady for an hour, with the wall clock 1,000 s ahead.
    fn steady() -> ClockJudgement {
        let mut judgement = ClockJudgement::new(at(0, 1000));
        assert_eq!(judgement.judge(at(3600, 4600)), ClockVerdict::Steady);
        judgement
    }

    fn trusted(judgement: &ClockJudgement, mono: u64) -> u64 {
        wall(judgement.trusted.origin, MonotonicTime::from_millis(mono * 1000)).as_secs()
    }

    #[test]
    fn trusted_clock_ignores_a_jump_that_does_not_last() {
        for jump in [13 * HOUR / 1000, 200 * 24 * HOUR / 1000] {
            let mut judgement = steady();
            assert_eq!(judgement.judge(at(3605, 4605 + jump)), ClockVerdict::Jumped);
            assert_eq!(judgement.judge(at(3610, 4610 + jump)), ClockVerdict::Doubted);
            assert_eq!(trusted(&judgement, 3610), 4610);
            assert_eq!(judgement.judge(at(3615, 4615)), ClockVerdict::Recovered);
            // The next jump starts again.
            assert_eq!(judgement.judge(at(3620, 4620 + jump)), ClockVerdict::Jumped);
            assert_eq!(judgement.judge(at(3915, 4915 + jump)), ClockVerdict::Doubted);
            assert_eq!(trusted(&judgement, 3915), 4915);
        }
    }

    #[test]
    fn trusted_clock_follows_a_jump_either_way_that_lasts() {
        for wall in [90_000, 10] {
            let mut judgement = steady();
            assert_eq!(judgement.judge(at(3605, wall)), ClockVerdict::Jumped);
            assert_eq!(judgement.judge(at(3904, wall + 299)), ClockVerdict::Doubted);
            assert_eq!(judgement.judge(at(3905, wall + 300)), ClockVerdict::Followed);
            assert_eq!((trusted(&judgement, 3905), judgement.doubted), (wall + 300, None));
        }
    }

    #[test]
    fn trusted_clock_follows_every_reading_until_one_was_steady() {
        let mut judgement = ClockJudgement::new(at(0, 0));
        assert_eq!(judgement.judge(at(20, 900_000)), ClockVerdict::Followed);
        assert_eq!(judgement.judge(at(319, 20)), ClockVerdict::Followed);
        assert_eq!(judgement.judge(at(619, 320)), ClockVerdict::Steady);
        assert_eq!(judgement.judge(at(620, 900_000)), ClockVerdict::Jumped);
    }

    #[test]
    fn trusted_clock_does_not_settle_while_the_clock_jumps() {
        let mut judgement = steady();
        for step in 1..100 {
            assert_eq!(judgement.judge(at(3600 + step * 60, 4600 + step * 80)), ClockVerdict::Steady);
        }
        let mut judgement = steady();
        for step in 1..100 {
            assert_eq!(judgement.judge(at(3600 + step * 60, 4600 + step * 1000)), ClockVerdict::Jumped);
        }
        assert_eq!(trusted(&judgement, 4000), 5000);
    }
}
