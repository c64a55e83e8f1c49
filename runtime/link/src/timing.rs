//! The clock of timers, in one place.

use std::time::Duration;

use tokio::time::Instant;

/// Now, by the clock that tests can stop.
#[expect(clippy::disallowed_methods, reason = "the shell around the protocol is where time comes in")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits, where nothing tells that the wait is over.
#[expect(clippy::disallowed_methods, reason = "to wait before the next try is what is wanted")]
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
