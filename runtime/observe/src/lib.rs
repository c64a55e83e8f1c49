//! What happened and what is, for those who look: audit events of every capability that a component used, metrics, the
//! small server that gives them out, and the clocks.
//!
//! An event says who (instance or receiver, and call), what (host, method, path, status, bytes; secret and operation;
//! file and bytes) and how it ended. It is one JSON line. It never holds a secret's value, a payload, a query string, or a text of a component's
//! choosing that is longer than the limits allow or holds control characters (JSON escapes those).

mod actor;
mod audit;
mod clock;
mod event;
mod metrics;
mod probe;
mod serve;
mod worker_metrics;

pub use actor::Actor;
pub use audit::{Audit, AuditError, AuditStatus, Receipt};
pub use clock::{Clock, SystemClock};
pub use event::{Accepted, CallId, Event, Outcome, What};
pub use metrics::{LeaseMetrics, METRICS_TYPE, Metrics, UpstreamMetrics};
pub use probe::{Vitals, answer, plain, probe};
pub use serve::{Handler, Listener, listen, serve};
pub use worker_metrics::{DeliveryMetrics, WorkerMetrics, WorkerSnapshot};
