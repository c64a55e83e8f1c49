//! New configuration files, with the comments that their operator needs.

mod coordinator;
mod systemd;
mod worker;

pub use coordinator::CoordinatorTemplate;
pub use systemd::ServiceTemplate;
pub use worker::WorkerTemplate;

/// The names of the JSON Schemas beside the files, by which editors complete keys.
pub const COORDINATOR_SCHEMA: &str = "deputy.schema.json";
pub const WORKER_SCHEMA: &str = "worker.schema.json";

#[cfg(test)]
mod tests;
