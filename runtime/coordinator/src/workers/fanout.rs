//! From the board to the groups: each lease that is published is encoded once, for all groups that get it.
//!
//! What a group gets is in its hub and nowhere else, so that a worker can't be sent what its group may not have: an
//! instance that is taken from a group leaves its hub, and with that every stream of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use deputy_core::schedule::Lease;
use deputy_core::time::Clock;
use deputy_core::{Delivery, GroupName, InstanceName, LeaseVersion};
use deputy_link::server::Sessions;
use deputy_link::{EncodedLease, GroupFeeds, ReceiverBinding};
use deputy_metrics::CoordinatorMetrics;
use tokio::sync::watch;

use super::Deliveries;
use super::audience::{Audience, is_current};
use crate::handle::CoordinatorHandle;
use crate::lease_board::{BoardCursor, LeaseBoard};

/// Its task.
pub(super) struct Fanout {
    board: Arc<LeaseBoard>,
    hub: Arc<GroupFeeds>,
    roster: Arc<Sessions>,
    plan: watch::Receiver<Arc<Deliveries>>,
    handle: CoordinatorHandle,
    clock: Arc<dyn Clock>,
    metrics: Arc<CoordinatorMetrics>,
    seen: BoardCursor,
    /// Whom a lease of an earlier configuration may reach.
    audience: Audience,
    /// Whether a receiver is left as it was until there is a lease of the new configuration.
    receivers_wait: bool,
    /// What is on the board, encoded.
    leases: BTreeMap<InstanceName, EncodedLease>,
    /// How many workers use each instance, as the schedule was told.
    users: BTreeMap<InstanceName, u32>,
    ready: watch::Sender<bool>,
}

/// How soon the schedule hears that workers came or went.
const COUNT: Duration = Duration::from_secs(1);

/// After so many counts the schedule is told all of them, whether they changed or not.
const AGAIN: u64 = 10;

impl Fanout {
    pub(super) fn new(
        board: Arc<LeaseBoard>,
        hub: Arc<GroupFeeds>,
        roster: Arc<Sessions>,
        plan: watch::Receiver<Arc<Deliveries>>,
        handle: CoordinatorHandle,
        clock: Arc<dyn Clock>,
        metrics: Arc<CoordinatorMetrics>,
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
            seen: BoardCursor::default(),
            audience: Audience::default(),
            receivers_wait: false,
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
        for (instance, lease) in self.board.changed_since(&mut self.seen) {
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
        if self.receivers_wait {
            self.bind(&plan);
        }
    }

    fn publish(&mut self, plan: &Deliveries, instance: &InstanceName, lease: &Lease) {
        // Without it no receiver knows what to make of it. A lease that an earlier version saved has none.
        let Some(service) = &lease.service else { return };
        let encoded = EncodedLease::new(&Delivery {
            instance: instance.clone(),
            service: service.clone(),
            stamp: LeaseVersion { revision: lease.revision, obtained_at: lease.obtained_at },
            valid_until: lease.valid_until,
            payload: Arc::clone(&lease.payload),
        });
        for (name, given) in &plan.groups {
            let group = self.hub.group(name);
            if given.instances.contains(instance) && self.audience.may_have(plan, (name, &group), instance, lease) {
                group.publish(&encoded);
            }
        }
        self.leases.insert(instance.clone(), encoded);
    }

    /// Another configuration: who gets what is found anew.
    fn replan(&mut self) {
        let plan = Arc::clone(&self.plan.borrow_and_update());
        self.audience.replan(&plan);
        // What was withdrawn is taken back now: all leases together show nothing that is gone.
        self.look();
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
                if let Some(encoded) = self.leases.get(instance)
                    && there.get(instance) != Some(&encoded.stamp())
                    && let Some(lease) = self.board.lease(instance)
                    && self.audience.may_have(&plan, (&name, &group), instance, &lease)
                {
                    group.publish(encoded);
                }
            }
            for receiver in group.receivers() {
                if !given.is_some_and(|given| given.receivers.contains_key(&receiver)) {
                    group.unbind(&receiver);
                }
            }
        }
        self.bind(&plan);
    }

    /// Gives each group its receivers as they are configured, or leaves them as they are.
    fn bind(&mut self, plan: &Deliveries) {
        self.receivers_wait = false;
        for (name, given) in &plan.groups {
            let group = self.hub.group(name);
            for (receiver, binding) in &given.receivers {
                let Some(binding) = binding else {
                    group.set_unavailable(receiver);
                    continue;
                };
                let stale = self.has_stale(plan, binding);
                if self.audience.may_bind((name.clone(), receiver.clone()), binding, stale) {
                    group.bind(receiver, binding);
                    continue;
                }
                self.receivers_wait = true;
                if !group.receivers().contains(receiver) {
                    group.set_unavailable(receiver);
                }
            }
        }
    }

    /// Whether a receiver would be given a lease of an earlier configuration.
    fn has_stale(&self, plan: &Deliveries, binding: &ReceiverBinding) -> bool {
        let stale = |instance: &InstanceName| {
            self.board.lease(instance).is_some_and(|lease| !is_current(plan, instance, &lease))
        };
        binding.instances.iter().any(stale)
    }

    /// Tells the schedule how many workers use each instance: what nobody uses need not be kept alive, if the operator
    /// said so.
    async fn count(&mut self) {
        let mut groups: BTreeMap<GroupName, u32> = BTreeMap::new();
        for present in self.roster.all().into_iter().filter(|present| present.left().is_none()) {
            let count = groups.entry(present.group.clone()).or_default();
            *count = count.saturating_add(1);
        }
        self.metrics.set_connected_workers(self.roster.connected());
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
            if self.handle.set_users(instance, count).await.is_err() {
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
