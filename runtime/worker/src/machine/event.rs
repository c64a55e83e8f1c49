//! What comes into the machine, and what it wants done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deputy_core::schedule::Trouble;
use deputy_core::{Delivery, InstanceName, ReceiverName, Span, Stamp};
use deputy_link::{Binding, Held, Report};

use crate::receiver::AcceptError;
use crate::unit::{Published, UnitName};

use super::NamedBy;

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// This is held now.
    Held(Arc<Held>),
    /// A run ended.
    Ran(RunNumber, Outcome),
    /// A hook ended.
    Told(ReceiverName, Result<(), String>),
    /// This unit, which was published, is not there any more, and why.
    Vanished(ReceiverName, UnitName, String),
    /// Time went by.
    Woke,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// All files are published.
    Applied {
        /// What is there now.
        published: Published,
        /// The instances whose deliveries it could not have, and why.
        refused: BTreeMap<InstanceName, String>,
    },
    /// What was there before is there.
    Failed(AcceptError),
}

/// Something to do.
#[derive(Debug)]
pub enum Action {
    /// This receiver is gone, with all that it published.
    Forget(ReceiverName),
    /// Run the hook of a receiver: these instances are in what is published.
    Hook(ReceiverName, BTreeSet<InstanceName>),
    /// Tell the operator.
    Notice(Notice),
    /// Tell the coordinator.
    Report(Report),
    /// Run a receiver.
    Run(Run),
}

/// Which run of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunNumber(pub u64);

/// A receiver to be run, and its files to be published.
#[derive(Debug)]
pub struct Run {
    /// To be named when it ends.
    pub number: RunNumber,
    /// Which receiver.
    pub receiver: ReceiverName,
    /// What it is, and all that it gets. If there is nothing for it, nothing is to be published any more.
    pub work: Option<(Arc<Binding>, Vec<Delivery>)>,
}

/// Something that an operator wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A delivery ended before there was another one.
    Expired(InstanceName, Stamp),
    /// A run failed, and is tried again after this time.
    Failed(ReceiverName, Trouble, Span),
    /// The configuration names an instance that never comes here.
    NotDelivered(InstanceName, NamedBy),
    /// The hook of a receiver failed so often in a row, and is not tried again before something changes.
    NotTold(ReceiverName, u32),
    /// A delivery came.
    Received(InstanceName, Stamp),
    /// The configuration has a table for a receiver that does not exist.
    UnknownReceiver(ReceiverName),
    /// What a receiver published is gone.
    Vanished(ReceiverName, String),
    /// An instance is no longer for this worker.
    Withdrawn(InstanceName),
}
