//! What the worker's operator configured for its receivers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use deputy_core::retry::RetryPolicy;
use deputy_core::{Expired, InstanceName, LimitOverrides, ReceiverName, Span};
use deputy_link::ReceiverBinding;

use crate::hook::Hook;
use crate::unit::FileAccess;

#[derive(Debug, Clone)]
pub struct ReceiverPolicies {
    /// For receivers without a table of their own.
    pub default: ReceiverPolicy,
    pub receivers: BTreeMap<ReceiverName, ReceiverPolicy>,
    /// Receivers that the worker's own configuration binds. They replace those of the coordinator with the same names.
    pub bindings: BTreeMap<ReceiverName, ReceiverBinding>,
    /// The instances that this worker needs; without a list all of its group.
    pub wanted: Option<BTreeSet<InstanceName>>,
    /// The instances that its endpoints serve.
    pub endpoints: BTreeSet<InstanceName>,
    /// Of failed runs and hooks.
    pub retry: RetryPolicy,
}

/// How a receiver's files are published, and what its calls may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverPolicy {
    /// The directory of the link to the unit.
    pub directory: PathBuf,
    pub access: FileAccess,
    pub hook: Option<Hook>,
    /// Whether expired leases are left in the unit.
    pub expired: Expired,
    /// These win over the coordinator's.
    pub limits: LimitOverrides,
}

impl ReceiverPolicies {
    /// The default of [`retry`](Self::retry).
    pub const RETRY: RetryPolicy = RetryPolicy { floor: Span::secs(1), most: Span::secs(60), slow: Span::secs(30) };

    pub fn policy(&self, name: &ReceiverName) -> &ReceiverPolicy {
        self.receivers.get(name).unwrap_or(&self.default)
    }

    /// The coordinator's binding with the limits of this worker's configuration.
    pub(crate) fn apply_limits(&self, name: &ReceiverName, binding: &ReceiverBinding) -> ReceiverBinding {
        let mut binding = binding.clone();
        binding.limits = binding.limits.with(&self.policy(name).limits);
        binding
    }
}
