//! One history: faults for a while, then calm.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::schedule::{
    ConfigFingerprint, InitialBudget, Lease, LeaseRecord, ProviderCall, Schedule, ScheduleConfig, ScheduleEvent,
    ScheduledCallId, ServicePause,
};
use deputy_core::time::MonotonicTime;
use deputy_core::{InstanceName, Span};
use fastrand::Rng;

use crate::budget::Budgets;
use crate::changes::Changes;
use crate::checks::Checks;
use crate::clocks::Clocks;
use crate::counts::Counts;
use crate::generate;
use crate::jumps::Jumps;
use crate::pace::{Caller, Paces};
use crate::places::Places;
use crate::saves::Saves;
use crate::service::Instance;
use crate::shell::Pending;
use crate::waits::Waits;

/// Events after which the faults of a history end.
const MOST_EVENTS: u64 = 500;

/// How long a shell may sleep through a jump of the clock, in milliseconds.
const SOON: u64 = 30_000;

pub(crate) struct History {
    pub(crate) dice: Rng,
    pub(crate) clocks: Clocks,
    pub(crate) schedule: Schedule,
    pub(crate) configuration: ScheduleConfig,
    pub(crate) instances: BTreeMap<InstanceName, Instance>,
    pub(crate) store: BTreeMap<InstanceName, LeaseRecord>,
    /// What services asked for, in the store.
    pub(crate) pauses: BTreeMap<InstanceName, ServicePause>,
    /// What is on the disk and was said to be deleted.
    pub(crate) orphans: BTreeSet<InstanceName>,
    pub(crate) published: BTreeMap<InstanceName, Lease>,
    pub(crate) running: BTreeMap<ScheduledCallId, (InstanceName, ProviderCall)>,
    /// When they began, under which configuration, and as whom.
    pub(crate) began: BTreeMap<ScheduledCallId, (MonotonicTime, ConfigFingerprint, Caller)>,
    /// Those of them that an operator does not want any longer.
    pub(crate) unwanted: BTreeSet<ScheduledCallId>,
    /// Those of them that their instances gave up.
    pub(crate) detached: BTreeSet<ScheduledCallId>,
    pub(crate) pending: BTreeMap<(u64, u64), Pending>,
    pub(crate) disk: Disk,
    pub(crate) process: Process,
    pub(crate) weather: Weather,
    pub(crate) budgets: Budgets,
    pub(crate) paces: Paces,
    pub(crate) waits: Waits,
    pub(crate) checks: Checks,
    pub(crate) jumps: Jumps,
    pub(crate) places: Places,
    pub(crate) saves: Saves,
    pub(crate) changes: Changes,
    pub(crate) counts: Counts,
    pub(crate) log: Log,
    pub(crate) step: u64,
    /// When the shell looks at the clocks although nothing wakes it, after they jumped.
    pub(crate) look_at: Option<u64>,
    serial: u64,
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    Good,
    Slow,
    Failing,
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    Up,
    /// It was asked to stop, and is killed at this true time.
    Stopping(u64),
    Down,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    Faults,
    Calm,
}

/// Where what happens is written.
pub(crate) enum Log {
    None,
    Kept(Vec<String>),
    Printed,
}

impl Log {
    pub(crate) fn lines(&self) -> &[String] {
        match self {
            Self::Kept(lines) => lines,
            Self::None | Self::Printed => &[],
        }
    }
}

impl History {
    pub(crate) fn new(seed: u64, log: Log) -> Self {
        let mut dice = Rng::with_seed(seed);
        let configuration = generate::configuration(&mut dice);
        let instances = generate::names().into_iter().map(|name| (name, Instance::new(&mut dice))).collect();
        Self {
            schedule: Schedule::new(InitialBudget::Full, seed),
            clocks: Clocks::new(),
            configuration,
            instances,
            store: BTreeMap::new(),
            pauses: BTreeMap::new(),
            orphans: BTreeSet::new(),
            published: BTreeMap::new(),
            running: BTreeMap::new(),
            began: BTreeMap::new(),
            unwanted: BTreeSet::new(),
            detached: BTreeSet::new(),
            pending: BTreeMap::new(),
            disk: Disk::Good,
            process: Process::Up,
            weather: Weather::Faults,
            budgets: Budgets::default(),
            paces: Paces::default(),
            waits: Waits::default(),
            checks: Checks::default(),
            jumps: Jumps::default(),
            places: Places::default(),
            saves: Saves::default(),
            changes: Changes::default(),
            counts: Counts::default(),
            log,
            step: 0,
            look_at: None,
            serial: 0,
            seed,
            dice,
        }
    }

    pub(crate) fn run(&mut self) -> Counts {
        self.begin();
        let faults = self.dice.usize(5..60);
        for _ in 0..faults {
            let gap = if self.dice.bool() { 0 } else { generate::millis(&mut self.dice, 1, 1_200_000) };
            self.go_on(self.clocks.truth + gap, MOST_EVENTS);
            if self.step >= MOST_EVENTS {
                break;
            }
            self.fault();
        }
        self.calm();
        self.counts.clone()
    }

    /// Runs events until this true time, or until this number of events.
    pub(crate) fn go_on(&mut self, until: u64, most: u64) {
        while self.step < most && self.happen(until) {}
    }

    /// Goes to the next thing that happens, or else to `until`; whether there was one.
    pub(crate) fn happen(&mut self, until: u64) -> bool {
        match self.process {
            Process::Down => self.restart(),
            Process::Stopping(deadline) if self.schedule.is_stopped() => self.stopped(deadline),
            Process::Stopping(deadline) if deadline <= self.clocks.truth => self.crash(),
            Process::Up | Process::Stopping(_) => return self.next(until),
        }
        true
    }

    fn next(&mut self, until: u64) -> bool {
        let wake = self.schedule.wake_at(self.clocks.now()).map(|at| self.clocks.truth_at(at));
        let end = self.pending.keys().next().map(|(at, _)| *at);
        let deadline = match self.process {
            Process::Stopping(deadline) => Some(deadline),
            Process::Up | Process::Down => None,
        };
        let next = [wake, end, self.look_at, deadline].into_iter().flatten().min().filter(|at| *at <= until);
        let Some(at) = next else {
            self.clocks.go_to(until);
            return false;
        };
        self.clocks.go_to(at);
        if end.is_some_and(|end| end <= at) {
            let (_, pending) = self.pending.pop_first().expect("it was just there");
            self.ends(pending);
        } else {
            self.tell(ScheduleEvent::TimerFired);
        }
        true
    }

    /// The clocks did what the shell did not see.
    pub(crate) fn jumped(&mut self) {
        self.counts.jumps += 1;
        self.checks.excuse_all(&self.configuration);
        self.checks.leases.jumped();
        self.look_at = Some(self.clocks.truth + self.dice.u64(..SOON));
    }

    /// A number that no other thing has.
    pub(crate) fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn begin(&mut self) {
        for name in generate::names() {
            if generate::once_in(&mut self.dice, 4) {
                self.file_changes(&name);
            }
        }
        self.tell(ScheduleEvent::Configured(self.configuration.clone()));
    }

    fn restart(&mut self) {
        let down = if self.dice.bool() { 0 } else { generate::millis(&mut self.dice, 1, 600_000) };
        self.clocks.sleep(down);
        if generate::once_in(&mut self.dice, 3) {
            self.clocks.boot();
        }
        if self.weather == Weather::Faults && generate::once_in(&mut self.dice, 5) {
            generate::change(&mut self.dice, &mut self.configuration);
        }
        self.seed = self.seed.wrapping_add(0x9E37_79B9);
        self.schedule = Schedule::new(InitialBudget::Empty, self.seed);
        self.process = Process::Up;
        self.look_at = None;
        self.note(|_| "a new process begins".to_owned());
        let mut restored = BTreeSet::new();
        for (name, mut record) in self.store.clone() {
            let plan = self.configuration.plans.get(&name);
            // One whose component is not loaded finds its pause later: that has a test of its own.
            record.pause =
                self.pauses.get(&name).copied().filter(|_| plan.is_some_and(|plan| plan.fingerprint.is_known()));
            if self.weather == Weather::Faults && generate::once_in(&mut self.dice, 60) {
                self.note(|_| format!("the record of {name} is damaged"));
                self.store.remove(&name);
                self.checks.lost(&name);
                self.counts.lost_records += 1;
            } else {
                restored.insert(name.clone());
                if let Some(pause) = &record.pause {
                    self.resumes(&name, pause);
                }
                self.tell(ScheduleEvent::Restored(name, record));
            }
        }
        let first = self.dice.bool();
        self.tell_files(|_| first);
        self.tell(ScheduleEvent::Configured(self.configuration.clone()));
        self.tell_files(|_| !first);
        self.tell_users();
        if self.process == Process::Up {
            self.checks.pauses(&self.pauses, &self.configuration, self.clocks.now());
            self.checks.restored(&self.published, &self.store, &self.configuration, self.clocks.now(), &restored);
        }
    }

    /// What an earlier process saved of an account holds for all of its instances.
    fn resumes(&mut self, name: &InstanceName, pause: &ServicePause) {
        let now = self.clocks.now();
        let Some(plan) = self.configuration.plans.get(name) else { return };
        let Some(until) = pause.account_until.filter(|_| pause.fingerprint == plan.fingerprint) else { return };
        let rest = until.since(now.wall.max(pause.asked_at)).min(plan.policy.retry.most);
        self.counts.resumed_pauses += u64::from(rest > Span::millis(0));
        self.waits.resumes(plan, rest, now.mono);
        self.paces.resumes(plan, rest, now.mono);
    }

    /// What the shell says after each configuration, because the schedule remembers no users of what it does not have.
    pub(crate) fn tell_users(&mut self) {
        let users: Vec<_> = self.instances.iter().map(|(name, it)| (name.clone(), it.users)).collect();
        for (name, users) in users.into_iter().filter(|(_, users)| *users > 0) {
            self.tell(ScheduleEvent::Used(name, users));
        }
    }

    /// What the files of these hold.
    pub(crate) fn tell_files(&mut self, which: impl Fn(&InstanceName) -> bool) {
        let these = self.instances.iter().filter(|(name, it)| it.file.is_some() && which(name));
        let files: Vec<_> = these.map(|(name, it)| (name.clone(), it.file.clone())).collect();
        files.into_iter().for_each(|(name, file)| self.tell(ScheduleEvent::FileObserved(name, file)));
    }

    pub(crate) fn note(&mut self, text: impl FnOnce(&Self) -> String) {
        if matches!(self.log, Log::None) {
            return;
        }
        let now = self.clocks.now();
        let (truth, mono, wall) = (self.clocks.truth, now.mono.as_millis(), now.wall);
        let line = format!("{:>5} {truth:>10} {mono:>10} {wall} {}", self.step, text(self));
        match &mut self.log {
            Log::None => {}
            Log::Kept(lines) => lines.push(line),
            Log::Printed => println!("{line}"),
        }
    }
}
