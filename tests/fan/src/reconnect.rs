//! Bare workers come back as real ones do: after a delay that grows with each failure, each at a moment of its own, and
//! an attempt has an end.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use deputy_core::Span;
use deputy_link::client::{CONNECT_TIMEOUT, MAX_RECONNECT_DELAY, MIN_RECONNECT_DELAY};
use deputy_support::Backoff;
use fastrand::Rng;

/// When workers try again, and until when their attempts may last.
pub(crate) struct Reconnects {
    rng: Rng,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    /// In the order of their ends, since all last equally long: the worker, and which of its attempts it is.
    attempts: VecDeque<(Instant, usize, u32)>,
}

/// What one worker remembers of its failures.
pub(crate) struct Failures {
    backoff: Backoff,
    /// The time within which all workers return, as the server named it.
    pub(crate) spread: Span,
    attempt: u32,
}

impl Failures {
    pub(crate) fn new() -> Self {
        Self { backoff: Backoff::new(MIN_RECONNECT_DELAY, MAX_RECONNECT_DELAY), spread: Span::secs(0), attempt: 0 }
    }

    /// The worker is connected, and has what it wants.
    pub(crate) fn reset(&mut self) {
        self.backoff.reset();
        self.attempt += 1;
    }

    pub(crate) fn is_attempt(&self, attempt: u32) -> bool {
        self.attempt == attempt
    }
}

impl Reconnects {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), due: BinaryHeap::new(), attempts: VecDeque::new() }
    }

    pub(crate) fn begun(&mut self, worker: usize, failures: &mut Failures) {
        failures.attempt += 1;
        self.attempts.push_back((Instant::now() + CONNECT_TIMEOUT, worker, failures.attempt));
    }

    /// An attempt failed: the worker is due again later.
    pub(crate) fn failed(&mut self, worker: usize, failures: &mut Failures) {
        failures.attempt += 1;
        let is_first = failures.backoff.failures() == 0;
        let delay = failures.backoff.fail(self.rng.u16(..));
        let delay = if is_first {
            Duration::from_millis(self.rng.u64(0..=failures.spread.max(MIN_RECONNECT_DELAY).as_millis()))
        } else {
            delay.duration()
        };
        self.due.push(Reverse((Instant::now() + delay, worker)));
    }

    /// A worker whose time has come.
    pub(crate) fn next_due(&mut self) -> Option<usize> {
        let Reverse((at, worker)) = *self.due.peek()?;
        if at > Instant::now() {
            return None;
        }
        self.due.pop();
        Some(worker)
    }

    /// An attempt whose time is over. The worker may have made it, or be in another attempt.
    pub(crate) fn next_late(&mut self) -> Option<(usize, u32)> {
        let (at, worker, attempt) = *self.attempts.front()?;
        if at > Instant::now() {
            return None;
        }
        self.attempts.pop_front();
        Some((worker, attempt))
    }

    /// How long nothing has to be done.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let due = self.due.peek().map(|Reverse((at, _))| *at);
        let next = due.into_iter().chain(self.attempts.front().map(|(at, ..)| *at)).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// No worker wants anything any more.
    pub(crate) fn clear(&mut self) {
        self.due.clear();
        self.attempts.clear();
    }
}
