//! What comes into the machine, and what it wants done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deputy_core::failure::FailureRecord;
use deputy_core::{Delivery, InstanceName, LeaseVersion, ReceiverName, Span};
use deputy_link::{DeliveredState, DeliveryReport, ReceiverBinding};

use crate::receiver::AcceptError;
use crate::unit::{PublishedUnit, UnitName};

use super::NamedBy;

/// Something that happened.
#[derive(Debug)]
pub enum ReconcilerEvent {
    /// This is held now.
    Held(Arc<DeliveredState>),
    /// A run ended.
    Ran(RunId, RunOutcome),
    /// A hook ended.
    Told(ReceiverName, Result<(), String>),
    /// This unit, which was published, is not there any more, and why.
    Vanished(ReceiverName, UnitName, String),
    /// Time went by.
    Woke,
}

/// How a run ended.
#[derive(Debug)]
pub enum RunOutcome {
    /// All files are published.
    Applied {
        /// What is there now.
        published: PublishedUnit,
        /// The instances whose deliveries it could not have, and why.
        refused: BTreeMap<InstanceName, String>,
    },
    /// What was there before is there.
    Failed(AcceptError),
}

/// Something to do.
#[derive(Debug)]
pub enum ReconcilerAction {
    /// This receiver is gone, with all that it published.
    Forget(ReceiverName),
    /// Run the hook of a receiver: these instances are in what is published.
    Hook(ReceiverName, BTreeSet<InstanceName>),
    /// Tell the operator.
    Notice(WorkerEvent),
    /// Tell the coordinator.
    Report(DeliveryReport),
    /// Run a receiver.
    Run(ReceiverRun),
}

/// Which run of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// A receiver to be run, and its files to be published.
#[derive(Debug)]
pub struct ReceiverRun {
    /// To be named when it ends.
    pub number: RunId,
    /// Which receiver.
    pub receiver: ReceiverName,
    /// What it is, and all that it gets. If there is nothing for it, nothing is to be published any more.
    pub work: Option<(Arc<ReceiverBinding>, Vec<Delivery>)>,
}

/// Something that an operator wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerEvent {
    /// A delivery ended before there was another one.
    Expired(InstanceName, LeaseVersion),
    /// A run failed, and is tried again after this time.
    Failed(ReceiverName, FailureRecord, Span),
    /// The configuration names an instance that never comes here.
    NotDelivered(InstanceName, NamedBy),
    /// The hook of a receiver failed so often in a row, and is not tried again before something changes.
    NotTold(ReceiverName, u32),
    /// A delivery came.
    Received(InstanceName, LeaseVersion),
    /// The configuration has a table for a receiver that does not exist.
    UnknownReceiver(ReceiverName),
    /// What a receiver published is gone.
    Vanished(ReceiverName, String),
    /// An instance is no longer for this worker.
    Withdrawn(InstanceName),
}
