//! One component, one call.

mod account;
mod bindings;
mod clock;
mod http;
mod network;
mod secrets;
mod sockets;
mod values;

pub use account::Usage;
pub use network::{Resolver, SystemResolver};
