//! Timers by tokio's clock, which stands still where a test pauses it.

use std::time::Duration;

use tokio::time::Instant;

/// The clock that tokio's timers use.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the timers' clock")]
pub fn timer_now() -> Instant {
    Instant::now()
}

/// Waits where no event ends the wait earlier. Drop the future to cancel it.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
