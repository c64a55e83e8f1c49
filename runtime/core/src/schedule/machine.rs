//! The machine itself: one event in, actions out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{InstanceName, Span, Timestamp};

use super::budget::{InitialBudget, UpstreamName};
use super::detach::GivenUp;
use super::event::{CallOutcome, OperatorEvent, SaveId, ScheduleAction, ScheduleEvent, ScheduledCallId};
use super::instance_state::{DueTime, InstancePhase, InstanceState, OperatorRequest, Required, RunState};
use super::lease::{FilePayload, LeaseRecord};
use super::policy::Account;
use super::queue::{Admission, Queue, Shares};
use super::removal::Orphan;
use super::snapshot::{InstanceSnapshot, UpstreamSnapshot};
use crate::failure::FailureKind;
use crate::time::{MonotonicTime, Now};

/// Differences between the clocks of less than this are drift.
pub(super) const CLOCK_TOLERANCE: Span = Span::secs(2);

/// All instances with their leases.
#[derive(Debug)]
pub struct Schedule {
    pub(super) slots: BTreeMap<InstanceName, InstanceState>,
    /// What came before the configuration that has its instance.
    pub(super) restored: BTreeMap<InstanceName, LeaseRecord>,
    /// What is kept for instances that are not configured.
    pub(super) orphans: BTreeMap<InstanceName, Orphan>,
    pub(super) files: BTreeMap<InstanceName, Option<FilePayload>>,
    pub(super) queue: Queue,
    pub(super) shares: Shares,
    pub(super) calling: BTreeMap<ScheduledCallId, Running>,
    pub(super) saving: BTreeMap<SaveId, InstanceName>,
    pub(super) by_mono: BTreeSet<(MonotonicTime, InstanceName)>,
    pub(super) by_wall: BTreeSet<(Timestamp, InstanceName)>,
    pub(super) actions: VecDeque<ScheduleAction>,
    pub(super) chance: fastrand::Rng,
    pub(super) life: RunState,
    /// The call whose end is being taken in.
    pub(super) ending: Option<ScheduledCallId>,
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
    pub(super) began: MonotonicTime,
}

impl Schedule {
    /// A schedule without instances. `begin` is [`Begin::Empty`] if there was one before it.
    pub fn new(begin: InitialBudget, seed: u64) -> Self {
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
            life: RunState::Running,
            ending: None,
            numbers: 0,
            last: None,
        }
    }

    /// Takes in one event. What follows from it is then in [`next_action`](Self::next_action).
    pub fn handle(&mut self, now: Now, event: ScheduleEvent) {
        // A jump that shows with the end of a call does not cut that call off.
        self.ending = match &event {
            ScheduleEvent::Finished(call, _) => Some(*call),
            _ => None,
        };
        self.notice_jump(now);
        self.ending = None;
        match event {
            ScheduleEvent::LeaseRequested(name) => self.used(&name, None, now),
            ScheduleEvent::Configured(configuration) => self.configured(configuration, now),
            ScheduleEvent::Finished(call, outcome) => self.finished(call, outcome, now),
            ScheduleEvent::FileObserved(name, found) => self.found(name, found, now),
            ScheduleEvent::Renew(name) => self.wished(&name, OperatorRequest::Renew, now),
            ScheduleEvent::Restored(name, record) => self.restored(name, record),
            ScheduleEvent::Revoke(name) => self.wished(&name, OperatorRequest::Revoke, now),
            ScheduleEvent::SaveFailed(ticket, why) => self.save_failed(ticket, why, now),
            ScheduleEvent::Saved(ticket) => self.saved(ticket, now),
            ScheduleEvent::Stop => self.stop(now),
            ScheduleEvent::Used(name, users) => self.used(&name, Some(users), now),
            ScheduleEvent::TimerFired => {}
        }
        self.wake(now);
        self.expire_orphans(now);
        self.dispatch(now);
    }

    /// What is to be done next.
    pub fn next_action(&mut self) -> Option<ScheduleAction> {
        self.actions.pop_front()
    }

    /// When to come back with [`Event::Woke`] if nothing happens before: never now, and never before. That a clock was set
    /// is noticed at the next event, so come back now and then although nothing is due.
    pub fn wake_at(&self, now: Now) -> Option<MonotonicTime> {
        let mono = self.by_mono.first().map(|(at, _)| *at);
        let wall = self.by_wall.first().map(|(at, _)| now.mono_at(*at));
        [mono, wall, self.queue.wake_at(now.mono), self.orphans_wake_at(now)].into_iter().flatten().min()
    }

    /// Whether it has stopped, and nothing is under way.
    pub fn is_stopped(&self) -> bool {
        let busy = |slot: &InstanceState| !matches!(slot.phase, InstancePhase::Resting) || slot.detached.is_some();
        self.life == RunState::Stopping && self.actions.is_empty() && !self.slots.values().any(busy)
    }

    /// All instances, for the operator.
    pub fn views(&self, now: Now) -> impl Iterator<Item = InstanceSnapshot<'_>> {
        self.slots.iter().map(move |(name, slot)| InstanceSnapshot::new(name, slot, &self.queue, now))
    }

    /// One instance, for the operator.
    pub fn view(&self, name: &InstanceName, now: Now) -> Option<InstanceSnapshot<'_>> {
        self.slots.get_key_value(name).map(|(name, slot)| InstanceSnapshot::new(name, slot, &self.queue, now))
    }

    /// All upstreams, for the operator.
    pub fn upstreams(&self, now: Now) -> impl Iterator<Item = UpstreamSnapshot<'_>> {
        self.queue.waiting().map(move |(name, waiting, waits, blocked)| UpstreamSnapshot {
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
        self.tell(OperatorEvent::ClockJumped(by));
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

    fn restored(&mut self, name: InstanceName, record: LeaseRecord) {
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
                slot.next = DueTime::at(now.mono);
            }
        });
    }

    fn wished(&mut self, name: &InstanceName, wish: OperatorRequest, now: Now) {
        if wish == OperatorRequest::Revoke {
            self.give_up(name, GivenUp::Revoked);
            self.withdraw(name); // whatever is being saved
        }
        self.with(name, now, |slot| {
            slot.wish = slot.wish.max(Some(wish));
            slot.forget_failures();
            slot.required = Required::Yes;
            slot.next = DueTime::at(now.mono);
            match wish {
                OperatorRequest::Renew => slot.used_until = slot.grace(now.mono),
                OperatorRequest::Revoke => slot.disown(),
            }
        });
    }

    fn found(&mut self, name: InstanceName, found: Option<FilePayload>, now: Now) {
        if self.slots.contains_key(&name) {
            self.with(&name, now, |slot| slot.found = found);
        } else {
            self.files.insert(name, found);
        }
    }

    fn stop(&mut self, now: Now) {
        self.life = RunState::Stopping;
        let names: Vec<InstanceName> = self.slots.keys().cloned().collect();
        for name in names {
            self.unqueue(&name, now);
            self.settle(&name, now);
        }
    }

    /// Changes a slot and does what follows.
    fn with(&mut self, name: &InstanceName, now: Now, change: impl FnOnce(&mut InstanceState)) {
        if let Some(slot) = self.slots.get_mut(name) {
            change(slot);
            self.settle(name, now);
        }
    }

    /// A call is no longer under way.
    pub(super) fn release(&mut self, call: ScheduledCallId) -> Option<Running> {
        let running = self.calling.remove(&call)?;
        self.shares.release(&running.upstream, running.admission);
        Some(running)
    }

    /// What the end of a call says about how fast its account may be called.
    pub(super) fn pace(&mut self, running: &Running, outcome: &CallOutcome, longest: Span, now: MonotonicTime) {
        let Running { upstream, account, began, .. } = running;
        match outcome {
            CallOutcome::Failed(FailureKind::Throttled(after), _) => {
                // One component's word alone does not stop the others for long.
                let pause = Some((*after).min(longest)).filter(|pause| *pause > Span::millis(0));
                self.queue.throttled(upstream, *account, *began, pause, now);
            }
            CallOutcome::Failed(FailureKind::Denied, _)
            | CallOutcome::Obtained(_)
            | CallOutcome::NotRequired
            | CallOutcome::Revoked => {
                self.queue.answered(upstream, *account, *began, now);
            }
            CallOutcome::Failed(..) => {}
        }
    }

    pub(super) fn tell(&mut self, notice: OperatorEvent) {
        self.actions.push_back(ScheduleAction::Notify(notice));
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}
