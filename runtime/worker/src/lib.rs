//! The worker: what the coordinator delivers becomes files that the workload reads.
//!
//! ```text
//! link, cache ──state──▶ ┌───────────────────┐ ──run──▶ receiver (sandbox) ──▶ unit on disk ──▶ hook
//!                        │ reconciler (pure) │
//!   coordinator ◀report──└───────────────────┘ ◀──── outcome
//! ```
//!
//! The reconciler decides which receivers run and when; [`Worker::run`] is the loop around it that owns all state. A
//! [`Receiver`] turns deliveries into files, [`unit`] publishes all of them at once, and a [`hook`] notifies the workload.
//! [`cache`] keeps a sealed copy of what is held, so that a worker starts while the coordinator is down. [`endpoint`] serves
//! leases to programs of this machine.
//!
//! This crate loads no component, reads no TOML and opens no connection: a [`ReceiverLoader`] loads receivers, a `watch` has
//! what is held. It prints no payload, and never withdraws what is published because something failed.

mod applied_deliveries;
mod apply_traces;
pub mod cache;
pub mod components;

mod connection;
mod delivery_selection;
pub mod endpoint;
mod event_log;
mod handle;
mod health;
pub mod hook;
mod receiver;
mod receiver_policy;
mod receiver_runner;
mod reconciler;
mod stall_detector;
pub mod status;
#[cfg(test)]
mod testing;
pub mod unit;
mod unit_checks;
mod worker;

pub use apply_traces::ApplyTraces;
pub use connection::{ConnectionPhase, ConnectionSnapshot};
pub use handle::{WorkerHandle, WorkerStopping};
pub use health::{WorkerHealth, unready_reasons};
pub use receiver::{AcceptError, FailureOrigin, Receiver, ReceiverLoader};
pub use receiver_policy::{ReceiverPolicies, ReceiverPolicy};
pub use worker::{Worker, WorkerOptions};
