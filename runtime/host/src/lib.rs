//! What makes a coordinator and a worker out of their configuration: it loads components, binds them to the schedule and to
//! workers, applies each new configuration, joins a worker to its coordinator, and puts the processes together.
//!
//! [`coordinator::CoordinatorProcess`] is `deputy run`, [`worker::WorkerProcess`] is `deputy worker`; both are built, listen,
//! and run until they are stopped. The commands that run beside them take the sandbox and the state from here too.
//!
//! **Never** prints, ends the process, or knows the command line.

mod call_failure;
pub mod coordinator;
mod enrolment_failure;
mod error;
mod etcd_access;
mod fd_limit;
pub mod health_tls;
mod local_socket;
mod platform;
mod receiver_binding;
mod s3_places;
pub mod sandbox;
pub mod state;
mod state_identity;
mod store;
pub mod traces;
pub mod worker;

pub use self::call_failure::{failure_kind, secret_fault_text};
pub use self::error::ProcessError;
pub use self::platform::Platform;
pub use self::receiver_binding::{BindingError, check_binding};
pub use self::state_identity::state_identity;
