//! The status, the metrics and the readiness of a worker, from what its loop owns.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_core::time::Now;
use deputy_core::{Delivery, InstanceName, ReceiverName, Span, Timestamp};
use deputy_local::{FactStatus, FailureStatus, SCHEMA, valid_for_millis};
use deputy_metrics::{DeliveryMetrics, WorkerSnapshot};

use super::{
    AbsentStatus, ConnectionStatus, DeliveryStatus, HookStatus, KeptStatus, ReceiverStatus, RejectionStatus,
    UnitStatus, WorkerReport,
};
use crate::connection::{ConnectionPhase, ConnectionSnapshot};
use crate::receiver_policy::ReceiverPolicies;
use crate::receiver_runner::ReceiverRunner;
use crate::reconciler::{Absence, Arrival, ReceiverActivity, ReceiverSnapshot, Reconciler, Rejection};

/// What the loop owns, at one moment.
pub(crate) struct StatusView<'a> {
    pub(crate) reconciler: &'a Reconciler,
    pub(crate) policies: &'a ReceiverPolicies,
    pub(crate) runners: &'a BTreeMap<ReceiverName, Arc<ReceiverRunner>>,
    pub(crate) connection: ConnectionSnapshot,
    pub(crate) started: Timestamp,
    pub(crate) now: Now,
}

impl StatusView<'_> {
    pub(crate) fn report(&self) -> WorkerReport {
        let reconciler = self.reconciler;
        WorkerReport {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since: self.started.to_string(),
            now: self.now.wall.to_string(),
            connection: self.connection_status(),
            complete: reconciler.is_complete(),
            ready: self.is_ready(),
            absent: reconciler.absent().into_iter().map(|(name, absence)| AbsentStatus::new(name, &absence)).collect(),
            warnings: reconciler.unknown_receivers().map(unknown_receiver).collect(),
            group_is_empty: reconciler.is_group_empty(),
            instances: reconciler
                .deliveries()
                .map(|(delivery, arrival)| DeliveryStatus::new(delivery, arrival, self.now.wall))
                .collect(),
            receivers: reconciler.receivers(self.now).map(|receiver| self.receiver_status(&receiver)).collect(),
            missing: reconciler.missing().map(ToString::to_string).collect(),
        }
    }

    pub(crate) fn metrics(&self) -> WorkerSnapshot {
        let receivers = self.reconciler.receivers(self.now);
        WorkerSnapshot {
            connected: (self.connection.phase == ConnectionPhase::Connected).into(),
            contact_age: self.connection.heard.map(|heard| self.now.wall.since(heard).as_millis() / 1000),
            ready: self.is_ready().into(),
            deliveries: self.reconciler.deliveries().map(delivery_metrics).collect(),
            failures: receivers.map(|receiver| (receiver.name.to_string(), receiver.failures)).collect(),
        }
    }

    fn is_ready(&self) -> bool {
        let reconciler = self.reconciler;
        self.connection.phase != ConnectionPhase::Out
            && reconciler.is_complete()
            && reconciler.missing().next().is_none()
            && reconciler.absent().is_empty()
            && !reconciler.is_group_empty()
            && reconciler.deliveries().all(|(delivery, _)| delivery.is_valid(self.now.wall))
            && reconciler
                .receivers(self.now)
                .all(|receiver| receiver.is_ready() && self.stalled_for(receiver.name).is_none())
    }

    /// For how long the file system of a receiver's units has not answered, if that is too long.
    fn stalled_for(&self, receiver: &ReceiverName) -> Option<Span> {
        self.runners.get(receiver)?.stalled_for(self.now.mono)
    }

    fn connection_status(&self) -> ConnectionStatus {
        let connection = &self.connection;
        ConnectionStatus {
            worker: connection.worker.clone(),
            group: connection.group.clone(),
            coordinator: connection.coordinator.clone(),
            addresses: connection.addresses.clone(),
            state: connection.phase.word().to_owned(),
            since: connection.since.to_string(),
            last_contact: connection.heard.map(|heard| heard.to_string()),
            last_contact_age_ms: connection.heard.map(|heard| self.now.wall.since(heard).as_millis()),
            error: connection.error.clone(),
            certificate_ends: connection.certificate_ends.map(|expiry| expiry.to_string()),
            refused: connection.refused.clone(),
        }
    }

    fn receiver_status(&self, receiver: &ReceiverSnapshot<'_>) -> ReceiverStatus {
        let directory = &self.policies.policy(receiver.name).directory;
        let stalled = self.stalled_for(receiver.name).map(|duration| {
            format!("{} has not answered for {duration}: does its file system hang?", directory.display())
        });
        ReceiverStatus {
            name: receiver.name.to_string(),
            component: receiver.binding.map(|binding| binding.component.to_string()),
            instances: receiver
                .binding
                .iter()
                .flat_map(|binding| &binding.instances)
                .map(ToString::to_string)
                .collect(),
            state: receiver.activity.word().to_owned(),
            ready: receiver.is_ready() && stalled.is_none(),
            reason: stalled.or_else(|| receiver.reason()),
            path: directory.join(receiver.name.as_str()).display().to_string(),
            unit: self.unit_status(receiver),
            failures: receiver.failures,
            trouble: receiver.failure.map(FailureStatus::from),
            retry_in_ms: match receiver.activity {
                ReceiverActivity::Retrying(wait) => Some(wait.as_millis()),
                _ => None,
            },
            rejected: receiver.rejected.into_iter().flatten().map(RejectionStatus::from).collect(),
            facts: receiver.facts.iter().map(FactStatus::from).collect(),
            hook: hook_status(receiver),
        }
    }

    fn unit_status(&self, receiver: &ReceiverSnapshot<'_>) -> Option<UnitStatus> {
        let published = receiver.unit?;
        Some(UnitStatus {
            number: published.unit?.number(),
            published_at: published.since.map(|time| time.to_string()),
            files: self.runners.get(receiver.name).map(|runner| runner.files()).unwrap_or_default(),
        })
    }
}

fn hook_status(receiver: &ReceiverSnapshot<'_>) -> Option<HookStatus> {
    let hook = &receiver.hook;
    (hook.is_running || hook.last.is_some()).then(|| HookStatus {
        running: hook.is_running,
        at: hook.last.map(|(at, _)| at.to_string()),
        error: hook.last.and_then(|(_, result)| result.as_ref().err().cloned()),
        failures: hook.retry.map_or(0, |(failures, _)| failures),
        retry_in_ms: hook.retry.filter(|_| !hook.is_running).map(|(_, wait)| wait.as_millis()),
    })
}

fn unknown_receiver(name: &ReceiverName) -> String {
    format!("[receivers.{name}] has no effect: neither the coordinator nor this worker has a receiver of this name")
}

fn delivery_metrics((delivery, arrival): (&Delivery, &Arrival)) -> DeliveryMetrics {
    let revision = delivery.stamp.revision.0;
    DeliveryMetrics {
        instance: delivery.instance.to_string(),
        service: delivery.service.to_string(),
        expiry: Some(delivery.valid_until).filter(|expiry| *expiry != Timestamp::FOREVER).map(Timestamp::as_secs),
        obtained: delivery.stamp.obtained_at.as_secs(),
        revision,
        applied: matches!(arrival.reported(), Some(Ok(()))).then_some(revision),
    }
}

impl AbsentStatus {
    fn new(name: &InstanceName, absence: &Absence) -> Self {
        Self { name: name.to_string(), reason: absence.code().to_owned(), message: absence.to_string() }
    }
}

impl From<(&InstanceName, &Rejection)> for RejectionStatus {
    fn from((instance, rejection): (&InstanceName, &Rejection)) -> Self {
        let kept = rejection.fallback.filter(|fallback| fallback.is_applied).map(|fallback| fallback.lease);
        Self {
            instance: instance.to_string(),
            kind: rejection.failure.kind.to_string(),
            message: rejection.failure.message.clone(),
            code: rejection.failure.code.clone(),
            facts: rejection.failure.facts.iter().map(FactStatus::from).collect(),
            kept: kept.map(|lease| KeptStatus {
                revision: lease.version.revision.0,
                valid_until: lease.valid_until.to_string(),
            }),
        }
    }
}

impl DeliveryStatus {
    fn new(delivery: &Delivery, arrival: &Arrival, now: Timestamp) -> Self {
        let (state, reason) = match arrival.reported() {
            Some(Ok(())) => ("applied", None),
            Some(Err(reason)) => ("failed", Some(reason.clone())),
            None => ("pending", None),
        };
        Self {
            name: delivery.instance.to_string(),
            service: delivery.service.to_string(),
            kind: delivery.kind.to_string(),
            revision: delivery.stamp.revision.0,
            obtained_at: delivery.stamp.obtained_at.to_string(),
            valid_until: delivery.valid_until.to_string(),
            valid_for_ms: valid_for_millis(now, delivery.valid_until),
            next_at: delivery.next_at.map(|at| at.to_string()),
            renewable_until: delivery.renewable_until.map(|until| until.to_string()),
            received_at: arrival.received_at().to_string(),
            age_ms: now.since(arrival.received_at()).as_millis(),
            bytes: delivery.payload.len(),
            state: state.to_owned(),
            reason,
        }
    }
}
