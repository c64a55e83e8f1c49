//! The clocks of this machine, read here and nowhere else.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use deputy_core::time::{Clock, MonotonicTime, Now, Timestamp};

/// Time since the machine started, with the time for which it was suspended.
pub fn time_since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The wall clock, and a monotonic clock that begins when the value is made.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// The wall clock alone, where no [`Clock`] is at hand.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn wall() -> Timestamp {
        Timestamp::from_millis(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
    }
}

/// The wall clock in nanoseconds since 1970, for spans: some of them are shorter than a millisecond.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn wall_nanos() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    fn default() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    fn now(&self) -> Now {
        let since_origin = Instant::now().saturating_duration_since(self.origin);
        Now { mono: MonotonicTime::from_millis(millis(since_origin)), wall: Self::wall() }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
