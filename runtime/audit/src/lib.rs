//! The audit log: an event for every use of a capability, for every call, and for requests of workers.
//!
//! An event has the subject (an instance or receiver with the call, or a worker), the action (for example an HTTP request with
//! host, method, path, status and sizes) and the outcome. It is one JSON line. It never contains a secret's value, a payload or
//! a query string. Texts that a component chose are bounded by the limits, and JSON escapes their control characters.

mod event;
mod log;
mod signed_content;
mod subject;

pub use event::{AcceptedDelivery, AuditAction, AuditEvent, AuditOutcome, CallId};
pub use log::{Audit, AuditError, AuditStatus, Receipt};
pub use signed_content::{NamedTexts, SignedContent};
pub use subject::AuditSubject;
