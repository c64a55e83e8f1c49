//! Applying at the worker.

mod hook;
mod unit;

pub use hook::*;
pub use unit::*;
