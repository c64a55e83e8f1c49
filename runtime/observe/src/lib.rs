//! What happened and what is, for those who look: audit events of every capability that a component used, metrics, and
//! the small server that gives them out.
//!
//! An event says who (instance or receiver, and call), what (host, method, path, status, bytes; secret and operation;
//! file and bytes) and how it ended. It is one JSON line. It never holds a secret's value, a payload, a query string, or a text of a component's
//! choosing that is longer than the limits allow or holds control characters (JSON escapes those).

mod actor;
mod audit;
mod event;
mod metrics;
mod serve;

pub use actor::Actor;
pub use audit::{Audit, AuditError};
pub use event::{Accepted, CallId, Event, Outcome, What};
pub use metrics::{LeaseMetrics, METRICS_TYPE, Metrics, UpstreamMetrics};
pub use serve::{Handler, Listener, listen, serve};
