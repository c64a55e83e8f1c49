//! What each group of workers gets: one item for each instance and receiver, encoded once and shared by all sessions.
//!
//! A session has a cursor: the number of the last change that it sent. It asks for later changes and gets the newest version
//! of each item, so that nothing queues up for a slow worker. Items are ordered by their last change, so that the cost of
//! the answer depends on what changed. Waking a session carries no data: a session that is woken without need finds nothing
//! to send.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use deputy_core::{
    AdvertisedAddresses, Delivery, GroupName, InstanceName, LeaseVersion, ReceiverName, S3Places, Timestamp,
};
use deputy_support::{ChangeOrder, RwLockUnpoisoned as _};
use tokio::sync::broadcast;

use crate::delivered_state::ReceiverBinding;
use crate::frame::encode;
use crate::message::{
    Addresses, Authorities, GroupInstances, InstancePlace, LeaseUpdate, LeaseWithdrawn, ReceiverBound, ReceiverLimits,
    ServerMessage, ServerMessageKind, SnapshotEnd,
};

#[derive(Default)]
pub struct GroupFeeds {
    groups: RwLock<BTreeMap<GroupName, Arc<GroupFeed>>>,
    /// The encoded `Authorities` and `Addresses`, also for groups that are added later.
    shared: RwLock<BTreeMap<FeedKey, Bytes>>,
}

/// What one group gets.
pub struct GroupFeed {
    state: RwLock<FeedState>,
    wake: broadcast::Sender<()>,
}

#[derive(Default)]
struct FeedState {
    /// The instances that the group may have, with or without a lease.
    allowed: BTreeSet<InstanceName>,
    /// Receivers of the group that cannot be loaded at the moment. Workers keep the version that they hold.
    unavailable: BTreeSet<ReceiverName>,
    items: BTreeMap<FeedKey, FeedItem>,
    changes: ChangeOrder<FeedKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum FeedKey {
    Authorities,
    Addresses,
    GroupInstances,
    Receiver(ReceiverName),
    Instance(InstanceName),
}

struct FeedItem {
    /// `None` unless it is a published lease.
    stamp: Option<LeaseVersion>,
    state: ItemState,
    frame: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ItemState {
    Published,
    Withdrawn,
}

#[derive(Clone)]
pub struct EncodedLease {
    instance: InstanceName,
    stamp: LeaseVersion,
    valid_until: Timestamp,
    frame: Bytes,
}

/// The position of a session in its feed.
pub(crate) struct FeedCursor {
    seen: u64,
    /// The instances that the worker requested; `None` for all.
    wanted: Option<BTreeSet<InstanceName>>,
}

impl EncodedLease {
    /// Encodes a lease once for all its workers.
    pub fn new(delivery: &Delivery) -> Self {
        let update = LeaseUpdate {
            instance: delivery.instance.to_string(),
            service: delivery.service.to_string(),
            revision: delivery.stamp.revision.0,
            obtained_ms: delivery.stamp.obtained_at.as_millis(),
            valid_until_ms: delivery.valid_until.as_millis(),
            payload: delivery.payload.expose().to_vec(),
            kind: delivery.kind.to_string(),
            subject: String::new(),
            next_at_ms: delivery.next_at.map(Timestamp::as_millis),
            renewable_until_ms: delivery.renewable_until.map(Timestamp::as_millis),
            traceparent: delivery.trace.map(|trace| trace.to_string()),
        };
        let mut message = ServerMessage::from(ServerMessageKind::LeaseUpdate(update));
        let frame = encode(&message);
        if let Some(ServerMessageKind::LeaseUpdate(update)) = &mut message.kind {
            zeroize::Zeroize::zeroize(&mut update.payload);
        }
        Self { instance: delivery.instance.clone(), stamp: delivery.stamp, valid_until: delivery.valid_until, frame }
    }

    /// The expiry of the lease.
    pub fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    pub fn stamp(&self) -> LeaseVersion {
        self.stamp
    }
}

impl GroupFeeds {
    /// The feed of a group, created if it is missing.
    pub fn group(&self, name: &GroupName) -> Arc<GroupFeed> {
        if let Some(group) = self.groups.read_unpoisoned().get(name) {
            return Arc::clone(group);
        }
        let mut groups = self.groups.write_unpoisoned();
        let group = groups.entry(name.clone()).or_insert_with(|| {
            let group = GroupFeed::default();
            group.allow(BTreeSet::new(), &S3Places::new());
            for (key, frame) in &*self.shared.read_unpoisoned() {
                group.put(key.clone(), None, ItemState::Published, frame.clone());
            }
            Arc::new(group)
        });
        Arc::clone(group)
    }

    /// All feeds that were created.
    pub fn groups(&self) -> BTreeMap<GroupName, Arc<GroupFeed>> {
        self.groups.read_unpoisoned().clone()
    }

    /// Publishes the trusted authorities to all groups.
    pub fn set_authorities(&self, authorities: Vec<Vec<u8>>) {
        let message = ServerMessageKind::Authorities(Authorities { certificates: authorities });
        self.share(FeedKey::Authorities, message);
    }

    /// Publishes where workers reach the coordinators of this state to all groups.
    pub fn set_addresses(&self, addresses: &AdvertisedAddresses) {
        let addresses = addresses.as_slice().iter().map(ToString::to_string).collect();
        self.share(FeedKey::Addresses, ServerMessageKind::Addresses(Addresses { addresses }));
    }

    fn share(&self, key: FeedKey, message: ServerMessageKind) {
        let frame = encode(&ServerMessage::from(message));
        self.shared.write_unpoisoned().insert(key.clone(), frame.clone());
        self.groups().values().for_each(|group| group.put(key.clone(), None, ItemState::Published, frame.clone()));
    }
}

impl Default for GroupFeed {
    fn default() -> Self {
        // Of one message, since a session that lags asks for the newest versions anyway.
        Self { state: RwLock::default(), wake: broadcast::Sender::new(1) }
    }
}

impl GroupFeed {
    /// Sets the instances that the group may have. Withdraws others, and publishes the new list with the places of these.
    pub fn allow(&self, instances: BTreeSet<InstanceName>, places: &S3Places) {
        let withdrawn: Vec<InstanceName> = self.leases().into_keys().filter(|name| !instances.contains(name)).collect();
        let located = instances.iter().filter_map(|instance| Some((instance, places.get(instance)?)));
        let list = GroupInstances {
            instances: instances.iter().map(ToString::to_string).collect(),
            places: located.filter_map(|(instance, place)| InstancePlace::of(instance, place)).collect(),
        };
        self.write().allowed = instances;
        self.put_if_changed(
            FeedKey::GroupInstances,
            encode(&ServerMessage::from(ServerMessageKind::GroupInstances(list))),
        );
        withdrawn.iter().for_each(|instance| self.withdraw(instance));
    }

    pub fn publish(&self, lease: &EncodedLease) {
        self.put(
            FeedKey::Instance(lease.instance.clone()),
            Some(lease.stamp),
            ItemState::Published,
            lease.frame.clone(),
        );
    }

    /// Withdraws the lease of an instance, if there is one.
    pub fn withdraw(&self, instance: &InstanceName) {
        let name = FeedKey::Instance(instance.clone());
        if self.has(&name) {
            let withdrawn = LeaseWithdrawn { instance: instance.to_string() };
            self.put(
                name,
                None,
                ItemState::Withdrawn,
                encode(&ServerMessage::from(ServerMessageKind::LeaseWithdrawn(withdrawn))),
            );
        }
    }

    /// Removes an expired lease without notifying workers. They know its expiry themselves.
    pub fn expire(&self, instance: &InstanceName) {
        self.write().remove(&FeedKey::Instance(instance.clone()));
    }

    /// Adds or changes a receiver of the group.
    pub fn bind(&self, receiver: &ReceiverName, binding: &ReceiverBinding) {
        let bound = ReceiverBound {
            receiver: receiver.to_string(),
            component: binding.component.as_bytes().to_vec(),
            settings: binding.settings.clone(),
            instances: binding.instances.iter().map(ToString::to_string).collect(),
            limits: ReceiverLimits::of(&binding.limits),
        };
        self.write().unavailable.remove(receiver);
        self.put_if_changed(
            FeedKey::Receiver(receiver.clone()),
            encode(&ServerMessage::from(ServerMessageKind::ReceiverBound(bound))),
        );
    }

    /// Marks a receiver that cannot be loaded at the moment. Workers that have it keep it and what it published; others do
    /// not get it.
    pub fn set_unavailable(&self, receiver: &ReceiverName) {
        let mut state = self.write();
        state.unavailable.insert(receiver.clone());
        state.remove(&FeedKey::Receiver(receiver.clone()));
    }

    /// Removes a receiver from the group, if it has one of this name.
    pub fn unbind(&self, receiver: &ReceiverName) {
        let name = FeedKey::Receiver(receiver.clone());
        let was_unavailable = self.write().unavailable.remove(receiver);
        if was_unavailable || self.has(&name) {
            let bound = ReceiverBound { receiver: receiver.to_string(), ..ReceiverBound::default() };
            self.put(
                name,
                None,
                ItemState::Withdrawn,
                encode(&ServerMessage::from(ServerMessageKind::ReceiverBound(bound))),
            );
        }
    }

    /// The versions of the published leases.
    pub fn leases(&self) -> BTreeMap<InstanceName, LeaseVersion> {
        let state = self.read();
        let leases = state.items.iter().filter_map(|(name, item)| match name {
            FeedKey::Instance(instance) => Some((instance.clone(), item.stamp?)),
            _ => None,
        });
        leases.collect()
    }

    /// The version of the published lease of an instance.
    pub fn newest(&self, instance: &InstanceName) -> Option<LeaseVersion> {
        self.read().items.get(&FeedKey::Instance(instance.clone())).and_then(|item| item.stamp)
    }

    /// The receivers of the group, unavailable ones included.
    pub fn receivers(&self) -> BTreeSet<ReceiverName> {
        let state = self.read();
        let bound = state.items.iter().filter_map(|(name, item)| match name {
            FeedKey::Receiver(receiver) if item.state == ItemState::Published => Some(receiver),
            _ => None,
        });
        bound.chain(&state.unavailable).cloned().collect()
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<()> {
        self.wake.subscribe()
    }

    /// The frames of a snapshot, without the leases that the worker knows.
    pub(crate) fn snapshot(
        &self,
        wanted: Option<BTreeSet<InstanceName>>,
        known: &BTreeMap<InstanceName, LeaseVersion>,
    ) -> (Vec<Bytes>, FeedCursor) {
        let state = self.read();
        let cursor = FeedCursor { seen: state.changes.last(), wanted };
        let mut frames = Vec::new();
        let mut end = SnapshotEnd::default();
        end.receivers.extend(state.unavailable.iter().map(ToString::to_string));
        for (name, item) in
            state.items.iter().filter(|(name, item)| item.state == ItemState::Published && cursor.wants(name))
        {
            match name {
                FeedKey::Authorities | FeedKey::Addresses | FeedKey::GroupInstances => {}
                FeedKey::Receiver(receiver) => end.receivers.push(receiver.to_string()),
                FeedKey::Instance(instance) => {
                    if item.stamp == known.get(instance).copied() {
                        continue;
                    }
                }
            }
            frames.push(item.frame.clone());
        }
        // An instance may have no lease at the moment, because the state was lost or the lease has expired. Workers still keep
        // theirs, unless it was withdrawn.
        let instances = state.allowed.iter().filter(|instance| {
            let key = FeedKey::Instance((*instance).clone());
            cursor.wants(&key) && state.items.get(&key).is_none_or(|item| item.state == ItemState::Published)
        });
        end.instances = instances.map(ToString::to_string).collect();
        frames.push(encode(&ServerMessage::from(ServerMessageKind::SnapshotEnd(end))));
        (frames, cursor)
    }

    /// The newest version of each item that changed since the cursor.
    pub(crate) fn after(&self, cursor: &mut FeedCursor) -> Vec<Bytes> {
        let state = self.read();
        let changed = state.changes.since(cursor.seen).filter(|key| cursor.wants(key));
        let frames = changed.filter_map(|key| state.items.get(key)).map(|item| item.frame.clone()).collect();
        cursor.seen = state.changes.last();
        frames
    }

    /// Puts an item that is not a lease, unless it is the same as before.
    fn put_if_changed(&self, key: FeedKey, frame: Bytes) {
        let is_same = self.read().items.get(&key).is_some_and(|item| item.frame == frame);
        if !is_same {
            self.put(key, None, ItemState::Published, frame);
        }
    }

    fn put(&self, key: FeedKey, stamp: Option<LeaseVersion>, state: ItemState, frame: Bytes) {
        {
            let mut feed = self.write();
            feed.changes.record(key.clone());
            feed.items.insert(key, FeedItem { stamp, state, frame });
        }
        // Fails if there is no session to wake.
        self.wake.send(()).ok();
    }

    fn has(&self, key: &FeedKey) -> bool {
        self.read().items.get(key).is_some_and(|item| item.state == ItemState::Published)
    }

    fn read(&self) -> RwLockReadGuard<'_, FeedState> {
        self.state.read_unpoisoned()
    }

    fn write(&self) -> RwLockWriteGuard<'_, FeedState> {
        self.state.write_unpoisoned()
    }
}

impl FeedState {
    /// Removes an item without notifying sessions; workers keep their copy.
    fn remove(&mut self, key: &FeedKey) {
        self.items.remove(key);
        self.changes.forget(key);
    }
}

impl FeedCursor {
    fn wants(&self, key: &FeedKey) -> bool {
        match (key, &self.wanted) {
            (FeedKey::Instance(instance), Some(wanted)) => wanted.contains(instance),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests;
