//! What goes wrong, and what people do.

use std::sync::Arc;

use deputy_core::failure::FailureKind;
use deputy_core::schedule::{CallOutcome, LeaseRecord, SaveId, ScheduleEvent, ScheduledCallId};
use deputy_core::{CallFailure, InstanceName};

use crate::generate::{self, millis, once_in};
use crate::history::{Disk, History, Process};
use crate::service::{self, Instance, Mood};

/// What is left of a lease, in milliseconds, for which the disk is full: every attempt to save is an event.
const LONGEST_WITHOUT_ROOM: u64 = 600_000;

impl History {
    /// An instance that is configured, or at times any other.
    fn random_instance(&mut self) -> InstanceName {
        let plans = &self.configuration.plans;
        let known = plans.keys().nth(self.dice.usize(..plans.len().max(1))).cloned();
        known.filter(|_| !once_in(&mut self.dice, 20)).unwrap_or_else(|| {
            let names = generate::names();
            names[self.dice.usize(..names.len())].clone()
        })
    }

    /// One thing that makes life hard.
    pub(crate) fn fault(&mut self) {
        let name = self.random_instance();
        match self.dice.u8(..100) {
            0..=2 => {
                if self.process != Process::Down {
                    self.crash();
                }
            }
            3..=5 => {
                if self.process == Process::Up {
                    self.process = Process::Stopping(self.clocks.truth + millis(&mut self.dice, 1000, 120_000));
                    self.tell(ScheduleEvent::Stop);
                }
            }
            6..=17 => {
                let before = self.configuration.clone();
                generate::change(&mut self.dice, &mut self.configuration);
                self.counts.reloads += 1;
                self.tell(ScheduleEvent::Configured(self.configuration.clone()));
                self.tell_users();
                self.tell_files(|name| !before.plans.contains_key(name));
            }
            18 => self.hurry(&name),
            19 => self.sway(),
            20..=23 => self.tell(ScheduleEvent::Renew(name)),
            24..=28 => self.tell(ScheduleEvent::Revoke(name)),
            29..=36 => self.tell(ScheduleEvent::LeaseRequested(name)),
            37..=45 => {
                let users = self.dice.u32(..3);
                self.instances.get_mut(&name).expect("all names are there").users = users;
                self.tell(ScheduleEvent::Used(name, users));
            }
            46..=55 => self.file_changes(&name),
            56..=61 => {
                let size = i64::try_from(millis(&mut self.dice, 10, 7_200_000)).expect("a short time");
                let by = if self.dice.bool() { size } else { -size };
                self.note(|_| format!("the clock is set by {by} ms"));
                self.clocks.step(by);
                self.jumped();
            }
            62..=65 => {
                let span = millis(&mut self.dice, 1000, 28_800_000);
                self.note(|_| format!("the machine sleeps for {span} ms"));
                self.clocks.sleep(span);
                self.jumped();
            }
            66..=69 => self.clocks.drift = self.dice.i64(-500..=500),
            70..=79 => {
                let mood = service::mood(&mut self.dice);
                let many = self.dice.bool();
                self.note(|_| {
                    format!("the service of {} is {mood:?} from now on", if many { "all" } else { name.as_str() })
                });
                for (other, instance) in &mut self.instances {
                    if many || *other == name {
                        instance.mood = mood.clone();
                    }
                }
            }
            80..=84 => {
                let fresh = Instance::new(&mut self.dice);
                let instance = self.instances.get_mut(&name).expect("all names are there");
                instance.life = fresh.life;
                instance.stated = fresh.stated;
                if once_in(&mut self.dice, 4) {
                    instance.stated =
                        if self.dice.bool() { service::StatedExpiry::Forever } else { service::StatedExpiry::Moment };
                }
            }
            85..=92 => {
                self.disk = [Disk::Good, Disk::Good, Disk::Slow, Disk::Failing][self.dice.usize(..4)];
                self.note(|history| format!("the disk is {:?} from now on", history.disk));
            }
            93..=95 => {
                // Messages from another time.
                self.tell(ScheduleEvent::Finished(
                    ScheduledCallId(u64::MAX),
                    CallOutcome::Failed(CallFailure::new(FailureKind::Broken, "")),
                ));
                self.tell(ScheduleEvent::Saved(SaveId(u64::MAX)));
                self.tell(ScheduleEvent::SaveFailed(SaveId(u64::MAX), String::new()));
                if self.configuration.plans.contains_key(&name) {
                    self.tell(ScheduleEvent::Restored(name, LeaseRecord::default()));
                }
            }
            96 => self.fill_disk(),
            _ => self.tell(ScheduleEvent::TimerFired),
        }
    }

    /// One instance changes again and again while it is called, is revoked, removed and comes back.
    fn hurry(&mut self, name: &InstanceName) {
        let running = self.running.values().nth(self.dice.usize(..self.running.len().max(1)));
        let name = running.map_or(name, |(name, _)| name).clone();
        let Some(mut plan) = self.configuration.plans.get(&name).cloned() else { return };
        for _ in 0..self.dice.usize(2..9) {
            match self.dice.u8(..8) {
                0 => self.tell(ScheduleEvent::Revoke(name.clone())),
                1 => self.tell(ScheduleEvent::Renew(name.clone())),
                2 => drop(self.configuration.plans.remove(&name)),
                3 => drop(self.configuration.plans.insert(name.clone(), plan.clone())),
                _ => {
                    (plan.fingerprint, plan.component) = generate::configured(&mut self.dice);
                    self.configuration.plans.insert(name.clone(), plan.clone());
                }
            }
            self.counts.reloads += 1;
            self.tell(ScheduleEvent::Configured(self.configuration.clone()));
            self.tell_users();
            self.tell_files(|other| *other == name);
            let gap = if self.dice.bool() { 0 } else { millis(&mut self.dice, 1, 3000) };
            self.go_on(self.clocks.truth + gap, self.step + 20);
        }
    }

    /// An instance that holds a lease goes to and fro between two configurations while it is called: again and again it is
    /// renewed, changes, is revoked, removed and comes back unchanged.
    fn sway(&mut self) {
        let holds = self.published.iter().filter_map(|(name, lease)| {
            let plan = self.configuration.plans.get(name)?;
            (plan.component.is_some() && plan.fingerprint == lease.fingerprint).then(|| (name.clone(), plan.clone()))
        });
        let mut holds: Vec<_> = holds.collect();
        if holds.is_empty() {
            return;
        }
        let (name, own) = holds.swap_remove(self.dice.usize(..holds.len()));
        let mut other = own.clone();
        (other.fingerprint, other.component) = generate::configured(&mut self.dice);
        for _ in 0..self.dice.usize(3..9) {
            match self.dice.u8(..8) {
                0 => self.tell(ScheduleEvent::Revoke(name.clone())),
                1..=4 => self.tell(ScheduleEvent::Renew(name.clone())),
                _ => {}
            }
            let plans = &mut self.configuration.plans;
            match (self.dice.u8(..5), plans.get(&name)) {
                (0, Some(_)) => drop(plans.remove(&name)),
                (_, Some(plan)) if plan.fingerprint == own.fingerprint => {
                    drop(plans.insert(name.clone(), other.clone()))
                }
                _ => drop(plans.insert(name.clone(), own.clone())),
            }
            self.counts.reloads += 1;
            self.tell(ScheduleEvent::Configured(self.configuration.clone()));
            self.tell_users();
            self.tell_files(|other| *other == name);
            let gap = if self.dice.bool() { 0 } else { millis(&mut self.dice, 1, 300) };
            self.go_on(self.clocks.truth + gap, self.step + 20);
        }
    }

    /// The disk is full while an instance replaces a lease that it is to revoke, and its service fails before there is room.
    fn fill_disk(&mut self) {
        let now = self.clocks.now();
        let ends = self.published.iter().filter_map(|(name, lease)| {
            let plan = self.configuration.plans.get(name)?;
            let revokes = plan.component.is_some_and(|component| component.revokes);
            let left = lease.valid_until.since(now.wall).as_millis();
            let is_replaced = revokes && plan.policy.revoke.replaced.is_some() && left <= LONGEST_WITHOUT_ROOM;
            is_replaced.then(|| (name.clone(), left))
        });
        let mut ends: Vec<_> = ends.collect();
        if ends.is_empty() {
            return;
        }
        let (name, left) = ends.swap_remove(self.dice.usize(..ends.len()));
        self.disk = Disk::Full;
        self.note(|_| "the disk is full from now on".to_owned());
        self.set_mood(&name, Mood::Good);
        self.tell(ScheduleEvent::Renew(name.clone()));
        self.go_on(self.clocks.truth + left / 20 * 19, self.step + 80);
        let mood = service::mood(&mut self.dice);
        self.set_mood(&name, mood);
        self.tell(ScheduleEvent::Renew(name));
        self.go_on(self.clocks.truth + left / 50, self.step + 20);
    }

    fn set_mood(&mut self, name: &InstanceName, mood: Mood) {
        self.note(|_| format!("the service of {name} is {mood:?} from now on"));
        self.instances.get_mut(name).expect("all names are there").mood = mood;
    }

    pub(crate) fn file_changes(&mut self, name: &InstanceName) {
        let serial = self.serial();
        let now = self.clocks.now().wall;
        let instance = self.instances.get_mut(name).expect("all names are there");
        match (self.dice.u8(..8), &mut instance.file) {
            (0 | 1, _) => {}
            // Another payload with the times of the one before.
            (2, Some(file)) => file.payload = Arc::new(service::bytes(serial)),
            _ => instance.file = service::file(&mut self.dice, now, serial),
        }
        let file = instance.file.clone();
        self.tell(ScheduleEvent::FileObserved(name.clone(), file));
    }
}
