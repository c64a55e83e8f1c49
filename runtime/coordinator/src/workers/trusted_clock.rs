//! A wall clock that is not followed at once when it jumps.
//!
//! What is done by a wrong reading outlives it: certificates that are not valid yet, an authority that is replaced. So the
//! wall time is carried on by the monotonic clock, and a reading that differs from that is followed once it has been so for
//! [`SETTLE`]. Until the clock has been steady for that long at the start, there is nothing to hold it against, and every
//! reading is followed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use deputy_core::time::{Clock, MonotonicTime, Now};
use deputy_core::{Span, Timestamp};

/// How long a reading has to be steady before it is trusted.
const SETTLE: Span = Span::secs(300);

/// How far a reading may be off at each check: clocks are slewed, and drift.
const TOLERANCE: Span = Span::secs(30);

/// The clock of enrolment and of the link.
pub(super) struct TrustedClock {
    source: Arc<dyn Clock>,
    judgement: Mutex<Judgement>,
    /// What the trusted wall clock showed when the monotonic clock was at zero. Wraps, so that it may be before 1970.
    origin: AtomicU64,
    steady: AtomicBool,
}

/// What is trusted, and what may be trusted next.
#[derive(Debug, Clone, Copy)]
struct Judgement {
    trusted: Reading,
    doubted: Option<Reading>,
}

/// The difference between both clocks, and since when it has been so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    origin: u64,
    since: MonotonicTime,
}

/// What became of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It agrees with what is trusted.
    Steady,
    /// It is as wrong as the one before.
    Doubted,
    /// It is the first that differs, or the first that differs in this way.
    Jumped,
    /// It differs, and is trusted from now on.
    Followed,
    /// It agrees again with what was trusted all the time.
    Right,
}

impl TrustedClock {
    pub(super) fn new(source: Arc<dyn Clock>) -> Self {
        let judgement = Judgement::new(source.now());
        let origin = AtomicU64::new(judgement.trusted.origin);
        Self { source, judgement: Mutex::new(judgement), origin, steady: AtomicBool::new(true) }
    }

    /// Whether the clock shows what it is trusted to show.
    pub(super) fn is_steady(&self) -> bool {
        self.steady.load(Ordering::Relaxed)
    }

    /// The trusted wall time.
    pub(super) fn wall(&self) -> Timestamp {
        self.now().wall
    }

    /// Compares the clocks.
    pub(super) fn check(&self) {
        let now = self.source.now();
        let mut judgement = self.judgement.lock().unwrap_or_else(PoisonError::into_inner);
        let trusted = wall(judgement.trusted.origin, now.mono);
        let verdict = judgement.judge(now);
        self.origin.store(judgement.trusted.origin, Ordering::Relaxed);
        self.steady.store(judgement.doubted.is_none(), Ordering::Relaxed);
        match verdict {
            Verdict::Steady | Verdict::Doubted => {}
            Verdict::Jumped => tracing::warn!(
                shows = %now.wall, %trusted,
                "the clock jumped: no worker gets a certificate before the clock is right again, or steady for {SETTLE}"
            ),
            Verdict::Followed => tracing::warn!(shows = %now.wall, was = %trusted, "the clock was set: it is followed"),
            Verdict::Right => tracing::info!(shows = %now.wall, "the clock is right again"),
        }
    }
}

impl Clock for TrustedClock {
    fn now(&self) -> Now {
        let mono = self.source.now().mono;
        Now { mono, wall: wall(self.origin.load(Ordering::Relaxed), mono) }
    }
}

impl Judgement {
    fn new(now: Now) -> Self {
        Self { trusted: Reading::of(now), doubted: None }
    }

    fn judge(&mut self, now: Now) -> Verdict {
        let read = Reading::of(now);
        if read.agrees(self.trusted) {
            self.trusted.origin = read.origin;
            return if self.doubted.take().is_some() { Verdict::Right } else { Verdict::Steady };
        }
        // Nothing was steady yet.
        if now.mono.since(self.trusted.since) < SETTLE {
            self.trusted = read;
            return Verdict::Followed;
        }
        match self.doubted.filter(|doubted| read.agrees(*doubted)) {
            None => {
                self.doubted = Some(read);
                Verdict::Jumped
            }
            Some(doubted) if now.mono.since(doubted.since) < SETTLE => {
                self.doubted = Some(Reading { origin: read.origin, since: doubted.since });
                Verdict::Doubted
            }
            Some(doubted) => {
                self.trusted = Reading { origin: read.origin, since: doubted.since };
                self.doubted = None;
                Verdict::Followed
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
    fn steady() -> Judgement {
        let mut judgement = Judgement::new(at(0, 1000));
        assert_eq!(judgement.judge(at(3600, 4600)), Verdict::Steady);
        judgement
    }

    fn trusted(judgement: &Judgement, mono: u64) -> u64 {
        wall(judgement.trusted.origin, MonotonicTime::from_millis(mono * 1000)).as_secs()
    }

    #[test]
    fn trusted_clock_ignores_a_jump_that_does_not_last() {
        for jump in [13 * HOUR / 1000, 200 * 24 * HOUR / 1000] {
            let mut judgement = steady();
            assert_eq!(judgement.judge(at(3605, 4605 + jump)), Verdict::Jumped);
            assert_eq!(judgement.judge(at(3610, 4610 + jump)), Verdict::Doubted);
            assert_eq!(trusted(&judgement, 3610), 4610);
            assert_eq!(judgement.judge(at(3615, 4615)), Verdict::Right);
            // The next jump begins anew.
            assert_eq!(judgement.judge(at(3620, 4620 + jump)), Verdict::Jumped);
            assert_eq!(judgement.judge(at(3915, 4915 + jump)), Verdict::Doubted);
            assert_eq!(trusted(&judgement, 3915), 4915);
        }
    }

    #[test]
    fn trusted_clock_follows_a_jump_either_way_that_lasts() {
        for wall in [90_000, 10] {
            let mut judgement = steady();
            assert_eq!(judgement.judge(at(3605, wall)), Verdict::Jumped);
            assert_eq!(judgement.judge(at(3904, wall + 299)), Verdict::Doubted);
            assert_eq!(judgement.judge(at(3905, wall + 300)), Verdict::Followed);
            assert_eq!((trusted(&judgement, 3905), judgement.doubted), (wall + 300, None));
        }
    }

    #[test]
    fn trusted_clock_follows_every_reading_until_one_was_steady() {
        let mut judgement = Judgement::new(at(0, 0));
        assert_eq!(judgement.judge(at(20, 900_000)), Verdict::Followed);
        assert_eq!(judgement.judge(at(319, 20)), Verdict::Followed);
        assert_eq!(judgement.judge(at(619, 320)), Verdict::Steady);
        assert_eq!(judgement.judge(at(620, 900_000)), Verdict::Jumped);
    }

    #[test]
    fn trusted_clock_is_slewed_and_does_not_settle_on_one_that_keeps_jumping() {
        let mut judgement = steady();
        for step in 1..100 {
            assert_eq!(judgement.judge(at(3600 + step * 60, 4600 + step * 80)), Verdict::Steady);
        }
        let mut judgement = steady();
        for step in 1..100 {
            assert_eq!(judgement.judge(at(3600 + step * 60, 4600 + step * 1000)), Verdict::Jumped);
        }
        assert_eq!(trusted(&judgement, 4000), 5000);
    }
}
