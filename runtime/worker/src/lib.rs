//! Applying at the worker.

mod unit;

pub use unit::*;
