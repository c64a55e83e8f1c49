//! The shell around the schedule.
//!
//! `deputy-core` decides; this crate carries out. [`Coordinator::run`] is one loop with one owner of all state: an event
//! comes in (a call ended, a write is on disk, a file changed, somebody asked, time went by), the schedule takes it in,
//! and what it wants done goes out, in its order: calls as tasks, writes through the store, and what is published to the
//! [`Board`], where those who deliver it look. A call that hangs or panics is a task that hangs or panics.
//!
//! It knows no component, no TOML and no terminal: a [`Provider`] is whatever answers `obtain`. Nothing here prints a
//! payload; what a person may see of an instance is its [`status`].

mod backup;
mod client;
mod control;
mod coordinator;
mod event_log;
mod file_watcher;
mod handle;
mod health;
mod lease_board;
mod lease_record;
mod lease_store;
mod loading;
mod parameters;
mod provider;
mod providers;
mod shape;
pub mod status;
mod workers;
mod write_queue;

pub use backup::{BackupError, RestoreSummary, Restoring, backed_up, restore};
pub use client::{ControlClient, NewToken};
pub use control::{Control, Reload, ReloadReply, TokenList, WorkerList};
pub use coordinator::{Coordinator, CoordinatorConfig, CoordinatorError, CoordinatorOptions, LOCK};
pub use file_watcher::FilePlan;
pub use handle::{CoordinatorHandle, ReloadSummary, RequestError};
pub use health::CoordinatorHealth;
pub use lease_board::LeaseBoard;
pub use loading::Loaded;
pub use parameters::Removals;
pub use provider::Provider;
pub use shape::{GroupShape, Lost, Shape, ShapeError};
pub use workers::{
    AppliedStatus, Deliveries, EnrolmentError, GroupDeliveries, Had, TokenStatus, WorkerOptions, WorkerPage,
    WorkerQuery, WorkerRequestError, WorkerState, WorkerStatus, WorkerTasks, Workers, WorkersError,
};
