//! One component, one call.
//!
//! A [`Sandbox`] is a process's engine and cache; [`Sandbox::load`] makes a [`Provider`] of an instance's component and
//! its grants, [`Sandbox::load_receiver`] a [`Receiver`], which has none; each of their calls runs in a fresh instance
//! that is discarded. What a component can reach is in one file or folder per capability: [`http`], [`sockets`],
//! [`secrets`], [`secret_values`], [`kerberos`], [`state`], [`logging`], [`outputs`], and what [`call_context`] gives it of
//! WASI. A capability asks the grant of `deputy-core`, takes from the call's budget, acts, and
//! leaves an audit event.
//!
//! Only this crate knows wasmtime. It never keeps a component's state from one call to the next, never opens a socket
//! without a `Pinned`, and knows neither schedule nor configuration file.

#![cfg_attr(test, allow(clippy::string_slice, reason = "tests cut texts that they made themselves"))]

mod answer;
mod audit_record;
mod backtrace;
mod bindings;
mod blocking;
mod call;
mod call_audit;
mod call_budget;
mod call_context;
mod clock;
mod compile;
mod compile_cache;
mod component_file;
mod component_folders;
mod component_info;
mod contract;
mod denial_budget;
mod description;
mod engine;
mod findings;
mod guest_log;
mod http;
mod imports;
mod invoke;
mod kerberos;
mod limiter;
mod load_error;
mod loaded_component;
mod logging;
mod made_request;
mod network;
mod network_wait;
mod not_connector;
mod open_call;
mod outputs;
mod over_limit;
mod provider;
mod raw_outcome;
mod reach;
mod receiver;
mod redact;
mod running_call;
mod sandbox;
mod secret_fault;
mod secret_provider;
mod secret_values;
mod secrets;
mod shared;
mod sockets;
mod stand_in;
mod state;
mod state_store;
mod tape;
#[cfg(test)]
mod testing;
mod threads;
mod time_budget;
mod usage;
mod watchdog;
mod wiped;

pub use call::{Call, CallError, Interruption};
pub use compile::{CompileError, Compiler, compile_child};
pub use compile_cache::{CacheError, CacheKey};
pub use component_file::component_digest;
pub use component_folders::ComponentFolders;
pub use component_info::{ComponentInfo, ComponentKind, Import};
pub use contract::ContractError;
pub use http::HttpPolicyError;
pub use load_error::LoadError;
pub use made_request::MadeRequest;
pub use network::{LookupSlot, Resolver, SystemResolver};
pub use not_connector::NotConnector;
pub use provider::{LoadedProvider, RequiredObtain};
pub use reach::{Attempt, DenialError, ReachError, Reached, attempts};
pub use receiver::LoadedReceiver;
pub use redact::SecretVariants;
pub use sandbox::{CodeCache, Sandbox, SandboxError, SandboxOptions};
pub use secret_fault::SecretFault;
pub use sockets::TcpPolicyError;
pub use stand_in::StandIn;
pub use state_store::{StateStore, StateStoreError, StateTurn};
pub use tape::{HttpTape, TapedExchange, TapedResponse};
pub use usage::CallUsage;
