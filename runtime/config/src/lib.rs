//! `deputy.toml` and `worker.toml`, read into values that cannot be wrong.
//!
//! [`Config::load`] reads the coordinator's file and [`Config::parse`] its text; [`WorkerConfig`] does the same with a
//! worker's. What comes back holds parsed types only: names, grants, limits, policies, budgets, sources of secrets. What
//! is wrong comes back as [`ConfigErrors`], all of it at once, each with file, line, column, the user's own line with a
//! caret, and what was expected. Keys are asked for by name, and a key that nobody asked for is an error: so no key is
//! ever silently without effect.
//!
//! TOML is known here and nowhere else. This crate opens no file but the configuration, resolves no secret, looks up no
//! name, and never repeats what stands where a secret's value was written by mistake.

mod address;
mod canonical;
mod config;
mod config_paths;
mod coordinator;
mod delivered;
mod diagnostic;
mod group;
mod inject;
mod instance;
mod limits;
mod policy;
mod position;
mod receiver;
mod rule;
mod secret;
mod socket;
mod suggest;
mod toml_syntax;
mod upstream;
mod value;
mod worker;

pub use address::{HostPort, HostPortError};
pub use config::CoordinatorFile;
pub use config_paths::{ConfigKind, ConfigPaths};
pub use coordinator::{CoordinatorSection, WorkersSection};
pub use diagnostic::{Colour, ConfigErrors, Diagnostics, Finding, Severity};
pub use group::WorkerGroup;
pub use instance::InstanceEntry;
pub use receiver::ReceiverComponent;
pub use socket::{SocketMode, SocketModeError};
pub use worker::{AwsEndpoint, Choice, Endpoints, OnChange, Publish, SocketEndpoint, WorkerConfig, WorkerReceiver};
