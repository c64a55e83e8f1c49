//! The machine itself: one event in, actions out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{InstanceName, Span, Timestamp};

use super::budget::{Begin, UpstreamName};
use super::clock::{CLOCK_TOLERANCE, Mono, Now};
use super::detach::GivenUp;
use super::event::{Action, CallNumber, Event, Notice, Outcome, Ticket};
use super::lease::{Found, Record};
use super::policy::Account;
use super::queue::{Admission, Queue, Shares};
use super::removal::Orphan;
use super::slot::{Life, Next, Phase, Required, Slot, Wish};
use super::trouble::Kind;
use super::view::{UpstreamView, View};

/// All instances with their leases.
#[derive(Debug)]
pub struct Schedule {
    pub(super) slots: BTreeMap<InstanceName, Slot>,
    /// What came before the configuration that has its instance.
    pub(super) restored: BTreeMap<InstanceName, Record>,
    /// What is kept for instances that are not configured.
    pub(super) orphans: BTreeMap<InstanceName, Orphan>,
    pub(super) files: BTreeMap<InstanceName, Option<Found>>,
    pub(super) queue: Queue,
    pub(super) shares: Shares,
    pub(super) calling: BTreeMap<CallNumber, Running>,
    pub(super) saving: BTreeMap<Ticket, InstanceName>,
    pub(super) by_mono: BTreeSet<(Mono, InstanceName)>,
    pub(super) by_wall: BTreeSet<(Timestamp, InstanceName)>,
    pub(super) actions: VecDeque<Action>,
    pub(super) chance: fastrand::Rng,
    pub(super) life: Life,
    /// The call whose end is being taken in.
    pub(super) ending: Option<CallNumber>,
    numbers: u64,
    last: Option<Now>,
}

/// A call that is under way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) name: InstanceName,
    /// Who counts it.
    pub(super) upstream: UpstreamName,
    pub(super) account: Option<Account>,
    pub(super) admission: Admission,
    pub(super) began: Mono,
}

impl Schedule {
    /// A schedule without instances. `begin` is [`Begin::Empty`] if there was one before it.
    pub fn new(begin: Begin, seed: u64) -> Self {
        Self {
            slots: BTreeMap::new(),
            restored: BTreeMap::new(),
            orphans: BTreeMap::new(),
            files: BTreeMap::new(),
            queue: Queue::new(begin),
            shares: Shares::new(),
            calling: BTreeMap::new(),
            saving: BTreeMap::new(),
            by_mono: BTreeSet::new(),
            by_wall: BTreeSet::new(),
            actions: VecDeque::new(),
            chance: fastrand::Rng::with_seed(seed),
            life: Life::Running,
            ending: None,
            numbers: 0,
            last: None,
        }
    }

    /// Takes in one event. What follows from it is then in [`next_action`](Self::next_action).
    pub fn handle(&mut self, now: Now, event: Event) {
        // A jump that shows with the end of a call does not cut that call off.
        self.ending = match &event {
            Event::Finished(call, _) => Some(*call),
            _ => None,
        };
        self.notice_jump(now);
        self.ending = None;
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
        self.expire_orphans(now);
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
        [mono, wall, self.queue.wake_at(now.mono), self.orphans_wake_at(now)].into_iter().flatten().min()
    }

    /// Whether it has stopped, and nothing is under way.
    pub fn is_stopped(&self) -> bool {
        let busy = |slot: &Slot| !matches!(slot.phase, Phase::Resting) || slot.detached.is_some();
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
        self.queue.waiting().map(move |(name, waiting, waits, blocked)| UpstreamView {
            name,
            waiting,
            waits,
            blocked_for: blocked.map(|until| until.since(now.mono)),
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
        let names: Vec<InstanceName> = self.slots.keys().cloned().collect();
        for name in names {
            self.unqueue(&name, now); // what is left of its lease is another time now
            self.with(&name, now, |slot| {
                if by < 0 {
                    slot.distrust(now);
                }
            });
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
            self.give_up(name, GivenUp::Revoked);
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
            self.unqueue(&name, now);
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

    /// A call is no longer under way.
    pub(super) fn release(&mut self, call: CallNumber) -> Option<Running> {
        let running = self.calling.remove(&call)?;
        self.shares.release(&running.upstream, running.admission);
        Some(running)
    }

    /// What the end of a call says about how fast its account may be called.
    pub(super) fn pace(&mut self, running: &Running, outcome: &Outcome, longest: Span, now: Mono) {
        let Running { upstream, account, began, .. } = running;
        match outcome {
            Outcome::Failed(Kind::Throttled(after), _) => {
                // One component's word alone does not stop the others for long.
                let pause = Some((*after).min(longest)).filter(|pause| *pause > Span::millis(0));
                self.queue.throttled(upstream, *account, *began, pause, now);
            }
            Outcome::Failed(Kind::Denied, _) | Outcome::Obtained(_) | Outcome::NotRequired | Outcome::Revoked => {
                self.queue.answered(upstream, *account, *began, now);
            }
            Outcome::Failed(..) => {}
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
