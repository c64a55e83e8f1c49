//! A bound on how often something happens: token buckets, alone and one per key.

use std::collections::BTreeMap;
use std::sync::Mutex;

use deputy_core::{Span, Timestamp};

use crate::LockUnpoisoned;

/// A token bucket. It holds `burst` permits and gains them all back, evenly, in `period`.
///
/// A clock that steps back loses no permits; one that steps forward refills the bucket, at most to `burst`.
#[derive(Debug)]
pub struct RateLimiter {
    rate: Rate,
    bucket: Mutex<Bucket>,
}

/// A rate limit for each key, such as a worker or an address.
///
/// At most `capacity` keys are tracked. When all places are taken by keys that are over their limit or close to it,
/// further keys share one bucket, so that inventing keys gains nothing.
#[derive(Debug)]
pub struct KeyedRateLimiter<K> {
    rate: Rate,
    capacity: usize,
    buckets: Mutex<Buckets<K>>,
}

#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: u32,
    period: Span,
}

#[derive(Debug)]
struct Buckets<K> {
    by_key: BTreeMap<K, Bucket>,
    shared: Bucket,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Permits in units of 1/period, so that nothing is lost by rounding.
    level: u64,
    refilled: Timestamp,
    suppressed: u64,
}

impl RateLimiter {
    /// A full bucket of `burst` permits. An empty one refills within `period`.
    pub fn new(burst: u32, period: Span) -> Self {
        let rate = Rate { burst, period };
        Self { rate, bucket: Mutex::new(rate.full()) }
    }

    /// Takes a permit. Returns how many attempts were suppressed since the last permit, or `None` if there is no permit.
    pub fn acquire(&self, now: Timestamp) -> Option<u64> {
        self.bucket.lock_unpoisoned().acquire(self.rate, now)
    }
}

impl<K: Ord> KeyedRateLimiter<K> {
    /// A full bucket of `burst` permits for each key. An empty one refills within `period`.
    pub fn new(burst: u32, period: Span, capacity: usize) -> Self {
        let rate = Rate { burst, period };
        Self { rate, capacity, buckets: Mutex::new(Buckets { by_key: BTreeMap::new(), shared: rate.full() }) }
    }

    /// Takes a permit of the key. Returns how many of its attempts were suppressed since its last permit, or `None` if
    /// there is no permit.
    pub fn acquire(&self, key: K, now: Timestamp) -> Option<u64> {
        let mut buckets = self.buckets.lock_unpoisoned();
        if let Some(bucket) = buckets.by_key.get_mut(&key) {
            return bucket.acquire(self.rate, now);
        }
        if buckets.by_key.len() >= self.capacity {
            buckets.forget_idle(self.rate, now);
        }
        if buckets.by_key.len() >= self.capacity {
            return buckets.shared.acquire(self.rate, now);
        }
        buckets.by_key.entry(key).or_insert(self.rate.full()).acquire(self.rate, now)
    }

    /// How many keys are tracked.
    pub fn tracked(&self) -> usize {
        self.buckets.lock_unpoisoned().by_key.len()
    }
}

impl<K: Ord> Buckets<K> {
    /// Forgets full buckets. What they suppressed since their last permit is counted as the shared one's.
    fn forget_idle(&mut self, rate: Rate, now: Timestamp) {
        let Self { by_key, shared } = self;
        by_key.retain(|_, bucket| {
            let is_idle = bucket.is_idle(rate, now);
            if is_idle {
                shared.suppressed = shared.suppressed.saturating_add(bucket.suppressed);
            }
            !is_idle
        });
    }
}

impl Rate {
    fn full(self) -> Bucket {
        Bucket { level: self.capacity(), refilled: Timestamp::from_millis(0), suppressed: 0 }
    }

    fn capacity(self) -> u64 {
        u64::from(self.burst).saturating_mul(self.permit())
    }

    fn permit(self) -> u64 {
        self.period.as_millis().max(1)
    }
}

impl Bucket {
    fn acquire(&mut self, rate: Rate, now: Timestamp) -> Option<u64> {
        self.refill(rate, now);
        if self.level < rate.permit() {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.level -= rate.permit();
        Some(std::mem::take(&mut self.suppressed))
    }

    fn refill(&mut self, rate: Rate, now: Timestamp) {
        let gained = now.since(self.refilled).as_millis().saturating_mul(u64::from(rate.burst));
        self.level = self.level.saturating_add(gained).min(rate.capacity());
        self.refilled = now;
    }

    /// Whether forgetting the bucket grants nothing that it would not.
    fn is_idle(&mut self, rate: Rate, now: Timestamp) -> bool {
        self.refill(rate, now);
        self.level == rate.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Span = Span::secs(60);

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    #[test]
    fn rate_limiter_grants_a_burst_and_counts_what_it_suppresses() {
        let limiter = RateLimiter::new(3, MINUTE);
        assert_eq!([0; 5].map(|_| limiter.acquire(at(1000))), [Some(0), Some(0), Some(0), None, None]);
        assert_eq!(limiter.acquire(at(1020)), Some(2));
        assert_eq!(limiter.acquire(at(1020)), None);
    }

    #[test]
    fn rate_limiter_survives_a_clock_that_steps_back() {
        let limiter = RateLimiter::new(1, MINUTE);
        assert_eq!(limiter.acquire(at(100_000)), Some(0));
        assert_eq!(limiter.acquire(at(10)), None);
        assert_eq!(limiter.acquire(at(70)), Some(1));
    }

    #[test]
    fn rate_limiter_keeps_keys_apart() {
        let limiter = KeyedRateLimiter::new(1, MINUTE, 10);
        assert_eq!(limiter.acquire("a", at(1)), Some(0));
        assert_eq!(limiter.acquire("a", at(1)), None);
        assert_eq!(limiter.acquire("b", at(1)), Some(0));
    }

    #[test]
    fn rate_limiter_forgets_keys_that_were_over_their_limit() {
        let limiter = KeyedRateLimiter::new(1, MINUTE, 2);
        for key in [1, 1, 2, 2] {
            limiter.acquire(key, at(1));
        }
        assert_eq!(limiter.acquire(3, at(100)), Some(0));
        assert_eq!(limiter.tracked(), 1, "their places are free");
        limiter.acquire(4, at(100));
        assert_eq!(limiter.acquire(5, at(100)), Some(2), "what they suppressed is not lost");
    }

    #[test]
    fn rate_limiter_tracks_a_bounded_number_of_keys() {
        let limiter = KeyedRateLimiter::new(1, MINUTE, 10);
        let granted = (0..1000).filter(|key| limiter.acquire(*key, at(1)).is_some()).count();
        assert_eq!((granted, limiter.tracked()), (11, 10));
        assert_eq!(limiter.acquire(5000, at(100)), Some(0));
        assert_eq!(limiter.tracked(), 1);
    }
}
