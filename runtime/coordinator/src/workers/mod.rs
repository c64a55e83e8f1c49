//! Workers: their enrolment, their deliveries, and their sessions.
//!
//! [`enrolment`] is one task that owns all records; it replies when what it did is written, so that a join that is cut off
//! either has no effect or is completed when the worker tries again. Leases take another way, from the board through
//! [`fanout`] to the group feeds of the link, and know nothing of enrolment but the group. An operator's command (remove or
//! ban a worker) reaches the sessions at once.

mod audience;
mod enrolment;
mod fanout;
mod link_handler;
mod recorder;
mod service;
mod status;
#[cfg(test)]
mod tests;
mod trusted_clock;
mod usage;

pub(crate) use audience::is_current;
pub(crate) use enrolment::{AUTHORITY, WORKER};
pub use enrolment::{EnrolmentError, authority_key};
pub(crate) use fanout::delivery;
pub use service::{WorkerRequestError, WorkerServiceOptions, WorkerTasks, Workers, WorkersError};
pub use status::{AppliedStatus, GroupCount, TokenStatus, WorkerCondition, WorkerPage, WorkerQuery, WorkerStatus};
pub(crate) use trusted_clock::ClockJudgement;
