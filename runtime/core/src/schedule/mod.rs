//! The schedule: a pure state machine that keeps every lease alive.
//!
//! [`Schedule::handle`] takes one [`ScheduleEvent`] and a reading of the clocks, [`Schedule::next_action`] returns what
//! to do, [`Schedule::wake_at`] when to come back. It owns no timer, task, file or socket, and all randomness comes from
//! one seed: so every rule has a test that needs no runtime, and whole histories are simulated and replayed.
//!
//! Each instance does one thing at a time: it rests, waits for its upstream's budget, is called, or is being saved. What
//! a call brought is saved first and published then. Instances know nothing of each other; they meet only in the queue,
//! where the first one due is called first.
//!
//! The wall clock decides about expiry, the monotonic clock about delays. A renewal is due by either, so that a jump
//! forward is noticed and a jump back delays nothing.
//!
//! | file | what happens there |
//! |---|---|
//! | this one | events come in, actions go out |
//! | `reconfigure` | a configuration: instances enter, change, leave and come back; `orphans` are records without one |
//! | `advance` | each instance whose time has come is brought to where it should be; calls start |
//! | `complete` | a call ends |
//! | `persist` | records are saved, and leases published |
//! | `instance` | the state of one instance and its transitions |
//! | `queue` | whose call is next: places, budgets, pauses |
//!
//! # Rules
//!
//! Retries ([`retry`](crate::retry), `instance/failures`):
//! - R1. The delay after a failure doubles from the floor up to `most`. While a lease is valid, it is at most a third of
//!   what is left of it.
//! - R2. When the lease ends, backoff starts again: failures before the end don't count. From then on, no delay is longer
//!   than the last lease lived.
//! - R3. A service that asks for a delay gets it, at most an hour, and at most two thirds of what is left of a valid lease:
//!   there is an attempt before the end. Throttling without a delay, or with a short one, is backed off from like any failure.
//! - R4. A renewal that was throttled or not answered is tried as a renewal again; one that ran out of time is so once. Any
//!   other failure, and the second one of these, is followed by an obtain.
//! - R5. An obtain that fails as `ended` is tried once more, at once; the next such failure is `attention`. An instance that
//!   needs attention is called again after the delay that the service gave, or if it gave none, when an operator asks or
//!   the configuration changes.
//!
//! Places and budgets (`queue`):
//! - Q1. The instance that is due first is called first, tokens before revocations.
//! - Q2. Where there are several upstreams, none has more calls under way than it leaves places to others.
//! - Q3. A lease is at risk when its instance has waited for a third of what was left of it. From 16 places on, an eighth
//!   is reserved for such instances, divided by the rule before.
//! - Q4. An account that is throttled goes at half its pace, and at half of that if calls that began a second later are
//!   throttled too, down to a 32nd of the budget. Answers to calls that began three seconds later make it faster again, and
//!   it doubles after each minute without another throttled call. Until one is throttled at half the pace, too, instances
//!   whose lease is at risk may borrow what that brings in ten seconds, at most the burst of the budget.
//! - Q5. A delay that the service asks for, up to `most`, pauses its account, and no other. Instances whose lease is at
//!   risk pass the pause.
//! - Q6. The delays that a service asked for (R3, Q5) outlive the process. They are saved when they begin and when they change
//!   by five seconds, and hold while the configuration is unchanged. None is longer than one that would begin now, whatever is
//!   saved.
//!
//! Leases (`instance/lease`, `instance/due`):
//! - L1. An expiry that is not in the future is a failure, unless a lifetime is configured, which holds then. The same rule
//!   decides until when what a detached call brings is worth a revocation.
//! - L2. After the clock was set back by two seconds or more, every lease that a component brought is due. So is one that
//!   was obtained in the future. After a jump forward, leases are as old as they look or younger.
//! - L3. A component is called for tokens no sooner than `interval` after the call began that brought the last ones, and
//!   no more than `per_hour` times in an hour, a fifth of them at once. An operator's request is carried out in any case;
//!   its retries are not.
//! - L4. A lease with a `next-at` is replaced then, or when it ends if that is sooner. One that does not expire, without a
//!   configured lifetime, is not replaced. A lease is renewed until `renewable-until` and the configured maximum.
//!
//! Changes (`instance/call`, `instance/membership`):
//! - C1. A call for tokens that an operator, a reload or a removal makes useless is detached if the component revokes, and
//!   cancelled if it doesn't. What a detached call brings is revoked. An instance has one such call at most; the next one
//!   runs to its end before another is made.
//!   After two calls in a row that a reload made useless, the third runs to its end in any case.
//! - C2. A change of its configuration has an instance called at once, five times in a row and ten times a minute; else
//!   later. No call is given up for the last two of the five, or for any other change. A lease that was obtained as the
//!   configuration is now is kept, and one that is held is replaced by an answer under the same, former configuration; no
//!   other answer under a former one is used.

mod advance;
mod budget;
mod complete;
mod event;
mod instance;
mod lease;
mod orphans;
mod persist;
mod policy;
mod queue;
mod ratio;
mod reconfigure;
mod revocation;
mod snapshot;
mod wake_index;

use std::collections::{BTreeMap, VecDeque};

use crate::time::{MonotonicTime, Now};
use crate::{InstanceName, Span, Timestamp};

pub use budget::{Budget, InitialBudget, UpstreamName};
pub use event::{
    CallOutcome, OperatorEvent, ProviderCall, SaveId, ScheduleAction, ScheduleConfig, ScheduleEvent, ScheduledCallId,
};
pub use lease::{FilePayload, Lease, LeaseOrigin, LeaseRecord, RetiredLease, ServicePause};
pub use orphans::{ORPHAN_GRACE, REMOVAL_GRACE};
pub use policy::{
    ASSUMED_LIFETIME, CallRate, ConfigFingerprint, InstancePlan, LONGEST_LIFE, ObtainMode, OptionalExports, Policy,
    PreferredSource, RevocationPolicy, Switch, UpstreamAccount,
};
pub use ratio::{Ratio, RatioError};
pub use revocation::{MOST_RETIRED, NotRevoked, UnrevokedLeases};
pub use snapshot::{InstanceActivity, InstanceSnapshot, Readiness, UpstreamSnapshot};

use instance::{GiveUpReason, InstanceState, OperatorRequest, RunState};
use orphans::Orphans;
use queue::{Admission, CallQueue, Shares};
use wake_index::WakeIndex;

/// Differences between the clocks of less than this are drift.
const CLOCK_TOLERANCE: Span = Span::secs(2);

/// All instances with their leases.
#[derive(Debug)]
pub struct Schedule {
    instances: BTreeMap<InstanceName, InstanceState>,
    /// When to look at each of them again.
    wakes: WakeIndex,
    /// What was restored before the configuration that has its instance.
    restored: BTreeMap<InstanceName, LeaseRecord>,
    orphans: Orphans,
    /// What files held before the configuration that has their instance.
    files: BTreeMap<InstanceName, Option<FilePayload>>,
    queue: CallQueue,
    shares: Shares,
    calls: BTreeMap<ScheduledCallId, RunningCall>,
    saves: BTreeMap<SaveId, InstanceName>,
    /// Saves of pauses. No instance waits for one.
    pause_saves: BTreeMap<SaveId, InstanceName>,
    actions: VecDeque<ScheduleAction>,
    random: fastrand::Rng,
    run_state: RunState,
    /// Whether nothing is published that is not saved.
    saves_first: bool,
    /// The call whose end is being taken in.
    ending: Option<ScheduledCallId>,
    /// The instance whose lease is being taken back.
    revoking: Option<InstanceName>,
    last_id: u64,
    last_reading: Option<Now>,
}

/// A call that runs.
#[derive(Debug)]
struct RunningCall {
    name: InstanceName,
    /// The upstream that counts it.
    upstream: UpstreamName,
    account: Option<UpstreamAccount>,
    admission: Admission,
    began: MonotonicTime,
    times: CallTimes,
}

/// When a call began. A lease that it brings is [obtained](Lease::obtained_at) at this time, unless the clock was set
/// meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallTimes {
    pub began: Timestamp,
    /// How long its instance had waited for its turn by then.
    pub waited: Span,
}

impl Schedule {
    /// A schedule without instances. `begin` is [`InitialBudget::Empty`] if there was one before it.
    pub fn new(begin: InitialBudget, seed: u64) -> Self {
        Self {
            instances: BTreeMap::new(),
            wakes: WakeIndex::default(),
            restored: BTreeMap::new(),
            orphans: Orphans::default(),
            files: BTreeMap::new(),
            queue: CallQueue::new(begin),
            shares: Shares::new(),
            calls: BTreeMap::new(),
            saves: BTreeMap::new(),
            pause_saves: BTreeMap::new(),
            actions: VecDeque::new(),
            random: fastrand::Rng::with_seed(seed),
            run_state: RunState::Running,
            saves_first: false,
            ending: None,
            revoking: None,
            last_id: 0,
            last_reading: None,
        }
    }

    /// Publishes nothing that is not saved, also when nothing else is valid: another process may take over at any time, and
    /// would go back to what is saved.
    #[must_use]
    pub fn saving_first(self) -> Self {
        Self { saves_first: true, ..self }
    }

    /// Takes in one event. What follows from it is then in [`next_action`](Self::next_action).
    pub fn handle(&mut self, now: Now, event: ScheduleEvent) {
        match &event {
            // A jump that shows with the end of a call does not cancel that call.
            ScheduleEvent::Finished(call, _) => self.ending = Some(*call),
            // One that shows as a lease is taken back does not publish it.
            ScheduleEvent::Revoke(name) => self.revoking = Some(name.clone()),
            ScheduleEvent::Stop => self.run_state = RunState::Stopping,
            _ => {}
        }
        self.detect_clock_jump(now);
        self.ending = None;
        self.revoking = None;
        match event {
            ScheduleEvent::Configured(config) => self.reconfigure(config, now),
            ScheduleEvent::FileObserved(name, file) => self.observe_file(name, file, now),
            ScheduleEvent::Finished(call, outcome) => self.complete_call(call, outcome, now),
            ScheduleEvent::LeaseRequested(name) => self.use_by(&name, None, now),
            ScheduleEvent::Renew(name) => self.request(&name, OperatorRequest::Renew, now),
            ScheduleEvent::Restored(name, record) => self.restore(name, record),
            ScheduleEvent::Revoke(name) => self.request(&name, OperatorRequest::Revoke, now),
            ScheduleEvent::SaveFailed(id, why) => self.save_failed(id, why, now),
            ScheduleEvent::Saved(id) => self.save_succeeded(id, now),
            ScheduleEvent::Stop => self.stop(now),
            ScheduleEvent::TimerFired => {}
            ScheduleEvent::UnsavedLease(name, lease) => {
                self.update(&name, now, |instance| instance.find_unsaved(lease));
            }
            ScheduleEvent::Used(name, users) => self.use_by(&name, Some(users), now),
        }
        self.advance_due(now);
        self.expire_orphans(now);
        self.start_calls(now);
    }

    /// The next thing to do.
    pub fn next_action(&mut self) -> Option<ScheduleAction> {
        self.actions.pop_front()
    }

    /// When to come back with [`ScheduleEvent::TimerFired`] if nothing happens before: never now, and never before. A
    /// clock that was set is noticed at the next event, so come back now and then although nothing is due.
    pub fn wake_at(&self, now: Now) -> Option<MonotonicTime> {
        let wakes = [self.wakes.first(now), self.queue.wake_at(now.mono), self.orphans.wake_at(now)];
        wakes.into_iter().flatten().min()
    }

    /// Whether it has stopped, and nothing is under way.
    pub fn is_stopped(&self) -> bool {
        self.run_state == RunState::Stopping
            && self.actions.is_empty()
            && self.pause_saves.is_empty()
            && self.instances.values().all(InstanceState::is_idle)
    }

    /// All instances, for the operator.
    pub fn instances(&self, now: Now) -> impl Iterator<Item = InstanceSnapshot<'_>> {
        self.instances.iter().map(move |(name, instance)| InstanceSnapshot::new(name, instance, &self.queue, now))
    }

    /// One instance, for the operator.
    pub fn instance(&self, name: &InstanceName, now: Now) -> Option<InstanceSnapshot<'_>> {
        let (name, instance) = self.instances.get_key_value(name)?;
        Some(InstanceSnapshot::new(name, instance, &self.queue, now))
    }

    /// The times of a call that runs.
    pub fn call_times(&self, call: ScheduledCallId) -> Option<CallTimes> {
        self.calls.get(&call).map(|running| running.times)
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

    /// The configurations of an instance whose components may still be called: the current one, and those that obtained
    /// what is held or waits to be revoked.
    pub fn fingerprints(&self, name: &InstanceName) -> impl Iterator<Item = ConfigFingerprint> {
        let instance = self.instances.get(name).into_iter();
        instance.flat_map(|instance| instance.used_fingerprints().chain([instance.plan().fingerprint]))
    }

    /// Whether an instance has leases that are not known to be saved.
    pub fn has_unsaved(&self, name: &InstanceName, now: Timestamp) -> bool {
        self.instances.get(name).is_some_and(|instance| instance.unsaved().any(|lease| lease.is_valid(now)))
    }

    /// The leases that are not known to be saved, and that another process should revoke if they are not. Those that have expired
    /// are among them: a clock that is ahead for a moment must not lose the others.
    pub fn unsaved_leases(&self) -> impl Iterator<Item = (&InstanceName, &Lease)> {
        let revoking = self.instances.iter().filter(|(_, instance)| instance.revokes_unused());
        revoking.flat_map(move |(name, instance)| instance.revocable_unsaved().map(move |lease| (name, lease)))
    }

    fn detect_clock_jump(&mut self, now: Now) {
        if let Some(last) = self.last_reading.replace(now) {
            let expected = last.wall.plus(now.mono.since(last.mono)).as_millis();
            if expected.abs_diff(now.wall.as_millis()) >= CLOCK_TOLERANCE.as_millis() {
                let jump = i128::from(now.wall.as_millis()) - i128::from(expected);
                self.clock_jumped(i64::try_from(jump).unwrap_or(i64::MAX), now);
            }
        }
    }

    /// After a jump forward, or a sleep, leases are as old as they look, or younger. After a jump back they may have been
    /// obtained by a clock that was ahead, and live shorter than they seem to: all of them are due.
    fn clock_jumped(&mut self, by: i64, now: Now) {
        self.notify(OperatorEvent::ClockJumped(by));
        let names: Vec<InstanceName> = self.instances.keys().cloned().collect();
        for name in names {
            self.leave_queue(&name, now); // what is left of its lease is another time now
            if by < 0 && self.revoking.as_ref() != Some(&name) {
                self.publish_revived(&name, now);
            }
            self.update(&name, now, |instance| {
                if by < 0 {
                    instance.distrust(now.mono);
                }
            });
        }
    }

    fn restore(&mut self, name: InstanceName, record: LeaseRecord) {
        // Of an instance that runs, more is known than what was saved.
        if !self.instances.contains_key(&name) {
            self.restored.insert(name, record);
        }
    }

    fn use_by(&mut self, name: &InstanceName, users: Option<u32>, now: Now) {
        self.update(name, now, |instance| instance.use_by(users, now.mono));
    }

    fn request(&mut self, name: &InstanceName, request: OperatorRequest, now: Now) {
        if request == OperatorRequest::Revoke {
            self.give_up_call(name, GiveUpReason::Revoked);
            self.withdraw(name); // whatever is being saved
        }
        self.update(name, now, |instance| instance.request(request, now.mono));
    }

    fn observe_file(&mut self, name: InstanceName, file: Option<FilePayload>, now: Now) {
        if self.instances.contains_key(&name) {
            self.update(&name, now, |instance| instance.observe_file(file));
        } else {
            self.files.insert(name, file);
        }
    }

    fn stop(&mut self, now: Now) {
        let names: Vec<InstanceName> = self.instances.keys().cloned().collect();
        for name in names {
            self.leave_queue(&name, now);
            self.advance(&name, now);
        }
    }

    /// Changes an instance and does what follows.
    fn update(&mut self, name: &InstanceName, now: Now, change: impl FnOnce(&mut InstanceState)) {
        if let Some(instance) = self.instances.get_mut(name) {
            change(instance);
            self.advance(name, now);
        }
    }

    fn notify(&mut self, event: OperatorEvent) {
        self.actions.push_back(ScheduleAction::Notify(event));
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}
