//! From the board to the groups' feeds: each published lease is encoded once, for all groups that get it.
//!
//! What a group gets is in its feed and nowhere else, so that a worker cannot get what its group may not have: an instance
//! that is taken from a group leaves its feed, and with that every session of the group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use deputy_core::schedule::Lease;
use deputy_core::time::Clock;
use deputy_core::{Delivery, GroupName, InstanceName, LeaseVersion};
use deputy_link::server::Sessions;
use deputy_link::{EncodedLease, GroupFeed, GroupFeeds, ReceiverBinding};
use deputy_metrics::CoordinatorMetrics;
use tokio::sync::watch;

use super::audience::{Audience, is_current};
use super::usage::UsageReporter;
use crate::deliveries::{Deliveries, GroupDeliveries};
use crate::delivery_traces::DeliveryTraces;
use crate::handle::CoordinatorHandle;
use crate::lease_board::{BoardCursor, LeaseBoard};

pub(super) struct Fanout {
    board: Arc<LeaseBoard>,
    feeds: Arc<GroupFeeds>,
    deliveries: watch::Receiver<Arc<Deliveries>>,
    clock: Arc<dyn Clock>,
    usage: UsageReporter,
    cursor: BoardCursor,
    audience: Audience,
    /// Whether a receiver stays bound as it is until there is a lease of the new configuration.
    receivers_wait: bool,
    /// The leases on the board, encoded.
    encoded: BTreeMap<InstanceName, EncodedLease>,
    sessions: Arc<Sessions>,
    traces: Arc<DeliveryTraces>,
    has_deliveries: bool,
    ready: watch::Sender<bool>,
}

/// How soon the schedule learns that workers came or went.
const USAGE_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct FanoutOptions {
    pub(super) board: Arc<LeaseBoard>,
    pub(super) feeds: Arc<GroupFeeds>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) deliveries: watch::Receiver<Arc<Deliveries>>,
    /// Whether other coordinators use the same state.
    pub(super) is_shared: bool,
    pub(super) handle: CoordinatorHandle,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<CoordinatorMetrics>,
    pub(super) traces: Arc<DeliveryTraces>,
}

impl Fanout {
    pub(super) fn new(options: FanoutOptions) -> Self {
        Self {
            board: options.board,
            feeds: options.feeds,
            deliveries: options.deliveries,
            clock: options.clock,
            usage: UsageReporter::new(Arc::clone(&options.sessions), options.handle, options.metrics),
            sessions: options.sessions,
            traces: options.traces,
            cursor: BoardCursor::default(),
            audience: Audience::new(options.is_shared),
            receivers_wait: false,
            encoded: BTreeMap::new(),
            has_deliveries: false,
            ready: watch::Sender::new(false),
        }
    }

    /// True once the deliveries of the first configuration are in the feeds, with the leases that other coordinators obtained.
    pub(super) fn when_ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    pub(super) async fn run(mut self) {
        let mut changes = self.board.changes();
        let mut usage_due = usage_timer();
        loop {
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.apply_board_changes();
                }
                changed = self.deliveries.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.apply_deliveries();
                    self.has_deliveries = true;
                }
                _ = usage_due.tick() => {
                    let deliveries = Arc::clone(&self.deliveries.borrow());
                    self.usage.report(&deliveries).await;
                    self.traces.expire();
                }
            }
            // A worker would drop what its snapshot lacks.
            if self.has_deliveries && self.board.is_read() {
                self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
            }
        }
    }

    fn apply_board_changes(&mut self) {
        let deliveries = Arc::clone(&self.deliveries.borrow());
        for (instance, lease) in self.board.changed_since(&mut self.cursor) {
            match lease {
                Some(lease) => self.publish(&deliveries, &instance, &lease),
                None => self.withdraw(&instance),
            }
        }
        if self.receivers_wait {
            self.bind_receivers(&deliveries);
        }
    }

    fn publish(&mut self, deliveries: &Deliveries, instance: &InstanceName, lease: &Lease) {
        // Later on, a lease of an unknown configuration is of one that another coordinator was reloaded with.
        if !*self.ready.borrow() {
            self.audience.note(instance, lease);
        }
        let Some(delivery) = delivery(instance, lease, &self.traces) else { return };
        let encoded = EncodedLease::new(&delivery);
        let groups = deliveries.groups.iter().filter(|(_, group)| group.instances.contains(instance));
        let feeds = groups.map(|(name, _)| (name, self.feeds.group(name)));
        let may_get = |(name, feed): &(&GroupName, Arc<GroupFeed>)| {
            self.audience.may_get(deliveries, (name, feed), instance, lease)
        };
        let feeds: BTreeMap<&GroupName, Arc<GroupFeed>> = feeds.filter(may_get).collect();
        self.traces.send(instance, delivery.stamp, || {
            let sessions = self.sessions.all().into_iter();
            let awaited = sessions.filter(|session| feeds.contains_key(&session.group) && session.awaits(instance));
            awaited.map(|session| session.worker).collect()
        });
        feeds.values().for_each(|feed| feed.publish(&encoded));
        self.encoded.insert(instance.clone(), encoded);
    }

    fn withdraw(&mut self, instance: &InstanceName) {
        let lease = self.encoded.remove(instance);
        let is_expired = lease.is_some_and(|lease| lease.valid_until() <= self.clock.now().wall);
        for feed in self.feeds.groups().values() {
            if is_expired { feed.expire(instance) } else { feed.withdraw(instance) }
        }
    }

    /// Applies the deliveries of another configuration.
    fn apply_deliveries(&mut self) {
        let deliveries = Arc::clone(&self.deliveries.borrow_and_update());
        self.audience.adopt(&deliveries);
        // Withdrawals come first: `all` shows only what is published.
        self.apply_board_changes();
        for (instance, lease) in self.board.all(&mut self.cursor) {
            let is_known = self.encoded.get(&instance).is_some_and(|known| known.stamp().revision == lease.revision);
            if !is_known {
                self.publish(&deliveries, &instance, &lease);
            }
        }
        let groups: BTreeSet<GroupName> =
            self.feeds.groups().into_keys().chain(deliveries.groups.keys().cloned()).collect();
        for name in groups {
            self.apply_group(&deliveries, &name);
        }
        self.bind_receivers(&deliveries);
    }

    fn apply_group(&self, deliveries: &Deliveries, name: &GroupName) {
        let feed = self.feeds.group(name);
        let group = deliveries.groups.get(name);
        feed.allow(group.map(|group| group.instances.clone()).unwrap_or_default(), &deliveries.places);
        if let Some(group) = group {
            self.publish_missing(deliveries, name, group, &feed);
        }
        for receiver in feed.receivers() {
            if !group.is_some_and(|group| group.receivers.contains_key(&receiver)) {
                feed.unbind(&receiver);
            }
        }
    }

    /// Publishes the leases of a group that its feed lacks.
    fn publish_missing(&self, deliveries: &Deliveries, name: &GroupName, group: &GroupDeliveries, feed: &GroupFeed) {
        let published = feed.leases();
        for instance in &group.instances {
            if let Some(encoded) = self.encoded.get(instance)
                && published.get(instance) != Some(&encoded.stamp())
                && let Some(lease) = self.board.lease(instance)
                && self.audience.may_get(deliveries, (name, feed), instance, &lease)
            {
                feed.publish(encoded);
            }
        }
    }

    /// Binds the receivers of each group as they are configured, or leaves them bound as they are.
    fn bind_receivers(&mut self, deliveries: &Deliveries) {
        self.receivers_wait = false;
        for (name, group) in &deliveries.groups {
            let feed = self.feeds.group(name);
            for (receiver, binding) in &group.receivers {
                let Some(binding) = binding else {
                    feed.set_unavailable(receiver);
                    continue;
                };
                let stale = self.stale_leases(deliveries, binding);
                if self.audience.may_bind(name, receiver, binding, &stale) {
                    self.audience.record_bound(name.clone(), receiver.clone(), binding.clone());
                    feed.bind(receiver, binding);
                    continue;
                }
                self.receivers_wait = true;
                if !feed.receivers().contains(receiver) {
                    feed.set_unavailable(receiver);
                }
            }
        }
    }

    /// The leases of earlier configurations that a receiver would get.
    fn stale_leases(&self, deliveries: &Deliveries, binding: &ReceiverBinding) -> Vec<Lease> {
        binding
            .instances
            .iter()
            .filter_map(|instance| self.board.lease(instance).filter(|lease| !is_current(deliveries, instance, lease)))
            .collect()
    }
}

/// A lease as it is delivered. No receiver can use one without its service and kind. A file's are unknown until its component
/// is loaded.
pub(crate) fn delivery(instance: &InstanceName, lease: &Lease, traces: &DeliveryTraces) -> Option<Delivery> {
    let stamp = LeaseVersion { revision: lease.revision, obtained_at: lease.obtained_at };
    Some(Delivery {
        instance: instance.clone(),
        service: lease.service.clone()?,
        kind: lease.kind.clone()?,
        stamp,
        valid_until: lease.valid_until,
        next_at: lease.next_at,
        renewable_until: lease.renewable_until,
        payload: Arc::clone(&lease.payload),
        trace: traces.context(instance, stamp),
    })
}

#[expect(clippy::disallowed_methods, reason = "workers are counted at a fixed pace")]
fn usage_timer() -> tokio::time::Interval {
    let mut interval = tokio::time::interval(USAGE_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}
