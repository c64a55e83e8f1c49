//! The program as tests run it, and what must hold after every run.
//!
//! The suites of the package `deputy` share this crate, so that it is compiled once. Cargo builds the program before it runs
//! them, in the folder above theirs.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "plain blocking test code: a failure ends the test"
)]

mod collector;
mod coordinator;
mod delivery_site;
mod environment;
mod hadoop_site;
mod kafka_site;
mod programs;
mod secret_search;
mod suite;
mod worker;

pub use collector::{CollectedSpan, TraceCollector};
pub use coordinator::{PATIENCE, RunningCoordinator, asked_as, is_loaded, send_signal};
pub use delivery_site::{Connectors, DeliverySite, PRINCIPAL, fact, fact_value};
pub use environment::{CommandOutput, TestEnvironment, copy_compiled, exit};
pub use hadoop_site::HadoopSite;
pub use kafka_site::KafkaSite;
pub use programs::deputy_program;
pub use secret_search::base64;
pub use suite::assert_modules;
pub use worker::RunningWorker;
