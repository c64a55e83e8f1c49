//! What the coordinator is told of each delivery: once, since the link says it again to a coordinator that comes back.

use deputy_core::time::Now;
use deputy_core::{Delivery, InstanceName};
use deputy_link::DeliveryReport;

use super::slot::DeliveryState;
use super::{Reconciler, ReconcilerAction};

/// Letters of a reason. Who wants to know more looks at the worker.
const MOST: usize = 300;

impl Reconciler {
    /// Tells what was not told yet.
    pub(super) fn report(&mut self, now: Now) {
        let held = std::sync::Arc::clone(&self.held);
        for (instance, delivery) in &held.deliveries {
            let verdict = self.verdict(instance, delivery, now);
            let Some(arrival) = self.arrivals.get_mut(instance) else { continue };
            let Some(result) = verdict else { continue };
            if arrival.verdict.as_ref() != Some(&result) {
                arrival.verdict = Some(result.clone());
                let report = DeliveryReport { instance: instance.clone(), stamp: delivery.stamp, result };
                self.actions.push_back(ReconcilerAction::Report(report));
            }
        }
    }

    /// Whether a delivery is applied, if that is known: one receiver that could not is enough to say so.
    pub(super) fn verdict(&self, instance: &InstanceName, delivery: &Delivery, now: Now) -> Option<Result<(), String>> {
        let mut verdict = Some(Ok(()));
        for (name, slot) in &self.slots {
            if !slot.binding.as_ref().is_some_and(|binding| binding.instances.contains(instance)) {
                continue;
            }
            match slot.stand(instance, delivery.stamp) {
                DeliveryState::Applied => {}
                DeliveryState::Failed(why) => return Some(Err(short(&format!("receiver {name}: {why}")))),
                DeliveryState::Pending if self.is_left_out(name, delivery, now) => return self.ended(instance),
                DeliveryState::Pending => verdict = None,
            }
        }
        verdict
    }

    /// Of one that has ended and was taken out, what was said before counts.
    fn ended(&self, instance: &InstanceName) -> Option<Result<(), String>> {
        let known = self.arrivals.get(instance).and_then(|arrival| arrival.verdict.clone());
        Some(known.unwrap_or_else(|| Err("it ended before it was applied".to_owned())))
    }
}

fn short(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(MOST).collect()
}
