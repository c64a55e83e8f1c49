//! The process beside the workload.

pub mod endpoint;
