//! What each group of workers gets: one item for each instance and receiver, encoded once and shared by all streams.
//!
//! A stream has a cursor: the number of the last change that it sent. It asks for what came after, and gets the newest of
//! each item, however long it was away: nothing queues up for who is slow. A group's items stand in the order of their
//! last change, so that the question costs what changed and not what there is. Waking is only that: who is woken twice, or
//! for nothing, finds nothing to send.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use deputy_core::{Delivery, GroupName, InstanceName, LeaseVersion, ReceiverName, Timestamp};
use tokio::sync::broadcast;

use crate::frame::encode;
use crate::message::{
    Authorities, GroupInstances, LeaseUpdate, LeaseWithdrawn, ReceiverBound, ReceiverLimits, ServerMessage,
    ServerMessageKind, SnapshotEnd,
};
use crate::worker_state::ReceiverBinding;

/// All groups.
#[derive(Default)]
pub struct GroupFeeds {
    groups: RwLock<BTreeMap<GroupName, Arc<GroupFeed>>>,
    /// Whom to trust, encoded: also for groups that come later.
    trusted: RwLock<Option<Bytes>>,
}

/// One group.
pub struct GroupFeed {
    state: RwLock<State>,
    wake: broadcast::Sender<()>,
}

#[derive(Default)]
struct State {
    /// The instances that the group may have, whether there is a lease now or not.
    allowed: BTreeSet<InstanceName>,
    /// The receivers that the group has and that can't be given out now: who has one keeps it as it was.
    kept: BTreeSet<ReceiverName>,
    /// The number of the last change.
    last: u64,
    items: BTreeMap<Name, Item>,
    /// Which item each change was of; an item is in it once.
    order: BTreeMap<u64, Name>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Authorities,
    GroupInstances,
    Receiver(ReceiverName),
    Instance(InstanceName),
}

struct Item {
    change: u64,
    /// What is held; nothing if it was taken back.
    stamp: Option<LeaseVersion>,
    is_there: Presence,
    frame: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    There,
    Gone,
}

/// A lease, encoded.
#[derive(Clone)]
pub struct EncodedLease {
    instance: InstanceName,
    stamp: LeaseVersion,
    valid_until: Timestamp,
    frame: Bytes,
}

/// How far a stream is.
pub(crate) struct FeedCursor {
    seen: u64,
    /// What the worker wants; everything if it did not say.
    wanted: Option<BTreeSet<InstanceName>>,
}

impl EncodedLease {
    /// Encodes a lease, for as many as will get it.
    pub fn new(delivery: &Delivery) -> Self {
        let update = LeaseUpdate {
            instance: delivery.instance.to_string(),
            service: delivery.service.to_string(),
            revision: delivery.stamp.revision.0,
            obtained_ms: delivery.stamp.obtained_at.as_millis(),
            valid_until_ms: delivery.valid_until.as_millis(),
            payload: delivery.payload.expose().to_vec(),
        };
        let mut message = ServerMessage::from(ServerMessageKind::LeaseUpdate(update));
        let frame = encode(&message);
        if let Some(ServerMessageKind::LeaseUpdate(update)) = &mut message.kind {
            zeroize::Zeroize::zeroize(&mut update.payload);
        }
        Self { instance: delivery.instance.clone(), stamp: delivery.stamp, valid_until: delivery.valid_until, frame }
    }

    /// When it ends.
    pub fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    /// Which lease it is.
    pub fn stamp(&self) -> LeaseVersion {
        self.stamp
    }
}

impl GroupFeeds {
    /// A group, which begins empty.
    pub fn group(&self, name: &GroupName) -> Arc<GroupFeed> {
        if let Some(group) = self.groups.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(group);
        }
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        let group = groups.entry(name.clone()).or_insert_with(|| {
            let group = GroupFeed::default();
            group.allow(BTreeSet::new());
            if let Some(frame) = &*self.trusted.read().unwrap_or_else(PoisonError::into_inner) {
                group.put(Name::Authorities, None, Presence::There, frame.clone());
            }
            Arc::new(group)
        });
        Arc::clone(group)
    }

    /// All groups that somebody named.
    pub fn groups(&self) -> BTreeMap<GroupName, Arc<GroupFeed>> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells everybody whom to trust.
    pub fn trust(&self, authorities: Vec<Vec<u8>>) {
        let frame =
            encode(&ServerMessage::from(ServerMessageKind::Authorities(Authorities { certificates: authorities })));
        *self.trusted.write().unwrap_or_else(PoisonError::into_inner) = Some(frame.clone());
        self.groups().values().for_each(|group| group.put(Name::Authorities, None, Presence::There, frame.clone()));
    }
}

impl Default for GroupFeed {
    fn default() -> Self {
        // Of one message: who lags behind looks for the newest anyway.
        Self { state: RwLock::default(), wake: broadcast::Sender::new(1) }
    }
}

impl GroupFeed {
    /// Says what the group may have. What it may no longer have is taken back, and all workers hear the new list.
    pub fn allow(&self, instances: BTreeSet<InstanceName>) {
        let gone: Vec<InstanceName> = self.leases().into_keys().filter(|name| !instances.contains(name)).collect();
        let delivered = GroupInstances { instances: instances.iter().map(ToString::to_string).collect() };
        self.write().allowed = instances;
        self.put_if_changed(
            Name::GroupInstances,
            encode(&ServerMessage::from(ServerMessageKind::GroupInstances(delivered))),
        );
        gone.iter().for_each(|instance| self.withdraw(instance));
    }

    /// Gives out a lease.
    pub fn publish(&self, lease: &EncodedLease) {
        self.put(Name::Instance(lease.instance.clone()), Some(lease.stamp), Presence::There, lease.frame.clone());
    }

    /// Takes an instance back; does nothing if it is not there.
    pub fn withdraw(&self, instance: &InstanceName) {
        let name = Name::Instance(instance.clone());
        if self.has(&name) {
            let withdrawn = LeaseWithdrawn { instance: instance.to_string() };
            self.put(
                name,
                None,
                Presence::Gone,
                encode(&ServerMessage::from(ServerMessageKind::LeaseWithdrawn(withdrawn))),
            );
        }
    }

    /// Gives a lease out to nobody any longer, since it has expired. Who has it knows that as well, and does with it what
    /// its operator said.
    pub fn expire(&self, instance: &InstanceName) {
        self.write().strike(&Name::Instance(instance.clone()));
    }

    /// Gives the group a receiver.
    pub fn bind(&self, receiver: &ReceiverName, binding: &ReceiverBinding) {
        let bound = ReceiverBound {
            receiver: receiver.to_string(),
            component: binding.component.as_bytes().to_vec(),
            settings: binding.settings.clone(),
            instances: binding.instances.iter().map(ToString::to_string).collect(),
            limits: ReceiverLimits::of(&binding.limits),
        };
        self.write().kept.remove(receiver);
        self.put_if_changed(
            Name::Receiver(receiver.clone()),
            encode(&ServerMessage::from(ServerMessageKind::ReceiverBound(bound))),
        );
    }

    /// Leaves a receiver of the group as it is with whoever has it, and gives it out to nobody: that it can't be loaded
    /// now is no reason to let go of what it published.
    pub fn keep(&self, receiver: &ReceiverName) {
        let mut state = self.write();
        state.kept.insert(receiver.clone());
        state.strike(&Name::Receiver(receiver.clone()));
    }

    /// Takes a receiver from the group; does nothing if it has none of this name.
    pub fn unbind(&self, receiver: &ReceiverName) {
        let name = Name::Receiver(receiver.clone());
        let was_kept = self.write().kept.remove(receiver);
        if was_kept || self.has(&name) {
            let bound = ReceiverBound { receiver: receiver.to_string(), ..ReceiverBound::default() };
            self.put(name, None, Presence::Gone, encode(&ServerMessage::from(ServerMessageKind::ReceiverBound(bound))));
        }
    }

    /// The leases that are given out, and which.
    pub fn leases(&self) -> BTreeMap<InstanceName, LeaseVersion> {
        let state = self.read();
        let leases = state.items.iter().filter_map(|(name, item)| match name {
            Name::Instance(instance) => Some((instance.clone(), item.stamp?)),
            _ => None,
        });
        leases.collect()
    }

    /// The newest lease of an instance that the group gets now.
    pub fn newest(&self, instance: &InstanceName) -> Option<LeaseVersion> {
        self.read().items.get(&Name::Instance(instance.clone())).and_then(|item| item.stamp)
    }

    /// The receivers that the group has, also those that can't be given out now.
    pub fn receivers(&self) -> BTreeSet<ReceiverName> {
        let state = self.read();
        let bound = state.items.iter().filter_map(|(name, item)| match name {
            Name::Receiver(receiver) if item.is_there == Presence::There => Some(receiver),
            _ => None,
        });
        bound.chain(&state.kept).cloned().collect()
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<()> {
        self.wake.subscribe()
    }

    /// What a worker is sent at first: all that it may have and does not have yet, and the list of it.
    pub(crate) fn snapshot(
        &self,
        wanted: Option<BTreeSet<InstanceName>>,
        known: &BTreeMap<InstanceName, LeaseVersion>,
    ) -> (Vec<Bytes>, FeedCursor) {
        let state = self.read();
        let cursor = FeedCursor { seen: state.last, wanted };
        let (mut frames, mut complete) = (Vec::new(), SnapshotEnd::default());
        complete.receivers.extend(state.kept.iter().map(ToString::to_string));
        for (name, item) in
            state.items.iter().filter(|(name, item)| item.is_there == Presence::There && cursor.wants(name))
        {
            match name {
                Name::Authorities | Name::GroupInstances => {}
                Name::Receiver(receiver) => complete.receivers.push(receiver.to_string()),
                Name::Instance(instance) => {
                    if item.stamp == known.get(instance).copied() {
                        continue;
                    }
                }
            }
            frames.push(item.frame.clone());
        }
        // Of what it may have, there may be no lease at the moment: after a loss of state, or because it has expired. That
        // is no reason to let go of one that a worker still has. What was taken back is.
        let gone = |instance: &&InstanceName| {
            let item = state.items.get(&Name::Instance((*instance).clone()));
            item.is_some_and(|item| item.is_there == Presence::Gone)
        };
        let wanted = |instance: &&InstanceName| cursor.wanted.as_ref().is_none_or(|wanted| wanted.contains(*instance));
        let instances = state.allowed.iter().filter(|instance| wanted(instance) && !gone(instance));
        complete.instances = instances.map(ToString::to_string).collect();
        frames.push(encode(&ServerMessage::from(ServerMessageKind::SnapshotEnd(complete))));
        (frames, cursor)
    }

    /// What changed since, each once and as it is now.
    pub(crate) fn after(&self, cursor: &mut FeedCursor) -> Vec<Bytes> {
        let state = self.read();
        let changed = state.order.range(cursor.seen + 1..).filter(|(_, name)| cursor.wants(name));
        let frames = changed.filter_map(|(_, name)| state.items.get(name)).map(|item| item.frame.clone()).collect();
        cursor.seen = state.last;
        frames
    }

    /// Puts an item that is no lease, unless the same is there.
    fn put_if_changed(&self, name: Name, frame: Bytes) {
        let is_same = self.read().items.get(&name).is_some_and(|item| item.frame == frame);
        if !is_same {
            self.put(name, None, Presence::There, frame);
        }
    }

    fn put(&self, name: Name, stamp: Option<LeaseVersion>, is_there: Presence, frame: Bytes) {
        {
            let mut state = self.write();
            state.last += 1;
            let change = state.last;
            state.order.insert(change, name.clone());
            if let Some(old) = state.items.insert(name, Item { change, stamp, is_there, frame }) {
                state.order.remove(&old.change);
            }
        }
        // Nobody listens: nobody has to be woken.
        drop(self.wake.send(()));
    }

    fn has(&self, name: &Name) -> bool {
        self.read().items.get(name).is_some_and(|item| item.is_there == Presence::There)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes an item out without a word: who has it has it.
    fn strike(&mut self, name: &Name) {
        if let Some(old) = self.items.remove(name) {
            self.order.remove(&old.change);
        }
    }
}

impl FeedCursor {
    fn wants(&self, name: &Name) -> bool {
        match (name, &self.wanted) {
            (Name::Instance(instance), Some(wanted)) => wanted.contains(instance),
            _ => true,
        }
    }
}

#[cfg(test)]
#[path = "group_feed_tests.rs"]
mod tests;
