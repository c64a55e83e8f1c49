//! Applying at the worker.

mod cache;
mod components;
mod hook;
mod machine;
mod plan;
mod receiver;
mod unit;

pub use cache::*;
pub use components::*;
pub use hook::*;
pub use machine::*;
pub use plan::*;
pub use receiver::*;
pub use unit::*;
