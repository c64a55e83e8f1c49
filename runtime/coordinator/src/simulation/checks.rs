//! What must hold, whatever happens.
//!
//! - A worker never sees a revision go back (`workers`), and no coordinator serves one after a later one (`follower`).
//! - A published lease is in the store, also what a follower serves was, and what is in the store was written by the holder of the lock.
//! - At most one call of an instance counts: each revision has one payload, and each leadership obtains at most one payload of
//!   an instance that is never saved. A holder of the lock obtains nothing that is not due.
//! - No instance without a lease is called before the time that its service asked for, as it is saved, whichever coordinator leads.
//! - What a process leaves that lost the lock is revoked if it is not saved, in any case when the faults are over; and what is
//!   saved is not.
//! - No budget is spent twice: all calls of all coordinators fit the budget of one. A call begins only under the lock.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::schedule::{Budget, Lease, ProviderCall, ScheduleConfig, ServicePause, UpstreamName};
use deputy_core::{InstanceName, Span};
use deputy_etcd::message::{KeyValue, Requested, TxnRequest};
use deputy_store::StoreKey;

use super::clock::right;
use super::etcd::{EtcdAnswer, EtcdCall};
use super::machine::Process;
use super::service::{CallInFlight, payload};
use super::world::{FAULTS, SimulatedWorld};
use crate::replica::UNSAVED;
use crate::{lease_record, pause_record};

/// For how long after a request of an operator, or a jump of a clock, calls need no other reason.
const EXCUSED: u64 = 30_000;

/// How far clocks may be apart, with what they drift.
const CLOCKS: Span = Span::secs(1);

/// Until when what was left is revoked, after the faults or after it was left.
const SETTLED: u64 = 12_000;

pub(super) struct Checks {
    /// The payload of each revision that was ever saved.
    stored: BTreeMap<(InstanceName, u64), u64>,
    /// What the store holds, and the greatest revision of the record.
    current: BTreeMap<InstanceName, (u64, Option<u64>)>,
    obtained: BTreeMap<u64, Obtained>,
    /// Payloads that a leadership obtained and did not save.
    unsaved: BTreeMap<(u64, InstanceName), BTreeSet<u64>>,
    excused: BTreeMap<InstanceName, u64>,
    /// The pauses that the store holds.
    pauses: BTreeMap<InstanceName, ServicePause>,
    /// Payloads that were left to be revoked unless they are saved, with the time at which the store had them.
    left: BTreeMap<u64, (InstanceName, u64)>,
    revoked: BTreeSet<u64>,
    budgets: BTreeMap<UpstreamName, Spent>,
    /// Which process took the lock at which revision.
    owners: BTreeMap<i64, (usize, u64)>,
}

/// A payload that the service issued.
struct Obtained {
    /// In which leadership.
    fencing: u64,
    /// When the call began.
    began: u64,
    at: u64,
}

struct Spent {
    budget: Budget,
    left: f64,
    at: u64,
}

impl Checks {
    pub(super) fn new(configuration: &ScheduleConfig) -> Self {
        let budgets = configuration.budgets.iter().map(|(name, budget)| {
            // One more, for times between milliseconds.
            (name.clone(), Spent { budget: *budget, left: f64::from(budget.burst) + 1.0, at: 0 })
        });
        Self {
            stored: BTreeMap::new(),
            current: BTreeMap::new(),
            obtained: BTreeMap::new(),
            unsaved: BTreeMap::new(),
            excused: BTreeMap::new(),
            pauses: BTreeMap::new(),
            left: BTreeMap::new(),
            revoked: BTreeSet::new(),
            budgets: budgets.collect(),
            owners: BTreeMap::new(),
        }
    }

    pub(super) fn excuse(&mut self, name: &InstanceName, truth: u64) {
        self.excused.insert(name.clone(), truth + EXCUSED);
        self.unsaved.retain(|(_, other), _| other != name);
    }

    /// The service issues a payload. Returns its number.
    pub(super) fn obtained(&mut self, call: &CallInFlight, truth: u64) -> u64 {
        let CallInFlight { name, fencing, began, .. } = call;
        let number = self.obtained.len() as u64 + 1;
        self.obtained.insert(number, Obtained { fencing: *fencing, began: *began, at: truth });
        if self.excused.get(name).is_none_or(|until| *until <= truth) {
            let unsaved = self.unsaved.entry((*fencing, name.clone())).or_default();
            assert!(unsaved.is_empty(), "one leadership obtains {name} again, and the call before does not count");
            unsaved.insert(number);
        }
        number
    }

    /// A token is revoked.
    pub(super) fn revoked(&mut self, name: &InstanceName, number: u64) {
        self.revoked.insert(number);
        let current = self.current.get(name).and_then(|(_, payload)| *payload);
        assert_ne!(current, Some(number), "the lease of {name} in the store is revoked");
    }

    pub(super) fn publish(&self, name: &InstanceName, lease: &Lease) {
        let stored = self.stored.get(&(name.clone(), lease.revision.0));
        assert_eq!(stored, Some(&payload(lease)), "{name} {} is published and not in the store", lease.revision);
        let current = self.current.get(name).and_then(|(_, payload)| *payload);
        assert_eq!(current, Some(payload(lease)), "{name} {} is published and the store has another", lease.revision);
    }

    /// A process gives it to workers: it is in the store, or was.
    pub(super) fn served(&self, name: &InstanceName, lease: &Lease) {
        let stored = self.stored.get(&(name.clone(), lease.revision.0));
        assert_eq!(stored, Some(&payload(lease)), "{name} {} is served and was never in the store", lease.revision);
    }

    fn saved(&mut self, name: &InstanceName, revision: u64, lease: Option<&Lease>) {
        let before = self.current.get(name).map_or(0, |(revision, _)| *revision);
        assert!(revision >= before, "the record of {name} goes back from {before} to {revision}");
        self.current.insert(name.clone(), (revision, lease.map(payload)));
        let Some(lease) = lease else { return };
        let number = payload(lease);
        let other = *self.stored.entry((name.clone(), lease.revision.0)).or_insert(number);
        assert_eq!(other, number, "{name} {} is saved twice with different payloads", lease.revision);
        let fencing = self.obtained[&number].fencing;
        if let Some(unsaved) = self.unsaved.get_mut(&(fencing, name.clone())) {
            unsaved.remove(&number);
        }
    }

    fn spend(&mut self, upstream: &UpstreamName, truth: u64) {
        let spent = self.budgets.get_mut(upstream).unwrap();
        // Clocks run up to a hundredth too fast, and may be set to that.
        let rate = f64::from(spent.budget.per_minute) / 60_000.0 * 1.03;
        let brought = (truth - spent.at) as f64 * rate;
        spent.left = (spent.left + brought).min(f64::from(spent.budget.burst) + 1.0) - 1.0;
        spent.at = truth;
        assert!(spent.left >= 0.0, "the budget of {upstream} is spent twice");
    }
}

impl SimulatedWorld {
    /// Which process holds the lock in etcd.
    pub(super) fn lock_holder(&mut self) -> Option<(usize, u64)> {
        let created = self.etcd.value(&self.lock_key, self.truth)?.create_revision;
        self.checks.owners.get(&created).copied()
    }

    /// A call begins, decided by the loop of a process.
    pub(super) fn check_call(&mut self, machine: usize, name: &InstanceName, work: &ProviderCall) {
        let caller = (machine, self.machines[machine].number);
        assert_eq!(self.lock_holder(), Some(caller), "a call of {name} begins without the lock");
        let upstream = &self.configuration.plans[name].upstream;
        self.checks.spend(upstream, self.truth);
        let is_excused = self.checks.excused.get(name).is_some_and(|until| *until > self.truth);
        if matches!(work, ProviderCall::Revoke(_)) || is_excused {
            return;
        }
        self.check_pause(machine, name);
        if let Some(number) = self.checks.current.get(name).and_then(|(_, payload)| *payload) {
            let age = self.truth - self.checks.obtained[&number].began;
            assert!(age * 10 >= self.lives[name] * 6, "{name} is obtained again after {age} ms");
        }
    }

    /// One whose lease was valid when the service asked has an attempt before the end of that.
    fn check_pause(&self, machine: usize, name: &InstanceName) {
        let Some(pause) = self.checks.pauses.get(name) else { return };
        let current = self.checks.current.get(name).and_then(|(_, payload)| *payload);
        let end = current.map_or(0, |number| self.checks.obtained[&number].at + self.lives[name]);
        if right(end).plus(CLOCKS) >= pause.asked_at {
            return;
        }
        let now = self.machines[machine].clock.now(self.truth).wall;
        assert!(
            now.plus(CLOCKS) >= pause.until,
            "{name} is called at {now}, and its service asked at {} for {}",
            pause.asked_at,
            pause.until
        );
    }

    /// A change was carried out, or not, while this process held the lock.
    pub(super) fn check_change(
        &mut self,
        holder: Option<(usize, u64)>,
        from: (usize, u64),
        call: &EtcdCall,
        answer: &EtcdAnswer,
    ) {
        let (EtcdCall::Change(request), EtcdAnswer::Changed(changed)) = (call, answer) else { return };
        if request.compare.iter().all(|compare| compare.key == self.lock_key) {
            if changed.succeeded {
                self.checks.owners.insert(changed.revision(), from);
            }
            return;
        }
        let holds = holder == Some(from);
        if !changed.succeeded {
            self.counts.conflicts += u64::from(holds);
            self.counts.refused_writes += u64::from(!holds);
            return;
        }
        assert!(holds || self.is_left(request), "a coordinator writes that does not hold the lock");
        self.note_written(request);
    }

    /// Whether it is about what processes leave that lost the lock.
    fn is_left(&self, request: &TxnRequest) -> bool {
        let names = request.success.iter().map(|operation| match operation.requested.as_ref().unwrap() {
            Requested::RequestPut(put) => &put.key,
            Requested::RequestDeleteRange(range) => &range.key,
            Requested::RequestRange(range) => &range.key,
        });
        let mut keys = names.map(|name| self.requests.key(name));
        keys.all(|key| key.is_some_and(|key| *key.namespace() == UNSAVED))
    }

    fn note_written(&mut self, request: &TxnRequest) {
        for operation in &request.success {
            match operation.requested.as_ref().unwrap() {
                Requested::RequestPut(put) => {
                    let key = self.requests.key(&put.key).unwrap();
                    let value = KeyValue { value: put.value.clone(), ..KeyValue::default() };
                    let value = self.requests.opened(&key, value).unwrap().value;
                    self.note_value(&key, value.expose());
                }
                Requested::RequestDeleteRange(range) => {
                    let key = self.requests.key(&range.key).unwrap();
                    if key.namespace().as_str() == "pause" {
                        self.checks.pauses.remove(&key.name().parse::<InstanceName>().unwrap());
                    }
                }
                Requested::RequestRange(_) => {}
            }
        }
    }

    fn note_value(&mut self, key: &StoreKey, value: &[u8]) {
        match key.namespace().as_str() {
            "lease" => {
                let record = lease_record::decode(value).unwrap().record;
                let name = key.name().parse().unwrap();
                self.note(|_| format!("etcd has {name} {}", record.revision));
                self.checks.saved(&name, record.revision.0, record.lease.as_ref());
            }
            "pause" => {
                let pause = pause_record::decode(value).unwrap();
                self.note(|_| format!("etcd has {key} until {}", pause.until));
                self.checks.pauses.insert(key.name().parse().unwrap(), pause);
            }
            "unsaved" => {
                let number = payload(&lease_record::decode(value).unwrap().record.lease.unwrap());
                let name = key.name().split('-').next().unwrap().parse().unwrap();
                self.note(|_| format!("etcd has {key}: {number}"));
                self.counts.left += 1;
                self.checks.left.entry(number).or_insert((name, self.truth));
            }
            _ => {}
        }
    }

    /// What was left in vain, long ago, and is still good.
    fn check_left(&mut self) {
        for (number, (name, at)) in &self.checks.left {
            let is_saved = self.checks.stored.iter().any(|((other, _), stored)| other == name && stored == number);
            let end = self.checks.obtained[number].at + self.lives[name];
            let is_revoked = self.checks.revoked.contains(number);
            self.counts.left_revoked += u64::from(is_revoked);
            assert!(
                is_saved || is_revoked || end < FAULTS.max(*at) + SETTLED,
                "{number} of {name} was left at {at}, and is never revoked"
            );
        }
    }

    /// After a time without faults there is one leader, and every worker has a valid lease of every instance.
    pub(super) fn check_calm(&mut self) {
        let leaders: Vec<usize> = (0..self.machines.len())
            .filter(|machine| matches!(self.machines[*machine].process, Process::Leading(_)))
            .collect();
        self.check_left();
        let [leader] = leaders[..] else { panic!("after the faults, {leaders:?} lead") };
        let leader = (leader, self.machines[leader].number);
        assert_eq!(self.lock_holder(), Some(leader), "the leader has no lock");
        for name in self.configuration.plans.keys() {
            for (number, worker) in self.workers.iter().enumerate() {
                let held = worker.held.get(name).unwrap_or_else(|| panic!("worker {number} has no lease of {name}"));
                let end = self.checks.obtained[&held.1].at + self.lives[name];
                assert!(end > self.truth, "worker {number} has an expired lease of {name}");
            }
        }
    }
}
