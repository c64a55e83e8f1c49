//! Applying at the worker.

mod hook;
mod machine;
mod plan;
mod receiver;
mod unit;

pub use hook::*;
pub use machine::*;
pub use plan::*;
pub use receiver::*;
pub use unit::*;
