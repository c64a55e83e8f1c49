//! Each delivery: when it arrived, whether it expired, and what was reported of it.

use std::sync::Arc;

use deputy_core::time::Now;
use deputy_core::{Delivery, InstanceName, LeaseVersion, Timestamp, excerpt};
use deputy_link::DeliveryReport;
use deputy_support::single_line;

use super::receiver_state::DeliveryState;
use super::{Reconciler, ReconcilerAction, WorkerEvent};

/// Characters of a reported reason. `deputy worker status` shows more.
const MAX_REASON: usize = 300;

/// What is known of a delivery beside the delivery itself.
#[derive(Debug)]
pub(crate) struct Arrival {
    version: LeaseVersion,
    received_at: Timestamp,
    is_expiry_logged: bool,
    /// The last report. The link repeats it to a coordinator that reconnects.
    reported: Option<Result<(), String>>,
}

impl Arrival {
    fn new(version: LeaseVersion, now: Timestamp) -> Self {
        Self { version, received_at: now, is_expiry_logged: false, reported: None }
    }

    /// When it came to this process.
    pub(crate) fn received_at(&self) -> Timestamp {
        self.received_at
    }

    /// Whether it is applied, or why not, as last reported.
    pub(crate) fn reported(&self) -> Option<&Result<(), String>> {
        self.reported.as_ref()
    }
}

impl Reconciler {
    pub(super) fn track_arrivals(&mut self, now: Now) {
        for (name, delivery) in &self.held.deliveries {
            if self.arrivals.get(name).is_none_or(|arrival| arrival.version != delivery.stamp) {
                self.arrivals.insert(name.clone(), Arrival::new(delivery.stamp, now.wall));
                self.actions.push_back(ReconcilerAction::Log(WorkerEvent::Received(name.clone(), delivery.stamp)));
            }
        }
        let withdrawn = self.arrivals.extract_if(.., |name, _| !self.held.deliveries.contains_key(name));
        self.actions.extend(withdrawn.map(|(name, _)| ReconcilerAction::Log(WorkerEvent::Withdrawn(name))));
    }

    /// Logs each expiry once.
    pub(super) fn expire_deliveries(&mut self, now: Now) {
        for (name, delivery) in &self.held.deliveries {
            if let Some(arrival) = self.arrivals.get_mut(name)
                && !arrival.is_expiry_logged
                && !delivery.is_valid(now.wall)
            {
                arrival.is_expiry_logged = true;
                self.actions.push_back(ReconcilerAction::Log(WorkerEvent::Expired(name.clone(), delivery.stamp)));
            }
        }
    }

    /// Reports each delivery whose result is known and has changed.
    pub(super) fn report_deliveries(&mut self, now: Now) {
        let held = Arc::clone(&self.held);
        for (instance, delivery) in &held.deliveries {
            let Some(result) = self.delivery_result(instance, delivery, now) else { continue };
            let Some(arrival) = self.arrivals.get_mut(instance) else { continue };
            if arrival.reported.as_ref() != Some(&result) {
                arrival.reported = Some(result.clone());
                let report = DeliveryReport { instance: instance.clone(), stamp: delivery.stamp, result };
                self.actions.push_back(ReconcilerAction::Report(report));
            }
        }
    }

    /// Whether all receivers have applied a delivery, if that is known. One that could not decides.
    fn delivery_result(&self, instance: &InstanceName, delivery: &Delivery, now: Now) -> Option<Result<(), String>> {
        let mut is_pending = false;
        for (name, receiver) in self.receivers.iter().filter(|(_, receiver)| receiver.is_bound_to(instance)) {
            match receiver.delivery_state(instance, delivery.stamp) {
                DeliveryState::Applied => {}
                DeliveryState::Failed(reason) => {
                    return Some(Err(excerpt(&single_line(&format!("receiver {name}: {reason}")), MAX_REASON)));
                }
                DeliveryState::Pending if self.is_left_out(name, delivery, now) => {
                    return Some(self.expired_result(instance));
                }
                DeliveryState::Pending => is_pending = true,
            }
        }
        (!is_pending).then_some(Ok(()))
    }

    /// Of an expired delivery that was withdrawn from its receiver, the last report stays true.
    fn expired_result(&self, instance: &InstanceName) -> Result<(), String> {
        let reported = self.arrivals.get(instance).and_then(|arrival| arrival.reported.clone());
        reported.unwrap_or_else(|| Err("it expired before it was applied".to_owned()))
    }
}
