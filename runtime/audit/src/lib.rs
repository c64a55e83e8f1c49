//! Audit events of every capability that a component used, and the clocks.
//!
//! An event says who (instance or receiver, and call), what (host, method, path, status, bytes; secret and operation;
//! file and bytes) and how it ended. It is one JSON line. It never holds a secret's value, a payload, a query string, or a text of a component's
//! choosing that is longer than the limits allow or holds control characters (JSON escapes those).

mod event;
mod log;
mod subject;

pub use event::{AcceptedDelivery, AuditAction, AuditEvent, AuditOutcome, CallId};
pub use log::{Audit, AuditError, AuditStatus, Receipt};
pub use subject::AuditSubject;
