//! Time: points, spans and readings of the clocks. Nothing here reads a clock; `deputy-support` does.

mod clock;
mod span;
mod timestamp;

pub use self::clock::{Clock, MonotonicTime, Now};
pub use self::span::Span;
pub use self::timestamp::{CivilDate, Timestamp};
