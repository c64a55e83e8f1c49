//! What is to be applied and when: a state machine without I/O, clock or task, so that every rule has a test.
//!
//! [`Machine::handle`] takes one [`Event`] and a reading of the clocks, [`Machine::next_action`] hands out what is to be
//! done, [`Machine::wake_at`] says when to come back. The rules:
//!
//! - A receiver runs when what it would get differs from what it last applied. One run at a time; what comes meanwhile
//!   makes one run more, with the newest. Receivers know nothing of each other, so one that hangs delays no other.
//! - It gets all current deliveries of its instances, from the first that is there on, and runs again for each that
//!   follows. While the coordinator is still sending what there is, who misses something waits for it.
//! - A run that failed is tried again, later each time; at once if something changed.
//! - What was published and is no longer there is published again.
//! - A hook that failed is tried again, later each time: for as long as a lease that is published is valid, and a few
//!   times if there is none.
//! - What is held counts, whatever its number: a coordinator that was set back is followed.
//! - A delivery is reported when all receivers that are bound to it published it, or when one of them could not. One to
//!   which none is bound is applied by being held: local endpoints give it out.

mod absent;
mod event;
mod reports;
mod slot;
mod view;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use deputy_core::failure::{FailureKind, FailureRecord};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{Delivery, Expired, InstanceName, LeaseVersion, ReceiverName, Timestamp};
use deputy_link::{DeliveredState, ReceiverBinding};
use deputy_support::Backoff;

pub use absent::{Absence, NamedBy};
pub use event::{ReceiverRun, ReconcilerAction, ReconcilerEvent, RunId, RunOutcome, WorkerEvent};
pub use view::{DeliverySnapshot, ReceiverActivity, ReceiverSnapshot};

use crate::receiver::AcceptError;
use crate::receiver_policy::ReceiverPolicies;
use crate::unit::{HookNotified, PublishOutcome, UnitName};
use slot::{AppliedUnit, FailedRun, HookState, ReceiverState, Retelling, RunInProgress, RunInputs};

/// How often a hook is tried while nothing that is published is valid, or nothing is published.
const TRIES: u32 = 10;

/// All receivers of a worker, and what it holds.
#[derive(Debug)]
pub struct Reconciler {
    plans: Arc<ReceiverPolicies>,
    held: Arc<DeliveredState>,
    slots: BTreeMap<ReceiverName, ReceiverState>,
    arrivals: BTreeMap<InstanceName, Arrival>,
    actions: VecDeque<ReconcilerAction>,
    chance: fastrand::Rng,
    runs: u64,
    /// What of the configuration has no effect, as far as the operator was warned.
    warned: Vec<WorkerEvent>,
}

/// What is known of a delivery beside itself.
#[derive(Debug)]
struct Arrival {
    stamp: LeaseVersion,
    at: Timestamp,
    /// Whether its end was told.
    has_ended: bool,
    /// Whether it is applied, as far as that was ever known and reported.
    verdict: Option<Result<(), String>>,
}

impl Reconciler {
    /// A machine that holds nothing yet.
    pub fn new(plans: Arc<ReceiverPolicies>, seed: u64) -> Self {
        let mut machine = Self {
            plans,
            held: Arc::default(),
            slots: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            actions: VecDeque::new(),
            chance: fastrand::Rng::with_seed(seed),
            runs: 0,
            warned: Vec::new(),
        };
        machine.bind();
        machine
    }

    /// Takes in one event. What follows from it is then in [`next_action`](Self::next_action).
    pub fn handle(&mut self, now: Now, event: ReconcilerEvent) {
        match event {
            ReconcilerEvent::Held(held) => self.hold(held, now),
            ReconcilerEvent::Ran(number, outcome) => self.ran(number, outcome, now),
            ReconcilerEvent::Told(receiver, result) => self.told(&receiver, result, now),
            ReconcilerEvent::Vanished(receiver, unit, why) => self.vanished(&receiver, unit, why),
            ReconcilerEvent::Woke => {}
        }
        self.expire(now);
        let names: Vec<ReceiverName> = self.slots.keys().cloned().collect();
        for name in &names {
            self.tell_again(name, now);
            self.settle(name, now);
        }
        self.report(now);
    }

    /// What is to be done next.
    pub fn next_action(&mut self) -> Option<ReconcilerAction> {
        self.actions.pop_front()
    }

    /// When to come back with [`Event::Woke`] if nothing happens before. That a clock was set is noticed at the next event,
    /// so come back now and then although nothing is due.
    pub fn wake_at(&self, now: Now) -> Option<MonotonicTime> {
        let retries = self.slots.iter().filter(|(_, slot)| slot.running.is_none()).filter_map(|(name, slot)| {
            let failed = slot.failed.as_ref()?;
            (self.wanted(name, slot, now).as_ref() == Some(&failed.inputs)).then_some(failed.next)
        });
        let hooks = self.slots.values().filter(|slot| slot.telling == HookState::Idle);
        let hooks = hooks.filter_map(|slot| Some(slot.retelling.as_ref()?.next));
        let ends = self.held.deliveries.values().filter(|delivery| delivery.is_valid(now.wall));
        let ends = ends.map(|delivery| now.mono_at(delivery.valid_until));
        retries.chain(hooks).chain(ends).min()
    }

    /// Takes over what is held now.
    fn hold(&mut self, held: Arc<DeliveredState>, now: Now) {
        self.held = held;
        for (name, delivery) in &self.held.deliveries {
            if self.arrivals.get(name).is_none_or(|arrival| arrival.stamp != delivery.stamp) {
                let arrival = Arrival { stamp: delivery.stamp, at: now.wall, has_ended: false, verdict: None };
                self.arrivals.insert(name.clone(), arrival);
                self.actions.push_back(ReconcilerAction::Notice(WorkerEvent::Received(name.clone(), delivery.stamp)));
            }
        }
        let (held, actions) = (&self.held, &mut self.actions);
        self.arrivals.retain(|name, _| {
            let is_held = held.deliveries.contains_key(name);
            if !is_held {
                actions.push_back(ReconcilerAction::Notice(WorkerEvent::Withdrawn(name.clone())));
            }
            is_held
        });
        self.bind();
        self.warn();
    }

    /// Warns once of what has no effect, and again if it comes back.
    fn warn(&mut self) {
        let not_delivered = self.absent().into_iter().filter_map(|(instance, absence)| match absence {
            Absence::NotDelivered(named) => Some(WorkerEvent::NotDelivered(instance.clone(), named)),
            Absence::NoLease => None,
        });
        let unknown = self.unknown_receivers().cloned().map(WorkerEvent::UnknownReceiver);
        let warnings: Vec<WorkerEvent> = not_delivered.chain(unknown).collect();
        let new = warnings.iter().filter(|warning| !self.warned.contains(warning)).cloned();
        self.actions.extend(new.map(ReconcilerAction::Notice));
        self.warned = warnings;
    }

    /// Takes over who is bound now. Until all is there, who is missing was not taken back.
    fn bind(&mut self) {
        let (plans, held) = (Arc::clone(&self.plans), Arc::clone(&self.held));
        let of_coordinator = held.receivers.iter().filter(|(name, _)| !plans.bindings.contains_key(name));
        for (name, binding) in of_coordinator.chain(&plans.bindings) {
            let binding = plans.bound(name, binding);
            let slot = self.slots.entry(name.clone()).or_default();
            if slot.binding.as_deref() != Some(&binding) {
                slot.binding = Some(Arc::new(binding));
                if let Some(failed) = &mut slot.failed {
                    // Somebody mended it, or tried to.
                    failed.count = 0;
                }
            }
        }
        if held.complete {
            for (name, slot) in &mut self.slots {
                if !held.receivers.contains_key(name) && !plans.bindings.contains_key(name) {
                    slot.binding = None;
                }
            }
        }
    }

    /// Tells once of each delivery that has ended.
    fn expire(&mut self, now: Now) {
        for (name, delivery) in &self.held.deliveries {
            if let Some(arrival) = self.arrivals.get_mut(name)
                && !arrival.has_ended
                && !delivery.is_valid(now.wall)
            {
                arrival.has_ended = true;
                self.actions.push_back(ReconcilerAction::Notice(WorkerEvent::Expired(name.clone(), delivery.stamp)));
            }
        }
    }

    /// What a receiver should have applied, or nothing if it waits for what may still come.
    fn wanted(&self, name: &ReceiverName, slot: &ReceiverState, now: Now) -> Option<RunInputs> {
        let Some(binding) = slot.binding.clone() else {
            return Some(RunInputs { binding: None, stamps: BTreeMap::new() });
        };
        let mut stamps = BTreeMap::new();
        for instance in &binding.instances {
            match self.held.deliveries.get(instance) {
                Some(delivery) if self.is_left_out(name, delivery, now) => {}
                Some(delivery) => drop(stamps.insert(instance.clone(), delivery.stamp)),
                None if self.held.complete => {}
                None => return None,
            }
        }
        Some(RunInputs { binding: Some(binding), stamps })
    }

    fn is_left_out(&self, name: &ReceiverName, delivery: &Delivery, now: Now) -> bool {
        self.plans.plan(name).expired == Expired::Remove && !delivery.is_valid(now.wall)
    }

    /// Begins what is due for a receiver.
    fn settle(&mut self, name: &ReceiverName, now: Now) {
        let Some(slot) = self.slots.get(name).filter(|slot| slot.running.is_none()) else { return };
        let Some(wanted) = self.wanted(name, slot, now) else { return };
        if slot.applied.as_ref().is_some_and(|applied| applied.inputs == wanted) {
            self.rest(name);
            return;
        }
        if slot.failed.as_ref().is_some_and(|failed| failed.inputs == wanted && now.mono < failed.next) {
            return;
        }
        self.runs += 1;
        let number = RunId(self.runs);
        let work = self.work(&wanted);
        let ends = work.iter().flat_map(|(_, deliveries)| deliveries).map(|delivery| delivery.valid_until).collect();
        if let Some(slot) = self.slots.get_mut(name) {
            slot.running = Some(RunInProgress { number, inputs: wanted, ends, began: now });
        }
        self.actions.push_back(ReconcilerAction::Run(ReceiverRun { number, receiver: name.clone(), work }));
    }

    fn work(&self, inputs: &RunInputs) -> Option<(Arc<ReceiverBinding>, Vec<Delivery>)> {
        let deliveries = inputs.stamps.keys().filter_map(|instance| self.held.deliveries.get(instance)).cloned();
        let deliveries: Vec<Delivery> = deliveries.collect();
        inputs.binding.clone().filter(|_| !deliveries.is_empty()).map(|binding| (binding, deliveries))
    }

    /// All is as it should be. Who has to go and has nothing left goes.
    fn rest(&mut self, name: &ReceiverName) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.failed = None;
        if slot.binding.is_none() && slot.telling == HookState::Idle && slot.retelling.is_none() {
            self.slots.remove(name);
            self.actions.push_back(ReconcilerAction::Forget(name.clone()));
        }
    }

    fn ran(&mut self, number: RunId, outcome: RunOutcome, now: Now) {
        let is_it = |slot: &ReceiverState| slot.running.as_ref().is_some_and(|running| running.number == number);
        let Some((name, slot)) = self.slots.iter_mut().find(|(_, slot)| is_it(slot)) else { return };
        let Some(RunInProgress { inputs, ends, .. }) = slot.running.take() else { return };
        let name = name.clone();
        match outcome {
            RunOutcome::Applied { published, refused } => {
                slot.applied = Some(AppliedUnit { inputs, ends, refused, published });
                slot.failed = None;
                let is_news = published.switch == PublishOutcome::Done || published.told == HookNotified::NotYet;
                if is_news && self.plans.plan(&name).hook.is_some() {
                    self.tell(&name);
                }
            }
            RunOutcome::Failed(error) => self.failed(&name, inputs, error, now),
        }
    }

    fn failed(&mut self, name: &ReceiverName, inputs: RunInputs, error: AcceptError, now: Now) {
        let chance = self.chance.u16(..);
        let Some(slot) = self.slots.get_mut(name) else { return };
        let count = slot.failed.as_ref().map_or(0, |failed| failed.count).saturating_add(1);
        let trouble = FailureRecord { kind: error.kind, message: error.message, at: now.wall };
        let mut wait = self.plans.retry.delay(trouble.kind, count, None, chance);
        if let FailureKind::Throttled(_) = trouble.kind {
            // It calls no service that could ask for more.
            wait = wait.min(self.plans.retry.most);
        }
        self.actions.push_back(ReconcilerAction::Notice(WorkerEvent::Failed(name.clone(), trouble.clone(), wait)));
        slot.failed = Some(FailedRun { inputs, trouble, count, next: now.mono.plus(wait) });
    }

    /// What was published is gone, unless something else was published since: it is published again.
    fn vanished(&mut self, name: &ReceiverName, unit: UnitName, why: String) {
        let Some(slot) = self.slots.get_mut(name).filter(|slot| slot.running.is_none()) else { return };
        if slot.applied.as_ref().is_some_and(|applied| applied.published.unit == Some(unit)) {
            slot.applied = None;
            slot.failed = None;
            self.actions.push_back(ReconcilerAction::Notice(WorkerEvent::Vanished(name.clone(), why)));
        }
    }

    /// Has the hook run, or run once more.
    fn tell(&mut self, name: &ReceiverName) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        if slot.telling == HookState::Idle {
            slot.telling = HookState::Busy;
            let instances: BTreeSet<InstanceName> = slot.instances();
            self.actions.push_back(ReconcilerAction::Hook(name.clone(), instances));
        } else {
            slot.telling = HookState::BusyAndAgain;
        }
    }

    fn told(&mut self, name: &ReceiverName, result: Result<(), String>, now: Now) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        if result.is_ok() {
            slot.was_told = true;
            slot.retelling = None;
        } else {
            let retry = &self.plans.retry;
            let new = || Retelling { backoff: Backoff::new(retry.floor, retry.most), next: now.mono };
            let retelling = slot.retelling.get_or_insert_with(new);
            retelling.next = now.mono.plus(retelling.backoff.fail(self.chance.u16(..)));
        }
        slot.told = Some((now.wall, result));
        let before = std::mem::take(&mut slot.telling);
        if before == HookState::BusyAndAgain {
            self.tell(name);
        }
    }

    /// Runs a hook that failed once more, if it is time. One that failed for a lease that has ended is given up.
    fn tell_again(&mut self, name: &ReceiverName, now: Now) {
        let Some(slot) = self.slots.get_mut(name).filter(|slot| slot.telling == HookState::Idle) else { return };
        let Some(retelling) = slot.retelling.as_ref().filter(|it| it.next <= now.mono) else { return };
        let failures = retelling.backoff.failures();
        if failures >= TRIES && !slot.is_alive(now.wall) {
            slot.retelling = None;
            self.actions.push_back(ReconcilerAction::Notice(WorkerEvent::NotTold(name.clone(), failures)));
        } else {
            self.tell(name);
        }
    }
}
