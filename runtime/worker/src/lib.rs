//! Applying at the worker: what the coordinator sent becomes what the workload reads.
//!
//! ```text
//! link, cache ──Held──▶ ┌───────────────┐ ──run──▶ receiver (sandbox) ──▶ unit on disk ──▶ hook
//!                       │ machine (pure)│
//!   coordinator ◀report─└───────────────┘ ◀──── how it ended
//! ```
//!
//! The [`machine`] decides what is applied and when; [`Worker::run`] is the loop around it, with one owner of all state. A
//! [`Receiver`] turns deliveries into files, [`unit`] publishes all of them at once, and a [`hook`] tells the workload.
//! [`cache`] keeps a sealed copy of what is held, so that a worker starts while the coordinator is down.
//!
//! It knows no component, no TOML and no connection: a [`Loader`] brings receivers, a `watch` what is held. Nothing here
//! prints a payload, and what is published is never taken back because something failed.

pub mod cache;
pub mod components;
mod connection;
pub mod endpoint;
mod event_log;
mod handle;
pub mod hook;
mod receiver;
mod receiver_policy;
mod receiver_runner;
pub mod reconciler;
pub mod status;
#[cfg(test)]
mod testing;
pub mod unit;
mod watch;
mod worker;

pub use connection::{ConnectionPhase, ConnectionSnapshot};
pub use handle::{WorkerHandle, WorkerHealth, WorkerStopping};
pub use receiver::{AcceptError, Receiver, ReceiverLoader};
pub use receiver_policy::{ReceiverPolicies, ReceiverPolicy};
pub use worker::{Worker, WorkerOptions};
