//! What the operator of a worker says of its receivers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use deputy_core::retry::RetryPolicy;
use deputy_core::{Expired, InstanceName, LimitOverrides, ReceiverName, Span};
use deputy_link::ReceiverBinding;

use crate::hook::Hook;
use crate::unit::FileAccess;

/// All of it.
#[derive(Debug, Clone)]
pub struct ReceiverPolicies {
    /// For receivers of which nothing is said.
    pub default: ReceiverPolicy,
    /// For those of these names, whoever bound them.
    pub receivers: BTreeMap<ReceiverName, ReceiverPolicy>,
    /// The receivers that are bound here. They count in place of those of the same name that the coordinator binds.
    pub bindings: BTreeMap<ReceiverName, ReceiverBinding>,
    /// The instances that it wants; all of its group if there is no such list.
    pub wanted: Option<BTreeSet<InstanceName>>,
    /// The instances that its endpoints give out.
    pub endpoints: BTreeSet<InstanceName>,
    /// When a receiver that failed is tried again.
    pub retry: RetryPolicy,
}

/// How a receiver's files are published, and what it may use for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverPolicy {
    /// In which directory its link is.
    pub directory: PathBuf,
    /// Who may read the files.
    pub access: FileAccess,
    /// How the workload is told.
    pub hook: Option<Hook>,
    /// What becomes of a delivery that has expired.
    pub expired: Expired,
    /// What a call may use, whatever the coordinator says of it.
    pub limits: LimitOverrides,
}

impl ReceiverPolicies {
    /// As [`Plans::retry`] if nobody says otherwise.
    pub const RETRY: RetryPolicy = RetryPolicy { floor: Span::secs(1), most: Span::secs(60), slow: Span::secs(30) };

    /// The plan for a receiver.
    pub fn plan(&self, name: &ReceiverName) -> &ReceiverPolicy {
        self.receivers.get(name).unwrap_or(&self.default)
    }

    /// A binding as it counts here: the operator of the worker has the last word on what a call may use.
    pub(crate) fn bound(&self, name: &ReceiverName, binding: &ReceiverBinding) -> ReceiverBinding {
        let mut bound = binding.clone();
        bound.limits = bound.limits.with(&self.plan(name).limits);
        bound
    }
}
