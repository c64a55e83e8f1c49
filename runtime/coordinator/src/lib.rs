//! The coordinator: obtains, keeps, publishes and delivers leases.
//!
//! `deputy-core`'s schedule decides what to do and when; this crate does it. [`Coordinator::run`] is one loop that owns all
//! state. It takes events (a call ended, a write is on disk, a file changed, a request came, time passed), hands them to
//! the schedule, and carries out the schedule's actions in order: calls as tasks, writes through the store, and
//! publications on the [`LeaseBoard`], from where control socket and workers get them.
//!
//! It knows no component, no TOML and no terminal: a provider is whatever implements [`ConfiguredProvider`]. Nothing here
//! prints a payload; [`status`] is what an operator may see of an instance.

mod attention;
mod backup;
mod client;
mod command;
mod configuration;
mod configuration_names;
mod control;
mod coordinator;
mod deliveries;
mod delivery_traces;
mod event_log;
mod file_watcher;
mod handle;
mod health;
mod leader;
mod lease_board;
mod lease_record;
mod lease_store;
mod local_feed;
mod local_worker_view;
mod login_snapshot;
mod page_urls;
mod parameters;
mod pause_record;
mod pending_instances;
mod provider;
mod reload;
mod replica;
mod request_error;
#[cfg(test)]
mod simulation;
mod state_answer;
mod state_copy;
mod state_keeper;
pub mod status;
#[cfg(test)]
mod testing;
mod users;
mod waiting;
mod workers;
mod write_queue;

pub use attention::Attention;
pub use backup::{BackupError, RestoreSummary, Restoring, backed_up, restore};
pub use client::{ControlClient, NewToken};
pub use configuration::{CoordinatorConfig, FilePlan, LoadedInstances, ReloadSummary};
pub use configuration_names::{
    ConfigurationNames, ConfigurationNamesError, GroupNames, MissingNames, ReceiverComponentName,
};
pub use control::{Control, TokenList, WorkerList};
pub use coordinator::{Coordinator, CoordinatorError, CoordinatorOptions, LOCK, LockLostError, RestoredState};
pub use deliveries::{Deliveries, EarlierDeliveries, EarlierReceiver, GroupDeliveries};
pub use delivery_traces::DeliveryTraces;
pub use handle::{CoordinatorHandle, Performer};
pub use health::CoordinatorHealth;
pub use leader::{Leader, LeaderView, LeaderWatch};
pub use lease_board::LeaseBoard;
pub use local_feed::{LocalFeed, LocalFeedOptions};
pub use local_worker_view::LocalWorkerView;
pub use login_snapshot::{LoginFaultStatus, LoginSnapshot};
pub use page_urls::{PageUrl, PageUrls};
pub use provider::ConfiguredProvider;
pub use reload::{Reload, ReloadReply, Removals};
pub use replica::{Leading, Replica};
pub use request_error::ControlRequestError;
pub use state_copy::{StateCopyError, copy_state, is_uncopied};
pub use state_keeper::{KeptStateTurn, StateKeeper, StateKeeperError, kept_state_owner};
pub use waiting::{WaitingControl, WaitingHealth, waiting_for};
pub use workers::{
    AppliedStatus, EnrolmentError, GroupCount, TokenStatus, WorkerCondition, WorkerPage, WorkerQuery,
    WorkerRequestError, WorkerServiceOptions, WorkerStatus, WorkerTasks, Workers, WorkersError, authority_key,
};
