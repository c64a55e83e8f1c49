//! Who is there, and what each has applied.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use deputy_core::{GroupName, InstanceName, LeaseVersion, Timestamp};
use tokio::sync::oneshot;

use crate::name::WorkerId;
use crate::protocol_error::{ErrorCode, ProtocolError};
use crate::worker_state::DeliveryReport;
use deputy_core::time::Clock;

/// All workers that were there since the coordinator started.
pub struct Sessions {
    present: Mutex<BTreeMap<WorkerId, Arc<WorkerSession>>>,
    connected: AtomicUsize,
    cuts: AtomicU64,
    clock: Arc<dyn Clock>,
    observer: Option<ReportObserver>,
}

/// Is told of each report that says something new. It is called in the worker's task: it must not wait.
pub type ReportObserver = Box<dyn Fn(&WorkerSession, &DeliveryReport) + Send + Sync>;

/// A worker that is there, or was.
pub struct WorkerSession {
    /// Which.
    pub worker: WorkerId,
    /// Of which group.
    pub group: GroupName,
    /// From where.
    pub address: SocketAddr,
    /// When it came.
    pub since: Timestamp,
    seen: AtomicU64,
    said: Mutex<Said>,
    cut: Mutex<Option<oneshot::Sender<Disconnect>>>,
}

/// Why a connection is ended.
#[derive(Debug)]
pub(super) enum Disconnect {
    /// The coordinator stops.
    Goodbye,
    /// The worker is no longer let in, or is here twice.
    Refused(ProtocolError),
}

#[derive(Default)]
struct Said {
    version: String,
    host: String,
    applied: BTreeMap<InstanceName, (LeaseVersion, Result<(), String>)>,
    left: Option<Timestamp>,
}

/// The longest reason of a failure that is kept.
const REASON: usize = 500;

impl Sessions {
    /// Nobody yet.
    pub fn new(clock: Arc<dyn Clock>, observer: Option<ReportObserver>) -> Self {
        let (connected, cuts) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { present: Mutex::default(), connected, cuts, clock, observer }
    }

    /// Everybody, in the order of their ids.
    pub fn all(&self) -> Vec<Arc<WorkerSession>> {
        self.lock().values().cloned().collect()
    }

    /// How many are connected now.
    pub fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// Cuts a worker off, if it is there.
    pub fn cut(&self, worker: WorkerId, refusal: ProtocolError) {
        let present = self.lock();
        self.cuts.fetch_add(1, Ordering::Relaxed);
        if let Some(present) = present.get(&worker) {
            present.end(Disconnect::Refused(refusal));
        }
    }

    /// Strikes out somebody who is not to be listed any more.
    pub fn forget(&self, worker: WorkerId) {
        self.lock().remove(&worker);
    }

    /// Ends all connections.
    pub(super) fn dismiss(&self) {
        self.lock().values().for_each(|present| present.end(Disconnect::Goodbye));
    }

    /// How often somebody was cut off. Who was let in and is not here yet can't be: it has to ask again if this changed.
    pub(super) fn cuts(&self) -> u64 {
        let _order = self.lock();
        self.cuts.load(Ordering::Relaxed)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// A worker has come. An older connection of it, which may not have noticed its own end, is cut off.
    pub(super) fn enter(
        &self,
        worker: WorkerId,
        group: GroupName,
        address: SocketAddr,
    ) -> (Arc<WorkerSession>, oneshot::Receiver<Disconnect>) {
        let now = self.now();
        let (cut, cuts) = oneshot::channel();
        let present = Arc::new(WorkerSession {
            worker,
            group,
            address,
            since: now,
            seen: AtomicU64::new(now.as_millis()),
            said: Mutex::default(),
            cut: Mutex::new(Some(cut)),
        });
        let before = self.lock().insert(worker, Arc::clone(&present));
        if let Some(before) = before {
            let message = format!("another connection of this worker came from {address}");
            before.end(Disconnect::Refused(ProtocolError::new(ErrorCode::Replaced, message)));
        }
        self.connected.fetch_add(1, Ordering::Relaxed);
        (present, cuts)
    }

    pub(super) fn heard(&self, present: &WorkerSession) {
        present.seen.store(self.now().as_millis(), Ordering::Relaxed);
    }

    pub(super) fn left(&self, present: &WorkerSession) {
        present.said().left = Some(self.now());
        self.connected.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn report(&self, present: &WorkerSession, mut report: DeliveryReport) {
        if let Err(reason) = &mut report.result {
            *reason = reason.chars().filter(|c| !c.is_control()).take(REASON).collect();
        }
        let same = {
            let said = present.said();
            said.applied
                .get(&report.instance)
                .is_some_and(|(stamp, result)| *stamp == report.stamp && *result == report.result)
        };
        if same {
            return;
        }
        if let Some(observer) = &self.observer {
            observer(present, &report);
        }
        present.said().applied.insert(report.instance, (report.stamp, report.result));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<WorkerId, Arc<WorkerSession>>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkerSession {
    /// When it gave its last sign of life.
    pub fn seen(&self) -> Timestamp {
        Timestamp::from_millis(self.seen.load(Ordering::Relaxed))
    }

    /// When it left; nothing if it is there.
    pub fn left(&self) -> Option<Timestamp> {
        self.said().left
    }

    /// Its version and the name of its machine, as it says.
    pub fn about(&self) -> (String, String) {
        let said = self.said();
        (said.version.clone(), said.host.clone())
    }

    /// What it says of each instance.
    pub fn applied(&self) -> BTreeMap<InstanceName, (LeaseVersion, Result<(), String>)> {
        self.said().applied.clone()
    }

    pub(super) fn introduce(&self, version: &str, host: &str) {
        let plain = |text: &str| text.chars().filter(char::is_ascii_graphic).take(100).collect();
        let mut said = self.said();
        (said.version, said.host) = (plain(version), plain(host));
    }

    /// Does nothing to one that is being ended already.
    fn end(&self, cut: Disconnect) {
        let sender = self.cut.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Who has gone need not be told.
        drop(sender.map(|sender| sender.send(cut)));
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
