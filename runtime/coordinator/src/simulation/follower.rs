//! A process that follows reads the leases of the one that leads, all of them or one that changed, and serves them.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_core::InstanceName;
use deputy_core::time::Now;
use deputy_store::{StoreError, StoreKey};

use super::clock::ReadClock;
use super::machine::{MachineEvent, Process, Task, poll};
use super::store::SimulatedStore;
use super::world::{SimulatedWorld, millis, once_in};
use crate::lease_board::{BoardCursor, LeaseBoard};
use crate::lease_store::LEASE;
use crate::replica::LeaseFollower;

/// The longest time until a change of another coordinator is heard of.
const NOTICE: u64 = 1500;

/// What a process serves, and what reads it from the state while another one leads.
pub(super) struct ServedLeases {
    pub(super) board: Arc<LeaseBoard>,
    cursor: BoardCursor,
    follower: Arc<LeaseFollower>,
    clock: Arc<ReadClock>,
    read: Option<Task<Result<(), StoreError>>>,
    /// The greatest revision of each instance that it served.
    greatest: BTreeMap<InstanceName, u64>,
}

impl ServedLeases {
    pub(super) fn new(store: &Arc<SimulatedStore>, now: Now) -> Self {
        let (board, clock) = (Arc::new(LeaseBoard::unread()), Arc::new(ReadClock::new(now)));
        let follower = LeaseFollower::new(Arc::clone(store) as _, Arc::clone(&board), Arc::clone(&clock) as _);
        Self {
            board,
            cursor: BoardCursor::default(),
            follower: Arc::new(follower),
            clock,
            read: None,
            greatest: BTreeMap::new(),
        }
    }

    /// The process leads from now on, or ends.
    pub(super) fn stop_reading(&mut self) {
        self.read = None;
    }
}

impl SimulatedWorld {
    /// A follower hears of a change, or looks at its clock.
    pub(super) fn begin_to_read(&mut self, machine: usize) {
        if !matches!(self.machines[machine].process, Process::Following(_)) {
            return;
        }
        let delay = millis(&mut self.dice, 10, NOTICE);
        self.later(machine, delay, MachineEvent::Read);
        let names: Vec<InstanceName> = self.configuration.plans.keys().cloned().collect();
        let changed = names[self.dice.usize(..names.len())].clone();
        let reads_all = once_in(&mut self.dice, 4);
        let now = self.machines[machine].clock.now(self.truth);
        let served = &mut self.machines[machine].served;
        served.clock.set(now);
        served.follower.withdraw_expired();
        let leases = served.board.all(&mut BoardCursor::default());
        assert!(leases.values().all(|lease| lease.is_valid(now.wall)), "{machine} serves an expired lease");
        if served.read.is_none() {
            let follower = Arc::clone(&served.follower);
            let one = Some(changed).filter(|_| served.board.is_read() && !reads_all);
            served.read = Some(Box::pin(read(follower, one)));
        }
        self.poll_read(machine);
    }

    /// Goes on with what a follower reads.
    pub(super) fn poll_read(&mut self, machine: usize) {
        let now = self.machines[machine].clock.now(self.truth);
        let served = &mut self.machines[machine].served;
        served.clock.set(now);
        if let Some(read) = &mut served.read
            && poll(read).is_some()
        {
            served.read = None;
        }
        self.send_outgoing(machine);
        self.push_changes(machine);
    }

    /// Gives what changed on the board of a process to its workers.
    pub(super) fn push_changes(&mut self, machine: usize) {
        let is_following = matches!(self.machines[machine].process, Process::Following(_));
        let now = self.machines[machine].clock.now(self.truth).wall;
        let served = &mut self.machines[machine].served;
        for (name, lease) in served.board.changed_since(&mut served.cursor) {
            if let Some(lease) = &lease {
                self.checks.served(&name, lease);
                let greatest = self.machines[machine].served.greatest.entry(name.clone()).or_default();
                let revision = lease.revision.0;
                assert!(revision >= *greatest, "{machine} serves {name} {revision} after {greatest}");
                *greatest = revision;
                assert!(!is_following || lease.is_valid(now), "{machine} serves {name} {revision}, which has expired");
                self.counts.followed += u64::from(is_following);
            }
            self.push(machine, &name, lease.as_ref());
        }
    }
}

/// Reads the lease of one instance, or of all.
async fn read(follower: Arc<LeaseFollower>, one: Option<InstanceName>) -> Result<(), StoreError> {
    match one {
        Some(name) => {
            follower.read(&StoreKey::of_instance(&LEASE, &name)).await?;
            follower.read_valid_again().await
        }
        None => follower.read_all().await,
    }
}
