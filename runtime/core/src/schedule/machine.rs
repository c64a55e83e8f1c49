//! The machine itself: one event in, actions out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{InstanceName, Span, Timestamp};

use super::budget::Begin;
use super::clock::{CLOCK_TOLERANCE, Mono, Now};
use super::event::{Action, CallNumber, Event, Notice, Ticket};
use super::lease::{Found, Record};
use super::queue::Queue;
use super::slot::{Life, Next, Phase, Required, Slot, Wish};
use super::view::{UpstreamView, View};

/// All instances with their leases.
#[derive(Debug)]
pub struct Schedule {
    pub(super) slots: BTreeMap<InstanceName, Slot>,
    /// What came before the configuration that has its instance.
    pub(super) restored: BTreeMap<InstanceName, Record>,
    pub(super) files: BTreeMap<InstanceName, Option<Found>>,
    pub(super) queue: Queue,
    pub(super) calling: BTreeMap<CallNumber, InstanceName>,
    pub(super) saving: BTreeMap<Ticket, InstanceName>,
    pub(super) most_calls: usize,
    pub(super) by_mono: BTreeSet<(Mono, InstanceName)>,
    pub(super) by_wall: BTreeSet<(Timestamp, InstanceName)>,
    pub(super) actions: VecDeque<Action>,
    pub(super) chance: fastrand::Rng,
    pub(super) life: Life,
    numbers: u64,
    last: Option<Now>,
}

impl Schedule {
    /// A schedule without instances. `begin` is [`Begin::Empty`] if there was one before it.
    pub fn new(begin: Begin, seed: u64) -> Self {
        Self {
            slots: BTreeMap::new(),
            restored: BTreeMap::new(),
            files: BTreeMap::new(),
            queue: Queue::new(begin),
            calling: BTreeMap::new(),
            saving: BTreeMap::new(),
            most_calls: 1,
            by_mono: BTreeSet::new(),
            by_wall: BTreeSet::new(),
            actions: VecDeque::new(),
            chance: fastrand::Rng::with_seed(seed),
            life: Life::Running,
            numbers: 0,
            last: None,
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
            Event::Restored(name, record) => self.restored(name, record),
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

    /// When to come back with [`Event::Woke`] if nothing happens before: never now, and never before. That a clock was set
    /// is noticed at the next event, so come back now and then although nothing is due.
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
        self.queue.waiting().map(move |(name, waiting, waits)| UpstreamView {
            name,
            waiting,
            waits,
            blocked_for: self.queue.blocked_until(name).map(|until| until.since(now.mono)),
        })
    }

    fn notice_jump(&mut self, now: Now) {
        if let Some(last) = self.last {
            let went_by = now.mono.since(last.mono).as_millis();
            let expected = last.wall.plus(Span::millis(went_by)).as_millis();
            if expected.abs_diff(now.wall.as_millis()) >= CLOCK_TOLERANCE.as_millis() {
                let jump = i128::from(now.wall.as_millis()) - i128::from(expected);
                self.jumped(i64::try_from(jump).unwrap_or(i64::MAX), now);
            }
        }
        self.last = Some(now);
    }

    /// After a jump forward, or a sleep, leases are as old as they look, or younger. After a jump back they may have been
    /// obtained by a clock that was ahead, and live shorter than they seem to: all of them are due.
    fn jumped(&mut self, by: i64, now: Now) {
        self.tell(Notice::ClockJumped(by));
        if by >= 0 {
            return;
        }
        let names: Vec<InstanceName> = self.slots.keys().cloned().collect();
        for name in names {
            self.with(&name, now, |slot| slot.distrust(now));
        }
    }

    fn restored(&mut self, name: InstanceName, record: Record) {
        // Of an instance that runs, more is known than what was saved.
        if !self.slots.contains_key(&name) {
            self.restored.insert(name, record);
        }
    }

    fn used(&mut self, name: &InstanceName, users: Option<u32>, now: Now) {
        self.with(name, now, |slot| {
            let before = slot.in_use(now.mono);
            if slot.users > 0 || users != Some(0) {
                slot.used_until = slot.grace(now.mono); // from the last use on
            }
            slot.users = users.unwrap_or(slot.users);
            if !before && slot.failures == 0 && slot.record.lease.is_none() {
                slot.next = Next::at(now.mono);
            }
        });
    }

    fn wished(&mut self, name: &InstanceName, wish: Wish, now: Now) {
        if wish == Wish::Revoke {
            self.cut(name);
            self.withdraw(name); // whatever is being saved
        }
        self.with(name, now, |slot| {
            slot.wish = slot.wish.max(Some(wish));
            slot.forget_failures();
            slot.required = Required::Yes;
            slot.next = Next::at(now.mono);
            match wish {
                Wish::Renew => slot.used_until = slot.grace(now.mono),
                Wish::Revoke => slot.disown(),
            }
        });
    }

    fn found(&mut self, name: InstanceName, found: Option<Found>, now: Now) {
        if self.slots.contains_key(&name) {
            self.with(&name, now, |slot| slot.found = found);
        } else {
            self.files.insert(name, found);
        }
    }

    fn stop(&mut self, now: Now) {
        self.life = Life::Stopping;
        let names: Vec<InstanceName> = self.slots.keys().cloned().collect();
        for name in names {
            self.unqueue(&name);
            self.settle(&name, now);
        }
    }

    /// Changes a slot and does what follows.
    fn with(&mut self, name: &InstanceName, now: Now, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots.get_mut(name) {
            change(slot);
            self.settle(name, now);
        }
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        self.actions.push_back(Action::Tell(notice));
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}
