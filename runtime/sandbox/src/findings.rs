//! Findings about a call for the operator, whether the component reports them or not.

use std::sync::Mutex;

use deputy_core::{Limit, PolicyDenial};
use deputy_support::LockUnpoisoned as _;

use crate::secret_fault::{MAX_FAULTS, SecretFault};

/// Denials beyond these are in the audit log only.
const MAX_DENIALS: usize = 100;

/// The findings of one call. Each is kept once, in order.
#[derive(Default)]
pub(crate) struct CallFindings {
    denials: Mutex<Vec<PolicyDenial>>,
    timeouts: Mutex<Vec<Limit>>,
    faults: Mutex<Vec<SecretFault>>,
}

impl CallFindings {
    pub(crate) fn note_denial(&self, denial: PolicyDenial) {
        push_once(&self.denials, denial, MAX_DENIALS);
    }

    /// Notes that the network did not answer within a limit.
    pub(crate) fn note_timeout(&self, limit: Limit) {
        push_once(&self.timeouts, limit, usize::MAX);
    }

    /// Notes that using a secret failed.
    pub(crate) fn note_fault(&self, fault: SecretFault) {
        push_once(&self.faults, fault, MAX_FAULTS);
    }

    pub(crate) fn denials(&self) -> Vec<PolicyDenial> {
        snapshot(&self.denials)
    }

    pub(crate) fn timeouts(&self) -> Vec<Limit> {
        snapshot(&self.timeouts)
    }

    pub(crate) fn faults(&self) -> Vec<SecretFault> {
        snapshot(&self.faults)
    }
}

fn push_once<T: PartialEq>(list: &Mutex<Vec<T>>, item: T, max: usize) {
    let mut list = list.lock_unpoisoned();
    if list.len() < max && !list.contains(&item) {
        list.push(item);
    }
}

fn snapshot<T: Clone>(list: &Mutex<Vec<T>>) -> Vec<T> {
    list.lock_unpoisoned().clone()
}
