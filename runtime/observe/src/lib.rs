//! What happened, for those who look later: audit events of every capability that a component used.
//!
//! An event says who (instance and call), what (host, method, path, status, bytes; secret and operation) and how it
//! ended. It is one JSON line. It never holds a secret's value, a payload, a query string, or a text of a component's
//! choosing that is longer than the limits allow or holds control characters (JSON escapes those).

mod audit;
mod event;

pub use audit::{Audit, AuditError};
pub use event::{CallId, Event, Outcome, What};
