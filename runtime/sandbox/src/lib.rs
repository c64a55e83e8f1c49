//! One component, one call.

mod account;
mod bindings;
mod cache;
mod clock;
mod compile;
mod engine;
mod limiter;
mod secrets;

pub use account::Usage;
pub use cache::CacheError;
pub use compile::{CompileError, Compiler, compile_child};
