//! From the board to the receivers and endpoints of this process: what a worker's link would bring them, without a link.
//!
//! A payload is for the configuration that obtained it. A lease of an earlier configuration is passed on only to whom it was
//! passed on before; until there is a new one, what is held stays.

use std::collections::BTreeSet;
use std::sync::Arc;

use deputy_core::InstanceName;
use deputy_core::time::Clock;
use deputy_link::DeliveredState;
use tokio::sync::watch;

use crate::deliveries::Deliveries;
use crate::delivery_traces::DeliveryTraces;
use crate::lease_board::LeaseBoard;
use crate::workers::{delivery, is_current};

/// What it is made with.
pub struct LocalFeedOptions {
    pub board: Arc<LeaseBoard>,
    /// The deliveries of each configuration.
    pub deliveries: watch::Receiver<Arc<Deliveries>>,
    /// The instances that are passed on.
    pub instances: BTreeSet<InstanceName>,
    pub clock: Arc<dyn Clock>,
    pub traces: Arc<DeliveryTraces>,
}

/// Follows the board.
pub struct LocalFeed {
    options: LocalFeedOptions,
    held: watch::Sender<Arc<DeliveredState>>,
    /// Whether all components of a configuration were loaded once, or could not be.
    complete: bool,
}

impl LocalFeed {
    pub fn new(options: LocalFeedOptions) -> (Self, watch::Receiver<Arc<DeliveredState>>) {
        let (held, receiver) = watch::channel(Arc::default());
        (Self { options, held, complete: false }, receiver)
    }

    /// Runs until the coordinator has ended.
    pub async fn run(mut self) {
        let mut changes = self.options.board.changes();
        loop {
            self.update();
            let changed = tokio::select! {
                changed = changes.changed() => changed,
                changed = self.options.deliveries.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    fn update(&mut self) {
        let deliveries = Arc::clone(&self.options.deliveries.borrow_and_update());
        let configured = |instance: &&InstanceName| deliveries.fingerprints.contains_key(*instance);
        let instances: BTreeSet<InstanceName> = self.options.instances.iter().filter(configured).cloned().collect();
        let is_loaded = instances.iter().all(|instance| !deliveries.loading.contains(instance));
        self.complete |= is_loaded && !deliveries.fingerprints.is_empty();
        let before = Arc::clone(&self.held.borrow());
        let now = self.options.clock.now().wall;
        let mut state = DeliveredState { complete: self.complete, ..DeliveredState::default() };
        for instance in &instances {
            let held = before.deliveries.get(instance);
            let next = match self.options.board.lease(instance) {
                Some(lease) if is_current(&deliveries, instance, &lease) => {
                    delivery(instance, &lease, &self.options.traces)
                }
                Some(_) => held.cloned(),
                // The configuration of a receiver decides what becomes of an expired lease.
                None => held.filter(|held| !held.is_valid(now)).cloned(),
            };
            state.deliveries.extend(next.map(|delivery| (instance.clone(), delivery)));
        }
        state.group_instances = Some(instances);
        self.held.send_replace(Arc::new(state));
    }
}

#[cfg(test)]
mod tests;
