//! The clock by which TLS judges certificates.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::time::Clock;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

pub(crate) struct TlsClock(pub(crate) Arc<dyn Clock>);

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.now().wall.as_millis())))
    }
}

impl fmt::Debug for TlsClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClock")
    }
}
