//! One component, one call.

mod account;
mod bindings;
mod clock;
mod guest_log;
mod logging;
mod redact;
mod secret_values;
mod secrets;
mod values;

pub use account::Usage;
pub use secrets::SourceError;
