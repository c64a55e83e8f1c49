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
mod board;
mod client;
mod control;
mod coordinator;
mod files;
mod handle;
mod health;
mod keeper;
mod lanes;
mod loading;
mod notice;
mod provider;
mod providers;
mod record;
mod shape;
pub mod status;
mod workers;

pub use backup::{BackupError, RestoreSummary, Restoring, backed_up, restore};
pub use board::Board;
pub use client::{Client, NewToken};
pub use control::{Control, Reload, Reloaded, Removals, TokenList, WorkerList};
pub use coordinator::{Coordinator, LOCK, Options, Setup, StartError};
pub use deputy_observe::{Clock, SystemClock};
pub use files::FilePlan;
pub use handle::{AskError, Changed, Handle};
pub use health::Health;
pub use loading::Loaded;
pub use provider::Provider;
pub use shape::{GroupShape, Lost, Shape, ShapeError};
pub use workers::{
    AppliedStatus, BookError, Deliveries, GroupDeliveries, Had, TokenStatus, WorkerAskError, WorkerOptions, WorkerPage,
    WorkerQuery, WorkerState, WorkerStatus, WorkerTasks, Workers, WorkersError,
};
