//! The messages that the coordinator's loop takes.

use deputy_core::InstanceName;
use deputy_core::schedule::ScheduleEvent;
use deputy_metrics::CoordinatorSnapshot;
use tokio::sync::oneshot;

use crate::configuration::{CoordinatorConfig, LoadedInstances, ReloadSummary};
use crate::file_watcher::{FileObservation, FileWatcher};
use crate::handle::Performer;
use crate::replica::LeftLease;
use crate::request_error::ControlRequestError;
use crate::status::{CoordinatorStatus, InstanceStatus, StatusQuery};

/// Who does what was asked for, or why no coordinator does.
pub(crate) type RequestReply = oneshot::Sender<Result<Performer, ControlRequestError>>;

pub(crate) enum CoordinatorCommand {
    Event(Box<ScheduleEvent>),
    /// A request of an operator or a client. A coordinator that follows replies once the leader will read it.
    Request(Box<ScheduleEvent>, RequestReply),
    /// Every configuration, the first one included. `files` has the first observation of each file that it names.
    Configure {
        config: Box<CoordinatorConfig>,
        files: FileWatcher,
        reply: oneshot::Sender<ReloadSummary>,
    },
    /// What was loaded for the configuration of a generation. The reply says whether that one is still in use.
    Loaded {
        generation: u64,
        loaded: Box<LoadedInstances>,
        reply: oneshot::Sender<bool>,
    },
    /// An observation for the configuration of a generation.
    FileObserved {
        generation: u64,
        instance: InstanceName,
        observation: FileObservation,
    },
    /// Whether workers of other coordinators use an instance.
    UsedElsewhere(InstanceName, bool),
    /// Revoke a lease that another coordinator left, unless it is saved. The reply says whether no more is to be done.
    RevokeUnsaved(Box<LeftLease>, oneshot::Sender<bool>),
    Instance(InstanceName, oneshot::Sender<Result<InstanceStatus, ControlRequestError>>),
    Alive(oneshot::Sender<()>),
    Metrics(oneshot::Sender<CoordinatorSnapshot>),
    Status(StatusQuery, oneshot::Sender<CoordinatorStatus>),
}
