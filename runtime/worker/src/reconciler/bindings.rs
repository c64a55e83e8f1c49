//! Which receivers are bound to which instances, and what of the configuration has no effect.

use std::sync::Arc;

use super::{Absence, Reconciler, ReconcilerAction, WorkerEvent};

impl Reconciler {
    /// Applies the current bindings: those of the worker's own configuration, and those of the coordinator for all other
    /// names. Until the snapshot is complete, absence is not removal.
    pub(super) fn bind_receivers(&mut self) {
        let policies = Arc::clone(&self.policies);
        let held = Arc::clone(&self.held);
        let sent = held.receivers.iter().filter(|(name, _)| !policies.bindings.contains_key(name));
        for (name, binding) in sent.chain(&policies.bindings) {
            self.receivers.entry(name.clone()).or_default().bind(policies.apply_limits(name, binding));
        }
        if held.complete {
            for (name, receiver) in &mut self.receivers {
                if !held.receivers.contains_key(name) && !policies.bindings.contains_key(name) {
                    receiver.unbind();
                }
            }
        }
    }

    /// Logs each warning once, and again if it comes back.
    pub(super) fn warn_of_configuration(&mut self) {
        let not_delivered = self.absent().into_iter().filter_map(|(instance, absence)| match absence {
            Absence::NotDelivered(named_by) => Some(WorkerEvent::NotDelivered(instance.clone(), named_by)),
            Absence::NoLease => None,
        });
        let unknown = self.unknown_receivers().cloned().map(WorkerEvent::UnknownReceiver);
        let warnings: Vec<WorkerEvent> = not_delivered.chain(unknown).collect();
        let new = warnings.iter().filter(|warning| !self.warnings.contains(warning)).cloned();
        self.actions.extend(new.map(ReconcilerAction::Log));
        self.warnings = warnings;
    }
}
