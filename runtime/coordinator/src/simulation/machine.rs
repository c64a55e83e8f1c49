//! A machine with one coordinator on it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use deputy_core::InstanceName;
use deputy_core::schedule::{CallOutcome, Lease, ScheduleEvent, ScheduledCallId};
use deputy_store::{EtcdRequests, LockKeeper, StoreError, StoreLock, WriteId};
use fastrand::Rng;

use super::clock::MachineClock;
use super::etcd::EtcdAnswer;
use super::follower::ServedLeases;
use super::leader::LeadingProcess;
use super::network::{Ask, NetworkWeather};
use super::store::{EtcdMailbox, SimulatedStore};
use crate::lease_store::{LeaseStore, LeaseStoreError, RestoredLeases};
use crate::replica::LeaveError;

pub(super) type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(super) struct Machine {
    pub(super) clock: MachineClock,
    pub(super) network: NetworkWeather,
    /// Which process runs on it: events of an earlier one mean nothing.
    pub(super) number: u64,
    pub(super) process: Process,
    /// Until when nothing on it runs.
    pub(super) paused: Option<Pause>,
    /// What happened meanwhile, and when it was due by the clock for delays.
    pub(super) backlog: Vec<(u64, MachineEvent)>,
    pub(super) store: Arc<SimulatedStore>,
    pub(super) asks: BTreeMap<u64, Ask>,
    pub(super) last_ask: u64,
    /// When a lease was asked for last, by the time since its start.
    pub(super) asked_at: std::time::Duration,
    pub(super) keeper: Option<Keeper>,
    /// What its process obtained before it lost the lock, and leaves to the one that leads.
    pub(super) leaving: Vec<LeavingLease>,
    /// What its workers are given.
    pub(super) served: ServedLeases,
}

#[derive(Clone, Copy)]
pub(super) struct Pause {
    pub(super) since: u64,
    /// The machine is suspended, and not only the process stopped.
    pub(super) is_suspended: bool,
}

pub(super) struct Keeper {
    pub(super) times: LockKeeper,
    pub(super) lease: i64,
}

/// A lease that may be unsaved, and the attempt to write it.
pub(super) struct LeavingLease {
    pub(super) name: InstanceName,
    pub(super) lease: Lease,
    pub(super) fencing: u64,
    pub(super) id: WriteId,
    pub(super) write: Option<Task<Result<(), LeaveError>>>,
}

/// The lock with its lease, if it was free.
type TakenLock = Result<Option<(StoreLock, i64)>, StoreError>;

pub(super) enum Process {
    Down,
    /// It waits for the lock, and may be asking for it.
    Following(Option<Task<TakenLock>>),
    /// It has the lock, and reads what is saved.
    Opening(Arc<StoreLock>, Arc<LeaseStore>, Task<Result<RestoredLeases, LeaseStoreError>>),
    Leading(Box<LeadingProcess>),
    /// It leads no longer, and still serves workers.
    Ending,
}

pub(super) enum MachineEvent {
    /// etcd answered an attempt of a request, or did not.
    Answer(u64, u32, Option<EtcdAnswer>),
    Again(u64),
    KeepAlive,
    Poll,
    /// A follower reads leases.
    Read,
    Timer,
    Deadline,
    Exit,
    /// The task of a call begins.
    Send(ScheduledCallId),
    Ended(ScheduledCallId, CallOutcome),
    Tell(Box<ScheduleEvent>),
}

impl Machine {
    pub(super) fn new(requests: &Arc<EtcdRequests>, dice: &mut Rng) -> Self {
        let clock = MachineClock::new(dice.i64(-10_000..=10_000), dice.i64(-200..=200));
        let store = new_store(requests);
        Self {
            served: ServedLeases::new(&store, clock.now(0)),
            clock,
            network: NetworkWeather::Good,
            number: 0,
            process: Process::Down,
            paused: None,
            backlog: Vec::new(),
            store,
            asks: BTreeMap::new(),
            last_ask: 0,
            asked_at: std::time::Duration::ZERO,
            keeper: None,
            leaving: Vec::new(),
        }
    }

    /// Nothing is left of the process.
    pub(super) fn reset(&mut self, truth: u64) {
        self.number += 1;
        self.process = Process::Down;
        self.backlog.clear();
        self.store = new_store(&self.store.requests);
        self.served = ServedLeases::new(&self.store, self.clock.now(truth));
        self.asks.clear();
        self.keeper = None;
        self.leaving.clear();
    }

    /// Whether it accepts workers.
    pub(super) fn serves(&self) -> bool {
        match self.process {
            Process::Following(_) | Process::Opening(..) => self.served.board.is_read(),
            Process::Leading(_) | Process::Ending => true,
            Process::Down => false,
        }
    }

    /// Whether its lock may have ended, as [`StoreLock::is_lost`] decides.
    pub(super) fn is_lock_lost(&self, truth: u64) -> bool {
        self.keeper.as_ref().is_none_or(|keeper| keeper.times.end() <= self.clock.boot(truth))
    }
}

fn new_store(requests: &Arc<EtcdRequests>) -> Arc<SimulatedStore> {
    Arc::new(SimulatedStore { requests: Arc::clone(requests), mailbox: Arc::new(Mutex::new(EtcdMailbox::default())) })
}

pub(super) fn poll<T>(task: &mut Task<T>) -> Option<T> {
    match task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
