//! The metrics of a coordinator and of a worker, in the OpenMetrics text format.
//!
//! Events are counted where they happen. What is held (leases, upstreams, deliveries) is a snapshot that each scrape
//! replaces as a whole. No label holds text that a component or a server chose. Names and labels are stable, since
//! dashboards depend on them.

mod audit;
mod coordinator;
mod labels;
mod leases;
mod logins;
mod table;
mod traces;
mod worker;
mod worker_snapshot;

pub use coordinator::CoordinatorMetrics;
pub use leases::{CoordinatorSnapshot, LeaseMetrics, UpstreamMetrics};
pub use logins::LoginMetrics;
pub use worker::WorkerMetrics;
pub use worker_snapshot::{DeliveryMetrics, WorkerSnapshot};

#[cfg(test)]
mod tests;
