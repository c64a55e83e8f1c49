//! `deputy.toml` and `worker.toml`, read into values that cannot be wrong.
//!
//! [`CoordinatorFile::load`] reads the coordinator's file and [`CoordinatorFile::parse`] its text; [`WorkerConfig`] does
//! the same with a worker's. The result holds parsed types only: names, grants, limits, policies, budgets, sources of
//! secrets. All errors are returned at once as [`ConfigErrors`], each with file, line, column, the operator's line with a
//! caret, and what was expected. Every key is read by name, and a key that is never read is an error: so no key is silently
//! ignored.
//!
//! No other crate knows TOML. This crate opens no file but the configuration, resolves no secret, looks up no name, and
//! never prints a value where a secret may have been written by mistake.

mod address;
mod canonical;
mod components;
mod config;
mod config_names;
mod config_paths;
mod config_text;
mod coordinator;
mod delivered;
mod diagnostic;
mod edit;
mod group;
mod health;
mod inject;
mod instance;
mod jwt;
mod limits;
mod login;
mod negotiate;
mod policy;
mod position;
mod receiver;
mod rule;
mod schema;
mod secret;
mod setting_lines;
mod socket;
mod state_owner;
mod store;
mod suggest;
mod template;
mod test_subject;
mod toml_syntax;
mod traces;
mod upstream;
mod value;
mod worker;

pub use config::CoordinatorFile;
pub use config_names::ConfigNames;
pub use config_paths::{ConfigKind, ConfigPaths};
pub use config_text::read_text;
pub use coordinator::{CoordinatorSection, WorkersSection};
pub use diagnostic::{Colour, ConfigErrors, Diagnostics, Finding, Severity};
pub use edit::{ConfigDocument, EditError, NewInstance};
pub use group::WorkerGroup;
pub use health::HealthTls;
pub use instance::InstanceEntry;
pub use receiver::ReceiverComponent;
pub use schema::{coordinator_schema, worker_schema};
pub use setting_lines::{ConfigLine, SettingLines, SettingsOwner};
pub use socket::{SocketMode, SocketModeError};
pub use store::EtcdSection;
pub use suggest::nearest;
pub use template::{COORDINATOR_SCHEMA, CoordinatorTemplate, ServiceTemplate, WORKER_SCHEMA, WorkerTemplate};
pub use test_subject::{TestSubject, TestedInstance};
pub use worker::{
    AwsEndpointConfig, Choice, Endpoints, OnChange, Publish, SocketEndpoint, WorkerConfig, WorkerReceiver,
};
