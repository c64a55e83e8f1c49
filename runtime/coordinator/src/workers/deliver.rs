//! From the board to the groups: each lease that is published is encoded once, for all groups that get it.
//!
//! What a group gets is in its hub and nowhere else, so that a worker can't be sent what its group may not have: an
//! instance that is taken from a group leaves its hub, and with that every stream of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use deputy_core::schedule::Lease;
use deputy_core::{Delivery, GroupName, InstanceName, Stamp};
use deputy_link::server::Roster;
use deputy_link::{Encoded, Hub};
use deputy_observe::{Clock, Metrics};
use tokio::sync::watch;

use super::Deliveries;
use crate::board::{Board, Seen};
use crate::handle::Handle;

/// Its task.
pub(super) struct Deliver {
    board: Arc<Board>,
    hub: Arc<Hub>,
    roster: Arc<Roster>,
    plan: watch::Receiver<Arc<Deliveries>>,
    handle: Handle,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    seen: Seen,
    /// What is on the board, encoded.
    leases: BTreeMap<InstanceName, Encoded>,
    /// How many workers use each instance, as the schedule was told.
    users: BTreeMap<InstanceName, u32>,
    ready: watch::Sender<bool>,
}

/// How soon the schedule hears that workers came or went.
const COUNT: Duration = Duration::from_secs(1);

/// After so many counts the schedule is told all of them, whether they changed or not.
const AGAIN: u64 = 10;

impl Deliver {
    pub(super) fn new(
        board: Arc<Board>,
        hub: Arc<Hub>,
        roster: Arc<Roster>,
        plan: watch::Receiver<Arc<Deliveries>>,
        handle: Handle,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (leases, users) = (BTreeMap::new(), BTreeMap::new());
        Self {
            board,
            hub,
            roster,
            plan,
            handle,
            clock,
            metrics,
            seen: Seen::default(),
            leases,
            users,
            ready: watch::Sender::new(false),
        }
    }

    /// True once it is known what each group gets.
    pub(super) fn when_ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    pub(super) async fn run(mut self) {
        let mut changes = self.board.changes();
        let (mut count, mut ticks) = (every(COUNT), 0_u64);
        loop {
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.look();
                }
                changed = self.plan.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.replan();
                    self.ready.send_replace(true);
                }
                _ = count.tick() => {
                    ticks += 1;
                    // An instance that changed has forgotten who uses it.
                    if ticks % AGAIN == 0 {
                        self.users.clear();
                    }
                    self.count().await;
                }
            }
        }
    }

    /// Takes over what changed on the board.
    fn look(&mut self) {
        let plan = Arc::clone(&self.plan.borrow());
        for (instance, lease) in self.board.after(&mut self.seen) {
            match lease {
                Some(lease) => self.publish(&plan, &instance, &lease),
                None => {
                    let lease = self.leases.remove(&instance);
                    let expired = lease.is_some_and(|lease| lease.valid_until() <= self.clock.now().wall);
                    for group in self.hub.groups().values() {
                        if expired { group.expire(&instance) } else { group.withdraw(&instance) }
                    }
                }
            }
        }
    }

    fn publish(&mut self, plan: &Deliveries, instance: &InstanceName, lease: &Lease) {
        // Without it no receiver knows what to make of it. A lease that an earlier version saved has none.
        let Some(service) = &lease.service else { return };
        let encoded = Encoded::new(&Delivery {
            instance: instance.clone(),
            service: service.clone(),
            stamp: Stamp { revision: lease.revision, obtained_at: lease.obtained_at },
            valid_until: lease.valid_until,
            payload: Arc::clone(&lease.payload),
        });
        for (name, group) in &plan.groups {
            if group.instances.contains(instance) {
                self.hub.group(name).publish(&encoded);
            }
        }
        self.leases.insert(instance.clone(), encoded);
    }

    /// Another configuration: who gets what is found anew.
    fn replan(&mut self) {
        let plan = Arc::clone(&self.plan.borrow_and_update());
        for (instance, lease) in self.board.all(&mut self.seen) {
            let same = self.leases.get(&instance).is_some_and(|known| known.stamp().revision == lease.revision);
            if !same {
                self.publish(&plan, &instance, &lease);
            }
        }
        let groups: BTreeSet<GroupName> = self.hub.groups().into_keys().chain(plan.groups.keys().cloned()).collect();
        for name in groups {
            let (group, given) = (self.hub.group(&name), plan.groups.get(&name));
            group.allow(given.map(|given| given.instances.clone()).unwrap_or_default());
            let there = group.leases();
            for instance in given.iter().flat_map(|given| &given.instances) {
                if let Some(lease) = self.leases.get(instance)
                    && there.get(instance) != Some(&lease.stamp())
                {
                    group.publish(lease);
                }
            }
            for receiver in group.receivers() {
                if !given.is_some_and(|given| given.receivers.contains_key(&receiver)) {
                    group.unbind(&receiver);
                }
            }
            for (receiver, binding) in given.iter().flat_map(|given| &given.receivers) {
                match binding {
                    Some(binding) => group.bind(receiver, binding),
                    None => group.keep(receiver),
                }
            }
        }
    }

    /// Tells the schedule how many workers use each instance: what nobody uses need not be kept alive, if the operator
    /// said so.
    async fn count(&mut self) {
        let mut groups: BTreeMap<GroupName, u32> = BTreeMap::new();
        for present in self.roster.all().into_iter().filter(|present| present.left().is_none()) {
            let count = groups.entry(present.group.clone()).or_default();
            *count = count.saturating_add(1);
        }
        self.metrics.connected(self.roster.connected());
        let plan = Arc::clone(&self.plan.borrow());
        let mut users: BTreeMap<InstanceName, u32> = BTreeMap::new();
        for (name, count) in groups {
            for instance in plan.groups.get(&name).iter().flat_map(|group| &group.instances) {
                let users = users.entry(instance.clone()).or_default();
                *users = users.saturating_add(count);
            }
        }
        let gone = self.users.keys().filter(|instance| !users.contains_key(*instance)).cloned();
        let gone: Vec<_> = gone.map(|instance| (instance, 0)).collect();
        let changed = users.iter().filter(|(name, count)| self.users.get(*name) != Some(*count));
        for (instance, count) in changed.map(|(name, count)| (name.clone(), *count)).chain(gone).collect::<Vec<_>>() {
            if self.handle.used(instance, count).await.is_err() {
                return;
            }
        }
        self.users = users;
    }
}

#[expect(clippy::disallowed_methods, reason = "a count is taken now and then")]
fn every(time: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(time);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}
