//! What happened and what is, for those who look: audit events of every capability that a component used, metrics, the
//! small server that gives them out, and the clocks.
//!
//! An event says who (instance or receiver, and call), what (host, method, path, status, bytes; secret and operation;
//! file and bytes) and how it ended. It is one JSON line. It never holds a secret's value, a payload, a query string, or a text of a component's
//! choosing that is longer than the limits allow or holds control characters (JSON escapes those).

mod audit;
mod audit_subject;
mod clock;
mod event;
mod health;
mod http_server;
mod metrics;
mod worker_metrics;

pub use audit::{Audit, AuditError, AuditStatus, Receipt};
pub use audit_subject::AuditSubject;
pub use clock::{Clock, SystemClock};
pub use event::{AcceptedDelivery, AuditAction, AuditEvent, AuditOutcome, CallId};
pub use health::{HealthCheck, answer, plain, probe};
pub use http_server::{HttpHandler, HttpListener, listen, serve};
pub use metrics::{CoordinatorMetrics, LeaseMetrics, METRICS_TYPE, UpstreamMetrics};
pub use worker_metrics::{DeliveryMetrics, WorkerMetrics, WorkerSnapshot};
