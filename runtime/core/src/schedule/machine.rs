//! The machine itself: one event in, actions out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::{InstanceName, Span, Timestamp, Tokens};

use super::budget::Begin;
use super::clock::{Mono, Now};
use super::delay;
use super::event::{Action, CallNumber, Configuration, Event, Notice, Outcome, Ticket, Work};
use super::lease::{Found, Lease, Origin, Record, Retired, Revision};
use super::policy::{ASSUMED_LIFETIME, Mode, Plan, Prefer, Retry, When};
use super::queue::Queue;
use super::slot::{Next, Phase, Renewable, Required, Slot, Stay, Task, Wish};
use super::trouble::{Kind, Trouble};
use super::view::{UpstreamView, View};

/// A jump of the wall clock against the other one that is told: less is drift.
const JUMP: u64 = 2000;

/// How often a component that needs no tokens is asked again.
const ASK_AGAIN: Span = Span::secs(600);

/// How saving is tried again: state is small, and a full disk is emptied by somebody.
const SAVE_RETRY: Retry = Retry { floor: Span::millis(500), most: Span::secs(15), slow: Span::millis(500) };

/// All instances with their leases.
#[derive(Debug)]
pub struct Schedule {
    slots: BTreeMap<InstanceName, Slot>,
    /// What came before the configuration that has its instance.
    restored: BTreeMap<InstanceName, Record>,
    found: BTreeMap<InstanceName, Option<Found>>,
    queue: Queue,
    calling: BTreeMap<CallNumber, InstanceName>,
    saving: BTreeMap<Ticket, InstanceName>,
    most_calls: usize,
    by_mono: BTreeSet<(Mono, InstanceName)>,
    by_wall: BTreeSet<(Timestamp, InstanceName)>,
    actions: VecDeque<Action>,
    numbers: u64,
    chance: fastrand::Rng,
    last: Option<Now>,
    life: Life,
}

/// Whether it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    Stopping,
}

impl Schedule {
    /// A schedule without instances. `begin` is [`Begin::Empty`] if there was one before it.
    pub fn new(begin: Begin, seed: u64) -> Self {
        Self {
            slots: BTreeMap::new(),
            restored: BTreeMap::new(),
            found: BTreeMap::new(),
            queue: Queue::new(begin),
            calling: BTreeMap::new(),
            saving: BTreeMap::new(),
            most_calls: 1,
            by_mono: BTreeSet::new(),
            by_wall: BTreeSet::new(),
            actions: VecDeque::new(),
            numbers: 0,
            chance: fastrand::Rng::with_seed(seed),
            last: None,
            life: Life::Running,
        }
    }

    /// Takes in one event. What follows from it is then in [`next_action`](Self::next_action).
    pub fn handle(&mut self, now: Now, event: Event) {
        self.notice_jump(now);
        match event {
            Event::Asked(name) => self.used(&name, None, now),
            Event::Configured(configuration) => self.configured(configuration, now),
            Event::Finished(call, outcome) => self.finished(call, outcome, now),
            Event::Found(name, found) => self.found(name, found, now),
            Event::Renew(name) => self.wished(&name, Wish::Renew, now),
            Event::Restored(name, record) => {
                self.restored.insert(name, record);
            }
            Event::Revoke(name) => self.wished(&name, Wish::Revoke, now),
            Event::SaveFailed(ticket, why) => self.save_failed(ticket, why, now),
            Event::Saved(ticket) => self.saved(ticket, now),
            Event::Stop => self.stop(now),
            Event::Used(name, users) => self.used(&name, Some(users), now),
            Event::Woke => {}
        }
        self.wake(now);
        self.dispatch(now);
    }

    /// What is to be done next.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to come back with [`Event::Woke`] if nothing happens before.
    pub fn wake_at(&self, now: Now) -> Option<Mono> {
        let mono = self.by_mono.first().map(|(at, _)| *at);
        let wall = self.by_wall.first().map(|(at, _)| now.mono_at(*at));
        let queue = self.queue.wake_at().filter(|_| self.calling.len() < self.most_calls);
        [mono, wall, queue].into_iter().flatten().min()
    }

    /// Whether it has stopped, and nothing is under way.
    pub fn is_stopped(&self) -> bool {
        let busy = |slot: &Slot| !matches!(slot.phase, Phase::Resting);
        self.life == Life::Stopping && self.actions.is_empty() && !self.slots.values().any(busy)
    }

    /// All instances, for the operator.
    pub fn views(&self, now: Now) -> impl Iterator<Item = View<'_>> {
        self.slots.iter().map(move |(name, slot)| View::new(name, slot, &self.queue, now))
    }

    /// One instance, for the operator.
    pub fn view(&self, name: &InstanceName, now: Now) -> Option<View<'_>> {
        self.slots.get_key_value(name).map(|(name, slot)| View::new(name, slot, &self.queue, now))
    }

    /// All upstreams, for the operator.
    pub fn upstreams(&self, now: Now) -> impl Iterator<Item = UpstreamView<'_>> {
        self.queue.waiting().map(move |(name, waiting)| UpstreamView {
            name,
            waiting,
            blocked_for: self.queue.blocked_until(name).map(|until| until.since(now.mono)),
        })
    }

    fn notice_jump(&mut self, now: Now) {
        if let Some(last) = self.last {
            let went_by = now.mono.since(last.mono).as_millis();
            let expected = last.wall.plus(Span::millis(went_by)).as_millis();
            if expected.abs_diff(now.wall.as_millis()) >= JUMP {
                let jump = i128::from(now.wall.as_millis()) - i128::from(expected);
                self.tell(Notice::ClockJumped(i64::try_from(jump).unwrap_or(i64::MAX)));
            }
        }
        self.last = Some(now);
    }

    fn configured(&mut self, configuration: Configuration, now: Now) {
        let Configuration { mut plans, default_budget, budgets, calls } = configuration;
        self.most_calls = calls.max(1);
        self.queue.configure(default_budget, budgets, now.mono);
        let known: Vec<InstanceName> = self.slots.keys().cloned().collect();
        for name in known {
            match plans.remove(&name) {
                Some(plan) => self.replan(&name, plan, now),
                None => self.leave(&name, now),
            }
        }
        for (name, plan) in plans {
            let record = self.restored.remove(&name).unwrap_or_default();
            self.enter(&name, plan, record, now);
        }
        // Nobody is there who could revoke what these hold.
        for name in std::mem::take(&mut self.restored).into_keys() {
            self.tell(Notice::Orphaned(name.clone()));
            let ticket = Ticket(self.number());
            self.actions.push_back(Action::Forget(ticket, name));
        }
    }

    fn enter(&mut self, name: &InstanceName, plan: Plan, record: Record, now: Now) {
        let mut slot = Slot::new(plan, record, now.mono);
        slot.found = self.found.remove(name).flatten();
        if let Some(lease) = slot.valid(now.wall).cloned() {
            slot.last_success = Some(lease.obtained_at);
            slot.used_until = grace(&slot.plan, now);
            self.actions.push_back(Action::Publish(name.clone(), lease.clone()));
            slot.published = Some(lease.clone());
            let current = lease.fingerprint == slot.plan.fingerprint;
            slot.next = if current { self.replace_at(&slot, now) } else { Next::at(now.mono) };
        }
        self.slots.insert(name.clone(), slot);
        self.settle(name, now);
    }

    fn replan(&mut self, name: &InstanceName, plan: Plan, now: Now) {
        let Some(slot) = self.slots.get(name) else { return };
        let returned = slot.stay == Stay::Leaving;
        if slot.plan == plan && !returned {
            return;
        }
        let changed = slot.plan.fingerprint != plan.fingerprint || returned;
        let policy_changed = slot.plan.policy != plan.policy;
        self.unqueue(name);
        if changed {
            self.cut(name);
        }
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.plan = plan;
        slot.stay = Stay::Configured;
        if changed {
            (slot.failures, slot.trouble, slot.wish) = (0, None, None);
            (slot.renewable, slot.required) = (Renewable::Perhaps, Required::Yes);
            slot.next = Next::at(now.mono);
        } else if policy_changed && slot.failures == 0 && slot.valid(now.wall).is_some() {
            self.reschedule(name, now);
        }
        self.settle(name, now);
    }

    fn reschedule(&mut self, name: &InstanceName, now: Now) {
        let chance = self.chance.u16(..);
        if let Some(slot) = self.slots.get_mut(name) {
            slot.next = replacement(slot, now, chance);
        }
    }

    fn leave(&mut self, name: &InstanceName, now: Now) {
        self.unqueue(name);
        self.cut(name);
        if let Some(slot) = self.slots.get_mut(name) {
            slot.stay = Stay::Leaving;
        }
        self.settle(name, now);
    }

    /// Ends the call of an instance, if one is under way.
    fn cut(&mut self, name: &InstanceName) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        if let Phase::Calling { call, .. } = slot.phase {
            slot.phase = Phase::Resting;
            self.calling.remove(&call);
            self.actions.push_back(Action::Cancel(call));
        }
    }

    /// Takes an instance out of the queue, if it stands there.
    fn unqueue(&mut self, name: &InstanceName) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        if let Phase::Waiting { place, .. } = &slot.phase {
            self.queue.remove(&slot.plan.upstream, place);
            slot.phase = Phase::Resting;
        }
    }

    fn used(&mut self, name: &InstanceName, users: Option<u32>, now: Now) {
        self.with(name, now, |slot| {
            let before = slot.in_use(now.mono);
            slot.users = users.unwrap_or(slot.users);
            slot.used_until = grace(&slot.plan, now);
            if !before && slot.failures == 0 && slot.record.lease.is_none() {
                slot.next = Next::at(now.mono);
            }
        });
    }

    fn wished(&mut self, name: &InstanceName, wish: Wish, now: Now) {
        if wish == Wish::Revoke {
            self.cut(name);
        }
        self.with(name, now, |slot| {
            slot.wish = Some(wish);
            (slot.failures, slot.required) = (0, Required::Yes);
            slot.next = Next::at(now.mono);
            slot.used_until = grace(&slot.plan, now);
        });
    }

    fn stop(&mut self, now: Now) {
        self.life = Life::Stopping;
        let names: Vec<InstanceName> = self.slots.keys().cloned().collect();
        for name in names {
            self.unqueue(&name);
            self.settle(&name, now);
        }
    }

    fn finished(&mut self, call: CallNumber, outcome: Outcome, now: Now) {
        let Some(name) = self.calling.remove(&call) else { return };
        let Some(slot) = self.slots.get_mut(&name) else { return };
        let Phase::Calling { work, began, .. } = std::mem::replace(&mut slot.phase, Phase::Resting) else { return };
        match (work, outcome) {
            (Work::Revoke(lease), Outcome::Failed(kind, message)) => {
                let trouble = Trouble { kind, message, at: now.wall };
                self.revoke_failed(&name, lease.revision, trouble, now);
            }
            (Work::Revoke(lease), _) => {
                slot.record.retired.retain(|retired| retired.lease.revision != lease.revision);
                slot.revoke_failures = 0;
                self.save(&name);
            }
            (work, Outcome::Failed(kind, message)) => {
                self.failed(&name, &work, Trouble { kind, message, at: now.wall }, now);
            }
            (work, Outcome::Obtained(tokens)) => self.obtained(&name, &work, tokens, began, now),
            (_, Outcome::NotRequired | Outcome::Revoked) => {
                (slot.failures, slot.trouble, slot.wish) = (0, None, None);
                slot.required = Required::No;
                slot.last_success = Some(now.wall);
                slot.next = Next::at(now.mono.plus(ASK_AGAIN));
            }
        }
        self.settle(&name, now);
    }

    fn obtained(&mut self, name: &InstanceName, work: &Work, tokens: Tokens, began: Now, now: Now) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        // The clock may have jumped during the call; how long it took is known.
        let took = now.mono.since(began.mono);
        let obtained_at = now.wall.minus(took);
        let told = tokens.valid_until;
        let cap = slot.plan.policy.lifetime.map(|life| obtained_at.plus(life));
        let valid_until = match (told.filter(|told| *told > now.wall), cap) {
            (Some(told), Some(cap)) => told.min(cap),
            (Some(told), None) => told,
            (None, cap) => {
                let assumed = cap.unwrap_or_else(|| obtained_at.plus(ASSUMED_LIFETIME));
                self.actions.push_back(Action::Tell(Notice::ExpiryAssumed(name.clone(), told, assumed)));
                assumed
            }
        };
        let revision = Revision(slot.record.revision.0 + 1);
        let payload = Arc::new(tokens.payload);
        let fingerprint = slot.plan.fingerprint;
        let mut lease = Lease {
            revision,
            payload,
            obtained_at,
            issued_at: obtained_at,
            valid_until,
            origin: Origin::Component,
            fingerprint,
        };
        slot.renewable = Renewable::Perhaps;
        match work {
            Work::Renew(old) => {
                lease.issued_at = old.issued_at;
                // Who gains nothing by a renewal has come to the end of what can be renewed.
                if valid_until <= old.valid_until {
                    slot.renewable = Renewable::Exhausted;
                }
                // What was renewed is the same token at the service: revoking the old one would end the new one.
                slot.record.lease = None;
            }
            Work::Obtain | Work::Revoke(_) => retire(slot, now),
        }
        slot.record.revision = revision;
        slot.record.lease = Some(lease);
        (slot.failures, slot.trouble, slot.wish) = (0, None, None);
        slot.required = Required::Yes;
        slot.last_success = Some(now.wall);
        self.reschedule(name, now);
        self.save(name);
    }

    fn failed(&mut self, name: &InstanceName, work: &Work, trouble: Trouble, now: Now) {
        let chance = self.chance.u16(..);
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.failures = slot.failures.saturating_add(1);
        let retry = slot.plan.policy.retry;
        let mut wait = delay::retry(&retry, &trouble, slot.failures, slot.left(now.wall), chance);
        if let Kind::Throttled(after) = trouble.kind {
            let pause = after.min(retry.most).max(retry.floor);
            let upstream = slot.plan.upstream.clone();
            self.queue.pause(&upstream, pause, now.mono);
        } else if matches!(work, Work::Renew(_)) && trouble.kind != Kind::Unavailable {
            // What can't be renewed can perhaps be obtained.
            slot.renewable = Renewable::Exhausted;
            wait = retry.floor;
        }
        slot.next = Next::at(now.mono.plus(wait));
        slot.trouble = Some(trouble.clone());
        self.tell(Notice::Failed(name.clone(), trouble, wait));
    }

    fn revoke_failed(&mut self, name: &InstanceName, revision: Revision, trouble: Trouble, now: Now) {
        let chance = self.chance.u16(..);
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.revoke_failures = slot.revoke_failures.saturating_add(1);
        let wait = delay::retry(&slot.plan.policy.retry, &trouble, slot.revoke_failures, None, chance);
        slot.revoke_after = now.mono.plus(wait);
        self.tell(Notice::RevokeFailed(name.clone(), revision, trouble, wait));
    }

    fn saved(&mut self, ticket: Ticket, now: Now) {
        let Some(name) = self.saving.remove(&ticket) else { return };
        let Some(slot) = self.slots.get_mut(&name) else { return };
        match slot.phase {
            Phase::Saving { ticket: own, .. } if own == ticket => slot.phase = Phase::Resting,
            Phase::Forgetting { ticket: own, .. } if own == ticket => {
                if slot.stay == Stay::Leaving {
                    self.unindex(&name);
                    self.slots.remove(&name);
                    return;
                }
                slot.phase = Phase::Resting; // it came back meanwhile
            }
            _ => return,
        }
        let published = slot.published.as_ref().map(|lease| lease.revision);
        if let Some(lease) = slot.record.lease.as_ref().filter(|lease| published != Some(lease.revision)) {
            slot.published = Some(lease.clone());
            self.actions.push_back(Action::Publish(name.clone(), lease.clone()));
        }
        self.settle(&name, now);
    }

    fn save_failed(&mut self, ticket: Ticket, why: String, now: Now) {
        let chance = self.chance.u16(..);
        let Some(name) = self.saving.remove(&ticket) else { return };
        let Some(slot) = self.slots.get_mut(&name) else { return };
        let (Phase::Saving { ticket: own, failures, again } | Phase::Forgetting { ticket: own, failures, again }) =
            &mut slot.phase
        else {
            return;
        };
        if *own != ticket {
            return;
        }
        *failures = failures.saturating_add(1);
        let trouble = Trouble { kind: Kind::Internal, message: why.clone(), at: now.wall };
        let wait = delay::retry(&SAVE_RETRY, &trouble, *failures, None, chance);
        *again = Some(now.mono.plus(wait));
        self.tell(Notice::SaveFailed(name.clone(), why, wait));
        self.settle(&name, now);
    }

    fn found(&mut self, name: InstanceName, found: Option<Found>, now: Now) {
        if self.slots.contains_key(&name) {
            self.with(&name, now, |slot| slot.found = found);
        } else {
            self.found.insert(name, found);
        }
    }

    /// Changes a slot and does what follows.
    fn with(&mut self, name: &InstanceName, now: Now, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots.get_mut(name) {
            change(slot);
            self.settle(name, now);
        }
    }

    /// Looks at every instance whose time has come.
    fn wake(&mut self, now: Now) {
        let mut due: BTreeSet<InstanceName> = BTreeSet::new();
        due.extend(self.by_mono.iter().take_while(|(at, _)| *at <= now.mono).map(|(_, name)| name.clone()));
        due.extend(self.by_wall.iter().take_while(|(at, _)| *at <= now.wall).map(|(_, name)| name.clone()));
        for name in due {
            self.settle(&name, now);
        }
    }

    /// Brings one instance to where it should be now, and notes when to look again.
    fn settle(&mut self, name: &InstanceName, now: Now) {
        self.step(name, now);
        self.unindex(name);
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.wakes = slot.wake_at(now);
        if self.life == Life::Stopping {
            // Only a save goes on by the clock.
            slot.wakes.1 = None;
            slot.wakes.0 =
                slot.wakes.0.filter(|_| matches!(slot.phase, Phase::Saving { .. } | Phase::Forgetting { .. }));
        }
        if let Some(at) = slot.wakes.0 {
            self.by_mono.insert((at, name.clone()));
        }
        if let Some(at) = slot.wakes.1 {
            self.by_wall.insert((at, name.clone()));
        }
    }

    fn unindex(&mut self, name: &InstanceName) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        let (mono, wall) = std::mem::take(&mut slot.wakes);
        if let Some(at) = mono {
            self.by_mono.remove(&(at, name.clone()));
        }
        if let Some(at) = wall {
            self.by_wall.remove(&(at, name.clone()));
        }
    }

    fn step(&mut self, name: &InstanceName, now: Now) {
        self.tell_expired(name, now);
        let Some(slot) = self.slots.get_mut(name) else { return };
        match &slot.phase {
            Phase::Saving { again, .. } if again.is_some_and(|again| again <= now.mono) => {
                return self.save_again(name);
            }
            Phase::Forgetting { again, .. } if again.is_some_and(|again| again <= now.mono) => {
                return self.forget_again(name);
            }
            Phase::Saving { .. } | Phase::Forgetting { .. } => return,
            // Tokens are more urgent than a revocation, which is tried again.
            Phase::Calling { work: Work::Revoke(_), .. }
                if slot.wants_tokens(now) && slot.next.is_due(now) && self.life == Life::Running =>
            {
                slot.revoke_after = now.mono.plus(slot.plan.policy.retry.floor);
                self.cut(name);
            }
            Phase::Calling { .. } => return,
            Phase::Resting | Phase::Waiting { .. } => {}
        }
        if self.change(name, now) {
            return;
        }
        self.want(name, now);
    }

    fn tell_expired(&mut self, name: &InstanceName, now: Now) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        let Some(lease) = slot.given().filter(|lease| !lease.is_valid(now.wall)) else { return };
        let revision = lease.revision;
        if slot.told_expired != Some(revision) {
            slot.told_expired = Some(revision);
            self.tell(Notice::Expired(name.clone(), revision));
        }
    }

    /// Whether what is held has to change before anything is called: then that is being saved now.
    fn change(&mut self, name: &InstanceName, now: Now) -> bool {
        let Some(slot) = self.slots.get_mut(name) else { return true };
        let revokes = slot.revokes();
        let ended = |retired: &mut Retired| !revokes || !retired.lease.is_valid(now.wall);
        let ended: Vec<Retired> = slot.record.retired.extract_if(.., ended).collect();
        let stopping = self.life == Life::Stopping;
        let policy = &slot.plan.policy;
        let ends = if slot.wish == Some(Wish::Revoke) {
            Some(When::Revoke)
        } else if slot.stay == Stay::Leaving {
            Some(policy.revoke.removed)
        } else if stopping && policy.revoke.shutdown == When::Revoke {
            Some(When::Revoke)
        } else if !slot.in_use(now.mono) {
            Some(if policy.revoke.replaced.is_some() { When::Revoke } else { When::Expire })
        } else {
            None
        };
        let held = slot.record.lease.is_some();
        let mut dirty = !ended.is_empty();
        if let Some(when) = ends {
            dirty |= end(slot, when, now);
        }
        if slot.wish == Some(Wish::Revoke) {
            slot.wish = Some(Wish::Renew);
        }
        let withdrawn = held && slot.record.lease.is_none();
        let leaves = slot.stay == Stay::Leaving && slot.record.lease.is_none() && slot.record.retired.is_empty();
        let adopted = if ends.is_none() && !stopping { slot.adoptable(now).cloned() } else { None };
        // One that ended before its time to be revoked did what it should.
        for retired in ended.iter().filter(|retired| !revokes || retired.revoke_at <= now.wall) {
            self.tell(Notice::RevokeGivenUp(name.clone(), retired.lease.revision));
        }
        if withdrawn {
            self.withdraw(name);
        }
        if leaves {
            self.unqueue(name);
            self.forget_again(name);
        } else if let Some(found) = adopted {
            self.unqueue(name);
            self.adopt(name, found, now);
        } else if dirty {
            self.unqueue(name);
            self.save(name);
        } else {
            return false;
        }
        true
    }

    fn withdraw(&mut self, name: &InstanceName) {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.published = None;
        }
        self.actions.push_back(Action::Withdraw(name.clone()));
    }

    fn adopt(&mut self, name: &InstanceName, found: Found, now: Now) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        if slot.record.lease.as_ref().is_some_and(|lease| lease.origin == Origin::Component) {
            retire(slot, now);
        }
        let revision = Revision(slot.record.revision.0 + 1);
        slot.record.revision = revision;
        slot.record.lease = Some(Lease {
            revision,
            payload: found.payload,
            obtained_at: found.since.min(now.wall),
            issued_at: found.since.min(now.wall),
            valid_until: found.valid_until,
            origin: Origin::File,
            fingerprint: slot.plan.fingerprint,
        });
        slot.last_success = Some(now.wall);
        // A file that only fills a gap changes nothing about when the component is called.
        if slot.plan.component.is_none() || slot.plan.policy.prefer == Prefer::File {
            (slot.failures, slot.trouble) = (0, None);
            self.reschedule(name, now);
        }
        self.save(name);
    }

    /// Puts an instance into the queue, or takes it out, by what it wants.
    fn want(&mut self, name: &InstanceName, now: Now) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        let running = self.life == Life::Running;
        let task = if running && slot.wants_tokens(now) && slot.next.is_due(now) {
            Some(Task::Tokens)
        } else if slot.to_revoke(now).is_some() && (running || slot.revoke_failures == 0) {
            Some(Task::Revocation)
        } else {
            None
        };
        if let (Phase::Waiting { task: waits, .. }, Some(task)) = (&slot.phase, task)
            && *waits == task
        {
            return;
        }
        self.unqueue(name);
        let Some(slot) = self.slots.get_mut(name) else { return };
        if let Some(task) = task {
            let place = slot.place(task, name, now);
            self.queue.add(&slot.plan.upstream, place.clone(), now.mono);
            slot.phase = Phase::Waiting { place, task };
        }
    }

    /// Calls those whose turn it is.
    fn dispatch(&mut self, now: Now) {
        while self.calling.len() < self.most_calls {
            let Some(name) = self.queue.next(now.mono) else { return };
            let call = CallNumber(self.number());
            let Some(slot) = self.slots.get_mut(&name) else { continue };
            let Phase::Waiting { task, .. } = slot.phase else { continue };
            let Some(work) = slot.work(task, now) else {
                slot.phase = Phase::Resting;
                self.settle(&name, now);
                continue;
            };
            slot.phase = Phase::Calling { call, work: work.clone(), began: now };
            self.calling.insert(call, name.clone());
            self.actions.push_back(Action::Call(call, name.clone(), work));
            self.settle(&name, now);
        }
    }

    fn save(&mut self, name: &InstanceName) {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.phase = Phase::Saving { ticket: Ticket(0), failures: 0, again: None };
            self.save_again(name);
        }
    }

    fn save_again(&mut self, name: &InstanceName) {
        let new = Ticket(self.number());
        if let Some(slot) = self.slots.get_mut(name)
            && let Phase::Saving { ticket, again, .. } = &mut slot.phase
        {
            (*ticket, *again) = (new, None);
            self.saving.insert(new, name.clone());
            self.actions.push_back(Action::Save(new, name.clone(), slot.record.clone()));
        }
    }

    fn forget_again(&mut self, name: &InstanceName) {
        let new = Ticket(self.number());
        if let Some(slot) = self.slots.get_mut(name) {
            let failures = match slot.phase {
                Phase::Forgetting { failures, .. } => failures,
                _ => 0,
            };
            slot.phase = Phase::Forgetting { ticket: new, failures, again: None };
            self.saving.insert(new, name.clone());
            self.actions.push_back(Action::Forget(new, name.clone()));
        }
    }

    fn replace_at(&mut self, slot: &Slot, now: Now) -> Next {
        let chance = self.chance.u16(..);
        replacement(slot, now, chance)
    }

    fn tell(&mut self, notice: Notice) {
        self.actions.push_back(Action::Tell(notice));
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

/// When to replace the lease that is held: a share of its life after it was obtained.
fn replacement(slot: &Slot, now: Now, chance: u16) -> Next {
    let Some(lease) = &slot.record.lease else { return Next::at(now.mono) };
    let life = lease.valid_until.since(lease.obtained_at);
    let at = lease.obtained_at.plus(delay::renewal(&slot.plan.policy, life, chance));
    // What was obtained a moment ago is not replaced at once, however short it lives.
    let least = now.wall.plus(slot.plan.policy.retry.floor);
    let soonest = if slot.last_success == Some(now.wall) { at.max(least) } else { at };
    Next { mono: now.mono_at(soonest), wall: Some(soonest) }
}

/// Until when an instance is kept that is used now.
fn grace(plan: &Plan, now: Now) -> Option<Mono> {
    match plan.policy.mode {
        Mode::Always => None,
        Mode::OnDemand(grace) => Some(now.mono.plus(grace)),
    }
}

/// Moves the lease that is held to those that are to be revoked, if that is wanted and can be.
fn retire(slot: &mut Slot, now: Now) {
    let Some(lease) = slot.record.lease.take() else { return };
    if let Some(grace) = slot.plan.policy.revoke.replaced
        && slot.revokes()
        && lease.origin == Origin::Component
        && lease.is_valid(now.wall.plus(grace))
    {
        slot.record.retired.push(Retired { lease, revoke_at: now.wall.plus(grace) });
    }
}

/// Ends what an instance holds; whether that changed something.
fn end(slot: &mut Slot, when: When, now: Now) -> bool {
    let mut changed = false;
    let able = slot.revokes() && when == When::Revoke;
    if let Some(lease) = slot.record.lease.take() {
        changed = true;
        if able && lease.origin == Origin::Component && lease.is_valid(now.wall) {
            slot.record.retired.push(Retired { lease, revoke_at: now.wall });
        }
    }
    if able {
        for retired in slot.record.retired.iter_mut().filter(|retired| retired.revoke_at > now.wall) {
            retired.revoke_at = now.wall;
            changed = true;
        }
    } else if slot.stay == Stay::Leaving && !slot.record.retired.is_empty() {
        slot.record.retired.clear();
        changed = true;
    }
    changed
}
