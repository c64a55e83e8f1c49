//! When the holder of a lock keeps it alive, and when it gives it up: before etcd may, by any clock. Pure: times are arguments.
//!
//! Times are since the machine started, with those for which it was suspended: etcd counts them as well.

use std::time::Duration;

const KEEP_ALIVE: Duration = Duration::from_secs(1).saturating_add(Duration::from_millis(500));

/// How long a member may take to answer.
const ANSWER: Duration = Duration::from_secs(1);

/// After a failure.
const RETRY: Duration = Duration::from_millis(200);

/// The holder gives up this long before etcd may.
const MARGIN: Duration = Duration::from_millis(500);

/// The times of a lock that is held.
#[derive(Debug, Clone)]
pub struct LockKeeper {
    /// When the holder gives up.
    end: Duration,
    /// After what time to keep it alive again.
    next: Duration,
    is_failing: bool,
}

/// How a request to keep the lock alive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAliveResult {
    /// etcd no longer has the lock.
    Ended,
    /// No answer came.
    Failed,
    Kept,
}

impl LockKeeper {
    /// How long a lock outlives its holder.
    pub const LEASE: Duration = Duration::from_secs(5);

    /// Of a lock whose lease was asked for at this time.
    pub fn new(asked_at: Duration) -> Self {
        Self { end: end(asked_at), next: KEEP_ALIVE, is_failing: false }
    }

    /// When the holder gives up, unless it keeps the lock alive.
    pub fn end(&self) -> Duration {
        self.end
    }

    /// How long to wait before the lock is kept alive, or `None` if it may have ended.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        Some(self.next.min(self.left(now)?))
    }

    /// How long the answer to a request that is sent now may take, or `None` if the lock may have ended.
    pub fn answer_limit(&self, now: Duration) -> Option<Duration> {
        Some(ANSWER.min(self.left(now)?))
    }

    /// Takes in the end of a request that was sent at this time.
    pub fn answered(&mut self, sent_at: Duration, result: KeepAliveResult) {
        match result {
            KeepAliveResult::Ended => self.end = Duration::ZERO,
            KeepAliveResult::Failed => self.next = RETRY,
            // Counted from when the request was sent: etcd counts from a later time.
            KeepAliveResult::Kept => (self.end, self.next) = (end(sent_at), KEEP_ALIVE),
        }
        self.is_failing = result == KeepAliveResult::Failed;
    }

    /// Whether the last request failed.
    pub fn is_failing(&self) -> bool {
        self.is_failing
    }

    fn left(&self, now: Duration) -> Option<Duration> {
        Some(self.end.saturating_sub(now)).filter(|left| !left.is_zero())
    }
}

fn end(sent_at: Duration) -> Duration {
    sent_at + LockKeeper::LEASE.saturating_sub(MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn lock_deadline_counts_from_when_its_request_was_sent() {
        let mut keeper = LockKeeper::new(at(1000));
        assert_eq!(
            (keeper.wait(at(1100)), keeper.wait(at(5499)), keeper.wait(at(5500))),
            (Some(at(1500)), Some(at(1)), None)
        );
        keeper.answered(at(2600), KeepAliveResult::Failed);
        assert_eq!((keeper.end(), keeper.wait(at(3600)), keeper.is_failing()), (at(5500), Some(at(200)), true));
        assert_eq!((keeper.answer_limit(at(3800)), keeper.answer_limit(at(5000))), (Some(at(1000)), Some(at(500))));
        keeper.answered(at(3800), KeepAliveResult::Kept);
        assert_eq!((keeper.end(), keeper.wait(at(4700)), keeper.is_failing()), (at(8300), Some(at(1500)), false));
        assert_eq!(keeper.answer_limit(at(20_000)), None, "a holder that was stopped keeps nothing alive");
        keeper.answered(at(6200), KeepAliveResult::Ended);
        assert_eq!(keeper.wait(at(6300)), None);
    }
}
