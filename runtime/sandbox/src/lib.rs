//! One component, one call.
//!
//! A [`Sandbox`] is a process's engine and cache; [`Sandbox::load`] makes a [`Provider`] of an instance's component and
//! its grants, [`Sandbox::load_receiver`] a [`Receiver`], which has none; each of their calls runs in a fresh instance
//! that is thrown away. What a component can reach is in one file or folder per capability: [`http`], [`sockets`],
//! [`secrets`], [`secret_values`], [`logging`], [`outputs`], and what `state` gives it of WASI. A capability asks the grant of `deputy-core`, takes from the call's account, acts, and
//! leaves an audit event.
//!
//! Only this crate knows wasmtime. It never keeps a component's state from one call to the next, never opens a socket
//! without a `Pinned`, and knows neither schedule nor configuration file.

#![cfg_attr(test, allow(clippy::string_slice, reason = "tests cut texts that they made themselves"))]

mod account;
mod bindings;
mod blocking;
mod cache;
mod call;
mod caller;
mod clock;
mod compile;
mod ended;
mod engine;
mod guest_log;
mod http;
mod inspection;
mod lent;
mod limiter;
mod logging;
mod network;
mod open_call;
mod outputs;
mod pem;
mod provider;
mod receiver;
mod record;
mod redact;
mod refusal_budget;
mod running;
mod sandbox;
mod secret_fault;
mod secret_values;
mod secrets;
mod sockets;
mod state;
#[cfg(test)]
mod testing;
mod threads;
mod time_budget;
mod values;
mod waiting;
mod watchdog;

pub use account::Usage;
pub use cache::{CacheError, CacheKey};
pub use call::{Call, CallError, Interruption};
pub use compile::{CompileError, Compiler, compile_child};
pub use http::HttpPolicyError;
pub use inspection::{Import, Inspection, Kind};
pub use network::{Resolver, SystemResolver};
pub use provider::Provider;
pub use receiver::Receiver;
pub use sandbox::{CodeCache, LoadError, Options, Sandbox, SandboxError};
pub use secret_fault::SecretFault;
