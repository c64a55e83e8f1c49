//! One component, one call.

mod account;
mod bindings;
mod clock;
mod secrets;

pub use account::Usage;
