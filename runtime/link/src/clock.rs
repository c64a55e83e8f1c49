//! The wall clock of the coordinator's half: one for certificates, tickets and connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// Reads a wall clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The clock by which TLS judges certificates.
pub(crate) struct TlsClock(pub(crate) Clock);

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis((self.0)().as_millis())))
    }
}

impl fmt::Debug for TlsClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClock")
    }
}
