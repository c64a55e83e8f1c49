//! One component, one call.

mod account;
mod bindings;
mod clock;
mod http;
mod network;
mod secrets;
mod sockets;
#[cfg(test)]
mod testing;
mod values;

pub use account::Usage;
pub use network::{Resolver, SystemResolver};
