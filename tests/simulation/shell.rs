//! The shell of the simulation: one event in, actions out, and the end of the process in between.

use std::collections::BTreeSet;

use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, InstanceActivity, LeaseOrigin, LeaseRecord, OperatorEvent, ProviderCall, SaveId, ScheduleAction,
    ScheduleEvent, ScheduledCallId, ServicePause,
};
use deputy_core::time::MonotonicTime;
use deputy_core::{CallFailure, InstanceName, Span};

use crate::checks::Checks;
use crate::generate::{self, millis, once_in};
use crate::history::{Disk, History, Process, Weather};
use crate::pace::{self, Caller};

/// What ends later.
pub(crate) enum Pending {
    Call(ScheduledCallId, CallOutcome),
    Write(Box<Write>),
    /// The save of a pause; whether it succeeds.
    Pause(SaveId, bool),
}

pub(crate) struct Write {
    ticket: SaveId,
    name: InstanceName,
    /// `None` deletes it.
    record: Option<LeaseRecord>,
    succeeds: bool,
}

impl History {
    /// One event, and all that follows from it at once.
    pub(crate) fn tell(&mut self, event: ScheduleEvent) {
        if self.process == Process::Down {
            return;
        }
        self.step += 1;
        self.counts.events += 1;
        self.note(|_| match &event {
            ScheduleEvent::Configured(configuration) => format!("> Configured {}", generate::shown(configuration)),
            event => format!("> {event:?}"),
        });
        let idle = matches!(event, ScheduleEvent::TimerFired);
        self.before(&event);
        let now = self.clocks.now();
        self.jumps.look(now, &self.published);
        let entered = matches!(event, ScheduleEvent::Configured(_));
        self.schedule.handle(now, event);
        if entered {
            self.places.configured(&self.configuration, self.schedule.instances(now).map(|view| &view.plan.upstream));
        }
        let mut actions = 0;
        while let Some(action) = self.schedule.next_action() {
            if self.weather == Weather::Faults && once_in(&mut self.dice, 3000) {
                self.counts.crashes_between_actions += 1;
                return self.crash();
            }
            self.act(action);
            actions += 1;
        }
        self.jumps.handled();
        if entered {
            self.look_at_calls();
        }
        self.checks.handled();
        let Checks { leases, removal, .. } = &mut self.checks;
        removal.handled(|name| leases.held(name));
        let (schedule, checks) = (&self.schedule, &mut self.checks);
        self.changes.handled(
            schedule.instances(now),
            |name| checks.may_rest(name, self.process, now.mono),
            self.jumps.is_seen(),
            now,
        );
        let wake = self.schedule.wake_at(now);
        assert!(wake.is_none_or(|at| at > now.mono), "it wants to be woken in the past: {wake:?}");
        if idle {
            self.checks.loops.woke(now.mono, actions, self.schedule.instances(now).count());
        }
        let held = |name: &InstanceName| self.checks.leases.held(name);
        self.waits.look(self.schedule.instances(now), held, &self.configuration, now, &mut self.counts);
        let waits = &self.waits;
        let at_risk = |caller: &Caller| waits.first_at_risk(caller);
        self.paces.look(self.schedule.instances(now), &self.configuration, at_risk, now.mono, &mut self.counts);
        self.look_at_rest();
        let views = self.schedule.instances(now);
        let surroundings = (self.process, now);
        self.checks.views(views, &self.published, surroundings, &mut self.jumps, &mut self.counts);
    }

    fn before(&mut self, event: &ScheduleEvent) {
        let now = self.clocks.now();
        if self.look_at.is_some_and(|at| at <= self.clocks.truth) {
            self.look_at = None;
        }
        self.checks.reconfigured = matches!(event, ScheduleEvent::Configured(_));
        match event {
            ScheduleEvent::Configured(configuration) => {
                self.budgets.configure(configuration, self.clocks.truth);
                self.paces.configure(configuration, now.mono);
                self.waits.restart();
                let views = || self.schedule.instances(now);
                self.places.known = views().map(|view| view.name.clone()).collect();
                self.changes.configured(configuration, self.checks.before(), views(), now);
                let Checks { leases, removal, .. } = &mut self.checks;
                let (leases, store) = (&*leases, &self.store);
                let known = &self.places.known;
                // The disk may still have what an instance that is there has let go.
                let stored = |name: &InstanceName| store.get(name).filter(|_| !known.contains(name));
                let held = |name: &InstanceName| leases.record(name).or_else(|| stored(name));
                let writes = self.pending.values().filter_map(|pending| match pending {
                    Pending::Write(write) => Some(&write.name),
                    Pending::Call(..) | Pending::Pause(..) => None,
                });
                let writing = writes.cloned().collect();
                removal.configured(configuration, &self.places.known, held, &writing, now);
                self.checks.configured(configuration, now.mono, |name| self.schedule.instance(name, now).is_some());
            }
            ScheduleEvent::FileObserved(name, file) => {
                self.checks.file_observed(name, file.clone());
            }
            ScheduleEvent::LeaseRequested(name) | ScheduleEvent::Renew(name) | ScheduleEvent::Used(name, _) => {
                self.checks.excuse(name);
                if self.schedule.instance(name, now).is_some() {
                    self.checks.asked(event, now.mono);
                }
            }
            ScheduleEvent::Revoke(name) if self.schedule.instance(name, now).is_some() => {
                let serial = self.serial();
                self.checks.revoked(name, serial);
                let own = self.running.iter().filter(|(_, (other, _))| other == name);
                self.unwanted.extend(own.map(|(call, _)| *call));
            }
            ScheduleEvent::Restored(name, record) if self.schedule.instance(name, now).is_none() => {
                self.checks.leases.restored(name, record);
            }
            ScheduleEvent::Finished(call, outcome) => {
                let detached = self.detached.remove(call);
                let unwanted = self.unwanted.remove(call);
                self.places.ended(*call);
                if let (Some((name, work)), Some((began, made, caller))) =
                    (self.running.remove(call), self.began.remove(call))
                {
                    self.paced(&name, &work, outcome, (began, now.mono), &caller);
                    self.checks.came(&name, outcome, (made, unwanted, detached), now, &self.configuration);
                    self.counts.fruitless += u64::from(matches!(outcome, CallOutcome::NotRequired));
                    if !detached {
                        self.changes.ended(&name);
                        self.checks.finished(&name, &work, outcome, (began, now), &self.configuration);
                    }
                }
            }
            _ => {}
        }
    }

    fn act(&mut self, action: ScheduleAction) {
        self.note(|_| format!("    {action:?}"));
        let now = self.clocks.now();
        match action {
            ScheduleAction::Call(call, name, work) => self.call(call, name, work),
            ScheduleAction::Cancel(call) => {
                let cancelled = self.running.remove(&call);
                let Some((name, work)) = cancelled else { panic!("a call is cancelled that is not under way") };
                if !matches!(work, ProviderCall::Revoke(_)) {
                    self.changes.gave_up(&name);
                }
                self.pending.retain(|_, pending| !matches!(pending, Pending::Call(other, _) if *other == call));
                self.places.ended(call);
                self.counts.cancelled += 1;
            }
            ScheduleAction::Detach(call) => {
                let (name, _) = &self.running[&call];
                let mut others = self.detached.iter().filter_map(|other| self.running.get(other));
                assert!(others.all(|(other, _)| other != name), "{name} gives up two calls at once");
                self.changes.gave_up(name);
                self.detached.insert(call);
                self.counts.detached += 1;
            }
            ScheduleAction::Forget(ticket, name) => {
                let is_there = self.schedule.instance(&name, now).is_some();
                self.saves.begins(&name, None, self.process == Process::Up, now);
                self.checks.removal.deleted(&name, is_there, self.store.get(&name), now);
                self.jumps.lost(&name);
                if !is_there {
                    self.checks.lost(&name); // whenever it is deleted: nothing of it is remembered
                    self.checks.leases.orphaned(&name);
                    self.orphans.insert(name.clone());
                }
                self.checks.forget(&name, self.process, now, &self.configuration);
                self.checks.removal.forgotten(&name);
                self.write(ticket, name, None);
            }
            ScheduleAction::Publish(name, lease) => {
                self.counts.published += 1;
                self.counts.from_files += u64::from(lease.origin == LeaseOrigin::File);
                self.checks.publish(&name, &lease, self.store.get(&name), now);
                self.checks.removal.published(&name, lease.revision);
                self.places.published(&name, &lease, self.checks.reconfigured);
                self.published.insert(name, lease);
            }
            ScheduleAction::Save(ticket, name, record) => {
                self.saves.begins(&name, Some(&record), self.process == Process::Up, now);
                self.places.saved(&record);
                let is_configured = self.configuration.plans.contains_key(&name);
                self.checks.removal.saved(&name, &record, is_configured, self.schedule.instance(&name, now).is_some());
                self.checks.save(&name, &record, self.store.get(&name), now.mono);
                self.checks.keeps(&name, &record, self.process, now, &self.configuration);
                self.write(ticket, name, Some(record));
            }
            ScheduleAction::SavePause(ticket, name, pause) => self.save_pause(ticket, name, pause),
            ScheduleAction::Notify(notice) => self.notified(&notice),
            ScheduleAction::Withdraw(name) => {
                let lease = self.published.remove(&name);
                let Some(lease) = lease else { panic!("{name} is withdrawn, and was not published") };
                self.checks.withdrawn(&name, &lease, self.process, now.mono, &self.configuration);
                self.counts.withdrawn += 1;
            }
        }
    }

    fn call(&mut self, call: ScheduledCallId, name: InstanceName, work: ProviderCall) {
        let now = self.clocks.now();
        let mut waited_for = self.running.iter().filter(|(call, _)| !self.detached.contains(call));
        assert!(waited_for.all(|(_, (other, _))| *other != name), "{name} is called twice at once");
        let most = self.configuration.calls.max(1);
        assert!(self.running.len() < most, "more than {most} calls at once");
        if !matches!(work, ProviderCall::Revoke(_)) {
            self.checks.pass_file(&name, self.instances[&name].file.as_ref());
        }
        let upstream =
            self.checks.called(&name, &work, self.store.get(&name), self.published.get(&name), self.process, now);
        let caller = pace::caller(self.checks.plan(&name));
        if !matches!(work, ProviderCall::Revoke(_)) {
            self.counts.requested_beyond_rate += u64::from(self.checks.rates.called(&name, now.mono));
        }
        self.budgets.call(&upstream, self.clocks.truth);
        // One whose lease ends at once is at risk without a wait.
        let ends =
            self.checks.leases.held(&name).filter(|lease| lease.is_valid(now.wall)).map(|lease| lease.valid_until);
        let ends = ends.is_some_and(|end| end.since(now.wall).as_millis() < 3);
        let at_risk = self.waits.called(&name, self.checks.plan(&name), &work, now.mono) || ends;
        self.counts.at_risk += u64::from(at_risk);
        self.counts.borrowed += u64::from(self.paces.called(&name, &caller, at_risk, now.mono));
        self.counts.passed += std::mem::take(&mut self.waits.passed);
        self.places.call(call, &name, &upstream, at_risk, &self.configuration);
        self.began.insert(call, (now.mono, self.checks.plan(&name).fingerprint, caller));
        let serial = self.serial();
        let right = self.clocks.right();
        let (after, outcome) = self.instances[&name].answer(&mut self.dice, &work, right, serial);
        match (&outcome, &work) {
            (CallOutcome::Failed(..), _) => self.counts.failed += 1,
            (CallOutcome::Obtained(_), ProviderCall::Renew(_)) => self.counts.renewed += 1,
            (CallOutcome::Revoked, _) => self.counts.revoked += 1,
            _ => self.counts.obtained += 1,
        }
        self.pending.insert((self.clocks.truth + after, serial), Pending::Call(call, outcome));
        self.running.insert(call, (name, work));
    }

    /// What the end of a call says about the pace of its account. What the service of a former configuration says of a
    /// revocation is not about the one that is called now.
    fn paced(
        &mut self,
        name: &InstanceName,
        work: &ProviderCall,
        outcome: &CallOutcome,
        times: (MonotonicTime, MonotonicTime),
        caller: &Caller,
    ) {
        let plan = self.checks.plan(name);
        if matches!(work, ProviderCall::Revoke(lease) if lease.fingerprint != plan.fingerprint) {
            return;
        }
        let is_there = self.schedule.instance(name, self.clocks.now()).is_some();
        let most = if is_there { plan.policy.retry.most } else { Span::millis(0) };
        self.paces.ended(caller, outcome, times, most, &self.configuration);
    }

    fn notified(&mut self, notice: &OperatorEvent) {
        match notice {
            OperatorEvent::Failed(name, failure, wait) => {
                self.counts.fruitless += 1;
                let now = self.clocks.now();
                self.checks.failed(name, (&failure.failure, *wait), now, &mut self.counts);
                self.throttled(name, &failure.failure);
            }
            OperatorEvent::RevokeFailed(name, revision, failure, wait) => {
                self.checks.leases.revocation_failed(name, *revision, *wait, self.clocks.now());
                let record = self.store.get(name).expect("it is saved that it is to be revoked");
                let lease =
                    record.retired.iter().map(|retired| &retired.lease).find(|lease| lease.revision == *revision);
                let fingerprint = lease.expect("it is saved that it is to be revoked").fingerprint;
                // What a former configuration's service says is not about the one that is called now.
                if self.checks.plan(name).fingerprint == fingerprint {
                    self.throttled(name, &failure.failure);
                }
            }
            OperatorEvent::SaveFailed(name, _, wait) => {
                self.counts.save_failures += 1;
                self.saves.failed(name, *wait, self.clocks.now());
            }
            OperatorEvent::Orphaned(name, until) => {
                self.counts.orphaned += 1;
                self.checks.removal.orphaned(name, *until, self.store.get(name), self.clocks.now());
            }
            OperatorEvent::Expired(name, _) => {
                self.counts.expired += 1;
                self.checks.expired(name);
            }
            OperatorEvent::ExpiryAssumed(..) => self.counts.assumed += 1,
            OperatorEvent::PauseSaveFailed(..) => {}
            OperatorEvent::PublishedUnsaved(name, revision) => {
                self.saves.published(name, *revision, self.published.get(name), self.clocks.now());
                self.counts.unsaved += 1;
                self.checks.unsaved.insert(name.clone());
            }
            OperatorEvent::ClockJumped(by) => {
                self.counts.jumps_reported += 1;
                self.jumps.reported(*by);
                self.waits.restart();
            }
            OperatorEvent::RevokeGivenUp(name, revision, why) => self.checks.leases.given_up(name, *revision, *why),
        }
    }

    /// There is another configuration: calls that it makes useless are given up.
    fn look_at_calls(&self) {
        let detached: BTreeSet<_> = self.detached.iter().filter_map(|call| Some(&self.running.get(call)?.0)).collect();
        for (call, (name, work)) in self.running.iter().filter(|(_, (name, _))| !detached.contains(name)) {
            if matches!(work, ProviderCall::Revoke(_)) {
                continue;
            }
            match self.configuration.plans.get(name) {
                None => self.changes.goes_on_removed(name, work),
                Some(plan) if plan.fingerprint != self.began[call].1 => self.changes.goes_on(name),
                Some(_) => {}
            }
        }
    }

    /// Nothing that is possible is left undone.
    fn look_at_rest(&self) {
        if self.process != Process::Up {
            return;
        }
        let now = self.clocks.now();
        let is_written = |name: &InstanceName| {
            self.pending.values().any(|pending| matches!(pending, Pending::Write(write) if write.name == *name))
        };
        for view in self.schedule.instances(now) {
            let (held, given) = (self.checks.leases.held(view.name), self.published.get(view.name));
            let at_risk = self.waits.is_at_risk(view.name, now.mono);
            self.places.look(&view, at_risk, &self.configuration);
            if self.configuration.plans.contains_key(view.name) {
                self.saves.look(&view, held, given, is_written, now);
                self.checks.is_given_out(&view, held, given, is_written, now);
                self.checks.file_is_held(&view, given, now);
            } else if view.activity == InstanceActivity::Leaving && !is_written(view.name) {
                let is_kept = held.is_none_or(|lease| !lease.is_valid(now.wall))
                    || self.checks.removal.keeps(view.name, view.plan, now);
                assert!(is_kept, "{} was removed long ago, and its lease is kept", view.name);
            }
        }
    }

    fn throttled(&mut self, name: &InstanceName, failure: &CallFailure) {
        if let (FailureKind::Throttled, Some(after)) = (failure.kind, failure.retry_after) {
            self.counts.throttled += 1;
            let plan = self.checks.plan(name);
            let pause = after.min(plan.policy.retry.most);
            self.waits.throttled(name, pause, self.clocks.now().mono, &self.configuration);
        }
    }

    /// What is written of one instance ends in the order in which it was begun.
    fn write(&mut self, ticket: SaveId, name: InstanceName, record: Option<LeaseRecord>) {
        let (slowest, succeeds) = match self.disk {
            Disk::Good => (20, true),
            Disk::Slow => (20_000, !once_in(&mut self.dice, 10)),
            Disk::Failing => (2000, once_in(&mut self.dice, 10)),
            Disk::Full => (20, false),
        };
        let own = self.pending.iter().filter(|(_, pending)| matches!(pending, Pending::Write(it) if it.name == name));
        let last = own.map(|((at, _), _)| *at).max().unwrap_or_default();
        let at = last.max(self.clocks.truth + millis(&mut self.dice, 1, slowest) - 1);
        let serial = self.serial();
        self.pending.insert((at, serial), Pending::Write(Box::new(Write { ticket, name, record, succeeds })));
    }

    fn save_pause(&mut self, ticket: SaveId, name: InstanceName, pause: Option<ServicePause>) {
        let succeeds = self.disk != Disk::Full;
        if succeeds {
            match pause {
                Some(pause) => self.pauses.insert(name, pause),
                None => self.pauses.remove(&name),
            };
        }
        let serial = self.serial();
        self.pending.insert((self.clocks.truth, serial), Pending::Pause(ticket, succeeds));
    }

    pub(crate) fn ends(&mut self, pending: Pending) {
        match pending {
            Pending::Pause(ticket, true) => self.tell(ScheduleEvent::Saved(ticket)),
            Pending::Pause(ticket, false) => self.tell(ScheduleEvent::SaveFailed(ticket, "no".to_owned())),
            Pending::Call(call, outcome) => self.tell(ScheduleEvent::Finished(call, outcome)),
            Pending::Write(write) => {
                let write = *write;
                // Some of what is said to have failed is on the disk nevertheless.
                let failed = !write.succeeds;
                if !failed {
                    self.saves.succeeded(&write.name);
                }
                if !failed || once_in(&mut self.dice, 8) {
                    self.put(&write.name, write.record);
                }
                self.tell(match failed {
                    true => ScheduleEvent::SaveFailed(write.ticket, "no".to_owned()),
                    false => ScheduleEvent::Saved(write.ticket),
                });
            }
        }
    }

    fn put(&mut self, name: &InstanceName, record: Option<LeaseRecord>) {
        self.orphans.remove(name);
        if let Some(record) = record {
            self.store.insert(name.clone(), LeaseRecord { pause: None, ..record });
        } else {
            self.store.remove(name);
            self.pauses.remove(name);
            self.checks.lost(name);
            self.counts.forgotten += 1;
        }
    }

    /// The process ends here. Of what was being written, some is on the disk.
    pub(crate) fn crash(&mut self) {
        self.note(|_| "the process ends".to_owned());
        self.counts.crashes += 1;
        let mut cut: Vec<InstanceName> = Vec::new();
        for pending in std::mem::take(&mut self.pending).into_values() {
            if let Pending::Write(write) = pending
                && !cut.contains(&write.name)
            {
                if self.dice.bool() {
                    self.put(&write.name, write.record);
                } else {
                    cut.push(write.name);
                }
            }
        }
        self.running.clear();
        self.began.clear();
        self.unwanted.clear();
        self.detached.clear();
        self.published.clear();
        self.orphans.clear();
        self.checks.crashed(&self.store);
        self.waits = Default::default();
        self.paces = Default::default();
        self.jumps = Default::default();
        self.places = Default::default();
        self.saves = Default::default();
        self.changes = Default::default();
        self.process = Process::Down;
    }

    /// It stopped by itself: nothing is under way, and nothing that others have is not saved.
    pub(crate) fn stopped(&mut self, deadline: u64) {
        assert!(self.clocks.truth <= deadline, "it stopped late");
        assert!(self.running.is_empty(), "it stopped, and calls are under way");
        for (name, lease) in &self.published {
            self.checks.stopped(name, lease);
            let saved = self.store.get(name).map(|record| record.revision);
            assert!(saved.is_some_and(|saved| saved >= lease.revision), "{name} is not saved at the end");
        }
        self.counts.stops += 1;
        self.crash();
    }
}
