//! The schedule: a pure state machine that keeps every lease alive.
//!
//! [`Schedule::handle`] takes one [`Event`] and a reading of the clocks, [`Schedule::next_action`] hands out what is to
//! be done, [`Schedule::wake_at`] says when to come back. It owns no timer, task, file or socket, and all chance comes
//! from one seed: so every rule has a test that needs no runtime, and whole histories are simulated and replayed.
//!
//! Each instance does one thing at a time: it rests, waits for its upstream's budget, is called, or is being saved. What
//! a call brought is saved first and published then. Instances know nothing of each other; they meet only in the queue,
//! where who was due first is called first.
//!
//! Expiry is told by the clock on the wall, delays by the one that only goes forward. A renewal is due by either, so that
//! a jump forward is noticed and a jump back delays nothing.

mod budget;
mod change;
mod clock;
pub mod delay;
mod ends;
mod event;
mod lease;
mod machine;
mod plans;
mod policy;
mod queue;
mod ratio;
mod saves;
mod settle;
mod slot;
mod trouble;
mod view;
mod wants;

#[cfg(test)]
mod tests;

pub use budget::{Begin, Budget, UpstreamName};
pub use clock::{Mono, Now};
pub use event::{Action, CallNumber, Configuration, Event, Notice, Outcome, Ticket, Work};
pub use lease::{Found, Lease, Origin, Record, Retired, Revision};
pub use machine::Schedule;
pub use policy::{ASSUMED_LIFETIME, Abilities, Fingerprint, Mode, Plan, Policy, Prefer, Retry, Revoke, When};
pub use ratio::{Ratio, RatioError};
pub use trouble::{Kind, Trouble};
pub use view::{Doing, Readiness, UpstreamView, View};
