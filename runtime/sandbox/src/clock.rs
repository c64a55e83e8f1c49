//! The clock of files. The other clocks are read by `deputy-support`.

use std::time::SystemTime;

/// The wall clock, as files have it.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock in this crate")]
pub(crate) fn system() -> SystemTime {
    SystemTime::now()
}
