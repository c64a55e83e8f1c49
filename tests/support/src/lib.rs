//! What tests of several crates need: the log, caught, and a schedule with two clocks, a disk, and calls that end when the test says so or as a service answers.
//!
//! It carries out every action as the coordinator does, and asserts after every event what must hold in any test: one
//! call per instance, no more calls than configured, nothing published that is not on disk, and no timer that fires at
//! once again.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a harness stops the test where something does not hold"
)]

mod captured_log;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    Budget, CallOutcome, ConfigFingerprint, FilePayload, InitialBudget, InstancePlan, InstanceSnapshot, Lease,
    LeaseRecord, OperatorEvent, OptionalExports, Policy, ProviderCall, Ratio, RevocationPolicy, SaveId, Schedule,
    ScheduleAction, ScheduleConfig, ScheduleEvent, ScheduledCallId, ServicePause, UpstreamName,
};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{CallFailure, Digest, InstanceName, PayloadKind, SecretBytes, Span, Timestamp, TokenExpiry, Tokens};

pub use captured_log::CapturedLog;

/// What was done, and when: milliseconds since the test began.
pub type Entry = (u64, Performed);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Performed {
    Call(String, &'static str),
    Cancel(String),
    Detach(String),
    Forget(String),
    Publish(String, u64),
    Save(String),
    SavePause(String),
    Notify(OperatorEvent),
    Withdraw(String),
}

/// What becomes of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveMode {
    Succeed,
    Fail,
    /// They neither succeed nor fail until [`TestSchedule::release`].
    Hold,
}

/// After what time a call ends, and how; `None` if the test ends it.
type Service = Box<dyn FnMut(&ProviderCall, Now) -> Option<(Span, CallOutcome)>>;

pub struct TestSchedule {
    pub machine: Schedule,
    pub configuration: ScheduleConfig,
    pub disk: BTreeMap<InstanceName, LeaseRecord>,
    pub pauses: BTreeMap<InstanceName, ServicePause>,
    pub published: BTreeMap<InstanceName, Lease>,
    pub log: Vec<Entry>,
    pub saves: SaveMode,
    calls: BTreeMap<ScheduledCallId, (InstanceName, ProviderCall)>,
    detached: BTreeMap<ScheduledCallId, InstanceName>,
    ends: BTreeMap<(MonotonicTime, ScheduledCallId), CallOutcome>,
    held: Vec<(SaveId, InstanceName, Option<LeaseRecord>)>,
    services: BTreeMap<InstanceName, Service>,
    mono: u64,
    wall: u64,
    seed: u64,
}

/// Neither clock begins at zero, and they have nothing in common.
const MONO: u64 = 5_000;
const WALL: u64 = 1_700_000_000_000;

impl TestSchedule {
    /// The first schedule of an installation, with these instances.
    pub fn new<const N: usize>(plans: [(&str, InstancePlan); N]) -> Self {
        let mut schedule = Self::unconfigured(1);
        schedule.configuration.plans = plans.into_iter().map(|(text, plan)| (instance_name(text), plan)).collect();
        schedule.reload();
        schedule
    }

    /// The first schedule of an installation, without a configuration.
    pub fn unconfigured(seed: u64) -> Self {
        Self {
            machine: Schedule::new(InitialBudget::Full, seed),
            configuration: ScheduleConfig {
                plans: BTreeMap::new(),
                default_budget: Budget { per_minute: 60_000, burst: 1000 },
                budgets: BTreeMap::new(),
                calls: 100,
            },
            disk: BTreeMap::new(),
            pauses: BTreeMap::new(),
            published: BTreeMap::new(),
            log: Vec::new(),
            saves: SaveMode::Succeed,
            calls: BTreeMap::new(),
            detached: BTreeMap::new(),
            ends: BTreeMap::new(),
            held: Vec::new(),
            services: BTreeMap::new(),
            mono: MONO,
            wall: WALL,
            seed,
        }
    }

    pub fn now(&self) -> Now {
        Now { mono: MonotonicTime::from_millis(self.mono), wall: Timestamp::from_millis(self.wall) }
    }

    /// Milliseconds since the test began, by the monotonic clock.
    pub fn age(&self) -> u64 {
        self.mono - MONO
    }

    pub fn reload(&mut self) {
        self.handle(ScheduleEvent::Configured(self.configuration.clone()));
    }

    /// Gives an instance another plan, or a first one.
    pub fn configure(&mut self, text: &str, plan: InstancePlan) {
        self.configuration.plans.insert(instance_name(text), plan);
        self.reload();
    }

    pub fn remove(&mut self, text: &str) {
        self.configuration.plans.remove(&instance_name(text));
        self.reload();
    }

    /// The process ends at once, and another one begins with what is on the disk.
    pub fn crash(&mut self) {
        self.calls.clear();
        self.detached.clear();
        self.ends.clear();
        self.held.clear();
        self.published.clear();
        self.seed += 1;
        self.machine = Schedule::new(InitialBudget::Empty, self.seed);
        let mut records = self.disk.clone();
        for (name, pause) in &self.pauses {
            records.entry(name.clone()).or_default().pause = Some(*pause);
        }
        for (name, record) in records {
            self.handle(ScheduleEvent::Restored(name, record));
        }
        self.reload();
    }

    /// The calls of an instance end as the service answers from now on.
    pub fn answer_calls(
        &mut self,
        text: &str,
        service: impl FnMut(&ProviderCall, Now) -> Option<(Span, CallOutcome)> + 'static,
    ) {
        self.services.insert(instance_name(text), Box::new(service));
    }

    /// Its calls take no time and bring tokens with this life.
    pub fn answer_with_lifetime(&mut self, text: &str, life: Span) {
        self.answer_calls(text, move |work, now| match work {
            ProviderCall::Revoke(_) => Some((Span::millis(0), CallOutcome::Revoked)),
            _ => Some((Span::millis(0), tokens_for(now, life))),
        });
    }

    /// Ends the call of an instance.
    pub fn end_call(&mut self, text: &str, outcome: CallOutcome) {
        let call = self.call_id(text).unwrap_or_else(|| panic!("{text} is not called:\n{}", self.dump_log()));
        self.calls.remove(&call);
        self.handle(ScheduleEvent::Finished(call, outcome));
    }

    pub fn has_detached(&self, text: &str) -> bool {
        self.detached.values().any(|name| name.as_str() == text)
    }

    /// Ends the call that an instance gave up.
    pub fn end_detached_call(&mut self, text: &str, outcome: CallOutcome) {
        let call = self.detached.iter().find(|(_, name)| name.as_str() == text).map(|(call, _)| *call);
        let call = call.unwrap_or_else(|| panic!("{text} gave up no call:\n{}", self.dump_log()));
        self.detached.remove(&call);
        self.handle(ScheduleEvent::Finished(call, outcome));
    }

    /// Ends the call of an instance with tokens of this life.
    pub fn complete(&mut self, text: &str, life: Span) {
        self.end_call(text, tokens_for(self.now(), life));
    }

    pub fn fail_call(&mut self, text: &str, kind: FailureKind) {
        self.end_call(text, failure(kind));
    }

    /// Ends a call with a service that asks for this delay.
    pub fn throttle_call(&mut self, text: &str, after: Span) {
        self.end_call(text, throttled(after));
    }

    /// What an instance is called for now, if it is.
    pub fn running_call(&self, text: &str) -> Option<&ProviderCall> {
        self.call_id(text).map(|call| &self.calls[&call].1)
    }

    pub fn call_kind(&self, text: &str) -> &'static str {
        self.running_call(text).map_or("nothing", ProviderCall::word)
    }

    pub fn call_id(&self, text: &str) -> Option<ScheduledCallId> {
        self.calls.iter().find(|(_, (called, _))| called.as_str() == text).map(|(call, _)| *call)
    }

    /// The instances that are called now, the longest call first.
    pub fn running(&self) -> Vec<String> {
        self.calls.values().map(|(name, _)| name.to_string()).collect()
    }

    /// Takes in one event, and carries out what follows from it.
    pub fn handle(&mut self, event: ScheduleEvent) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.machine.handle(self.now(), event);
            while let Some(action) = self.machine.next_action() {
                self.act(action, &mut events);
            }
            let now = self.now();
            let wake = self.machine.wake_at(now);
            assert!(wake.is_none_or(|at| at > now.mono), "its timer would fire at once again:\n{}", self.dump_log());
        }
    }

    fn act(&mut self, action: ScheduleAction, events: &mut VecDeque<ScheduleEvent>) {
        let did = match action {
            ScheduleAction::Call(call, name, work) => {
                assert!(self.call_id(name.as_str()).is_none(), "two calls of {name}:\n{}", self.dump_log());
                let did = Performed::Call(name.to_string(), work.word());
                let now = self.now();
                let answer = self.services.get_mut(&name).and_then(|service| service(&work, now));
                if let Some((after, outcome)) = answer {
                    self.ends.insert((now.mono.plus(after), call), outcome);
                }
                self.calls.insert(call, (name, work));
                let under_way = self.calls.len() + self.detached.len();
                assert!(under_way <= self.configuration.calls.max(1), "too many calls:\n{}", self.dump_log());
                did
            }
            ScheduleAction::Cancel(call) => {
                self.ends.retain(|(_, other), _| *other != call);
                let (name, _) = self.calls.remove(&call).expect("only what is called can be cancelled");
                Performed::Cancel(name.to_string())
            }
            ScheduleAction::Detach(call) => {
                let (name, _) = self.calls.remove(&call).expect("only what is called can be detached");
                assert!(!self.detached.values().any(|other| *other == name), "two detached calls of {name}");
                self.detached.insert(call, name.clone());
                Performed::Detach(name.to_string())
            }
            ScheduleAction::Forget(ticket, name) => {
                self.store(ticket, name.clone(), None, events);
                Performed::Forget(name.to_string())
            }
            ScheduleAction::Publish(name, lease) => {
                let saved = self.disk.get(&name).and_then(|record| record.lease.as_ref());
                let is_saved = saved.is_some_and(|saved| saved.revision == lease.revision);
                assert!(
                    is_saved || self.saves == SaveMode::Fail,
                    "{name}'s {} is published and not saved:\n{}",
                    lease.revision,
                    self.dump_log()
                );
                let did = Performed::Publish(name.to_string(), lease.revision.0);
                self.published.insert(name, lease);
                did
            }
            ScheduleAction::Save(ticket, name, record) => {
                self.store(ticket, name.clone(), Some(record), events);
                Performed::Save(name.to_string())
            }
            ScheduleAction::SavePause(ticket, name, pause) => {
                self.store_pause(ticket, &name, pause, events);
                Performed::SavePause(name.to_string())
            }
            ScheduleAction::Notify(notice) => Performed::Notify(notice),
            ScheduleAction::Withdraw(name) => {
                assert!(self.published.remove(&name).is_some(), "there was nothing to withdraw from {name}");
                Performed::Withdraw(name.to_string())
            }
        };
        self.log.push((self.age(), did));
    }

    fn store(
        &mut self,
        ticket: SaveId,
        name: InstanceName,
        record: Option<LeaseRecord>,
        events: &mut VecDeque<ScheduleEvent>,
    ) {
        match self.saves {
            SaveMode::Succeed => {
                self.write(name, record);
                events.push_back(ScheduleEvent::Saved(ticket));
            }
            SaveMode::Fail => events.push_back(ScheduleEvent::SaveFailed(ticket, "disk full".to_owned())),
            SaveMode::Hold => self.held.push((ticket, name, record)),
        }
    }

    fn store_pause(
        &mut self,
        ticket: SaveId,
        name: &InstanceName,
        pause: Option<ServicePause>,
        events: &mut VecDeque<ScheduleEvent>,
    ) {
        if self.saves == SaveMode::Fail {
            events.push_back(ScheduleEvent::SaveFailed(ticket, "disk full".to_owned()));
            return;
        }
        match pause {
            Some(pause) => self.pauses.insert(name.clone(), pause),
            None => self.pauses.remove(name),
        };
        events.push_back(ScheduleEvent::Saved(ticket));
    }

    fn write(&mut self, name: InstanceName, record: Option<LeaseRecord>) {
        match record {
            Some(record) => drop(self.disk.insert(name, LeaseRecord { pause: None, ..record })),
            None => {
                self.pauses.remove(&name);
                self.disk.remove(&name);
            }
        }
    }

    /// The saves that were held succeed, and so do all that follow.
    pub fn release_saves(&mut self) {
        self.saves = SaveMode::Succeed;
        for (ticket, name, record) in std::mem::take(&mut self.held) {
            self.write(name, record);
            self.handle(ScheduleEvent::Saved(ticket));
        }
    }

    /// Lets time go by, with all that happens meanwhile.
    pub fn advance(&mut self, span: Span) {
        let until = self.now().mono.plus(span);
        while self.happen(until) {}
    }

    /// Lets time go by until an instance is called, and says how many milliseconds that took.
    pub fn advance_until_called(&mut self, text: &str) -> u64 {
        let began = self.mono;
        let calls = self.calls_of(text).len();
        let until = self.now().mono.plus(Span::secs(400 * 86_400));
        while self.calls_of(text).len() == calls {
            assert!(self.happen(until), "{text} is never called again:\n{}", self.dump_log());
        }
        self.mono - began
    }

    /// Goes to the next thing that happens, or else to `until`; whether there was one.
    fn happen(&mut self, until: MonotonicTime) -> bool {
        let end = self.ends.keys().next().copied();
        let wake = self.machine.wake_at(self.now());
        let Some(at) = wake.into_iter().chain(end.map(|(at, _)| at)).min().filter(|at| *at <= until) else {
            self.go(until);
            return false;
        };
        self.go(at);
        if let Some(end) = end.filter(|(ends, _)| *ends <= at) {
            let outcome = self.ends.remove(&end).expect("it was just there");
            self.calls.remove(&end.1);
            self.detached.remove(&end.1);
            self.handle(ScheduleEvent::Finished(end.1, outcome));
        } else {
            self.handle(ScheduleEvent::TimerFired);
        }
        true
    }

    fn go(&mut self, to: MonotonicTime) {
        let went_by = to.as_millis().saturating_sub(self.mono);
        self.mono += went_by;
        self.wall += went_by;
    }

    /// The wall clock is set, by some milliseconds, and the schedule notices.
    pub fn jump_clock(&mut self, millis: i64) {
        self.set_clock(millis);
        self.handle(ScheduleEvent::TimerFired);
    }

    /// The wall clock is set while no process runs that could notice.
    pub fn set_clock(&mut self, millis: i64) {
        self.wall = self.wall.checked_add_signed(millis).expect("a time");
    }

    /// What the operator sees of an instance.
    pub fn snapshot(&self, text: &str) -> InstanceSnapshot<'_> {
        self.machine.instance(&instance_name(text), self.now()).expect("an instance")
    }

    /// The revision that was published last.
    pub fn published_revision(&self, text: &str) -> Option<u64> {
        self.published.get(&instance_name(text)).map(|lease| lease.revision.0)
    }

    /// When an instance was called, and for what.
    pub fn calls_of(&self, text: &str) -> Vec<(u64, &'static str)> {
        let calls = self.log.iter().filter_map(|(at, did)| match did {
            Performed::Call(called, word) if called == text => Some((*at, *word)),
            _ => None,
        });
        calls.collect()
    }

    pub fn count(&self, did: &Performed) -> usize {
        self.log.iter().filter(|(_, other)| other == did).count()
    }

    pub fn operator_events(&self) -> impl Iterator<Item = &OperatorEvent> {
        self.log.iter().filter_map(|(_, did)| match did {
            Performed::Notify(notice) => Some(notice),
            _ => None,
        })
    }

    /// The last things that were done, for a test that fails.
    pub fn dump_log(&self) -> String {
        let last = self.log.iter().rev().take(60).rev();
        last.map(|(at, did)| format!("{at:>10} {did:?}\n")).collect()
    }
}

/// What stands for the digest of a payload: others have others.
pub fn digest_of(payload: &[u8]) -> Digest {
    let mut digest = [0; 32];
    for (at, byte) in payload.iter().enumerate() {
        digest[at % 32] = u8::wrapping_mul(digest[at % 32], 31) ^ byte;
    }
    Digest::new(digest)
}

pub fn instance_name(text: &str) -> InstanceName {
    text.parse().expect("a name")
}

/// An instance without jitter, whose component can do nothing but obtain, changed so.
pub fn plan_with(change: impl FnOnce(&mut InstancePlan)) -> InstancePlan {
    // What is removed ends at once: the grace has tests of its own.
    let revoke = RevocationPolicy { removed: Some(Span::millis(0)), ..RevocationPolicy::default() };
    let mut plan = InstancePlan {
        policy: Policy { jitter: Ratio::thousandths(0), revoke, ..Policy::default() },
        upstream: upstream_name("up"),
        account: None,
        service: None,
        file_kind: Some(payload_kind()),
        component: Some(OptionalExports::default()),
        fingerprint: ConfigFingerprint([1; 16]),
        keeps_state: false,
    };
    change(&mut plan);
    plan
}

pub fn plain_plan() -> InstancePlan {
    plan_with(|_| {})
}

pub fn renewing_plan() -> InstancePlan {
    plan_with(|plan| plan.component = Some(OptionalExports { renews: true, revokes: false }))
}

pub fn revoking_plan() -> InstancePlan {
    plan_with(|plan| plan.component = Some(OptionalExports { renews: false, revokes: true }))
}

pub fn upstream_name(text: &str) -> UpstreamName {
    text.parse().expect("a name")
}

/// Tokens with this life from now on.
pub fn tokens_for(now: Now, life: Span) -> CallOutcome {
    tokens_until(Some(now.wall.plus(life)))
}

/// Tokens with the expiry that the service states.
pub fn tokens_until(valid_until: Option<Timestamp>) -> CallOutcome {
    let expiry = valid_until.map_or(TokenExpiry::Unknown, TokenExpiry::At);
    CallOutcome::Obtained(Tokens { expiry, ..tokens() })
}

/// Tokens without a stated expiry.
pub fn tokens() -> Tokens {
    Tokens::new(payload_kind(), SecretBytes::new(b"tokens".to_vec()))
}

/// The kind of all payloads in these tests.
pub fn payload_kind() -> PayloadKind {
    "test/1".parse().expect("a kind")
}

pub fn failure(kind: FailureKind) -> CallOutcome {
    CallOutcome::Failed(CallFailure::new(kind, "no"))
}

/// A service that asks for this delay.
pub fn throttled(after: Span) -> CallOutcome {
    CallOutcome::Failed(CallFailure {
        retry_after: Some(after),
        ..CallFailure::new(FailureKind::Throttled, "slow down")
    })
}

/// What a file holds.
pub fn file_payload(text: &str, since: Timestamp, life: Span) -> Option<FilePayload> {
    let payload = Arc::new(SecretBytes::new(text.as_bytes().to_vec()));
    let digest = digest_of(payload.expose());
    Some(FilePayload { payload, digest, since, valid_until: since.plus(life) })
}

/// The names in a log, once each.
pub fn count_distinct<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.collect::<BTreeSet<_>>().len()
}
