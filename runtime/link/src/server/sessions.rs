//! The connected workers, and what each has applied.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use deputy_core::time::Clock;
use deputy_core::{GroupName, InstanceName, LeaseVersion, Timestamp};
use deputy_support::LockUnpoisoned as _;
use tokio::sync::oneshot;

use crate::delivered_state::DeliveryReport;
use crate::name::WorkerId;
use crate::protocol_error::{ErrorCode, ProtocolError, printable};

/// Characters of a reported failure that are kept.
const MAX_FAILURE: usize = 500;

/// Characters of a worker's version or machine name that are kept.
const MAX_CLIENT_INFO: usize = 100;

/// All workers that connected since the coordinator started.
pub struct Sessions {
    by_worker: Mutex<BTreeMap<WorkerId, Arc<WorkerSession>>>,
    connected: AtomicUsize,
    disconnects: AtomicU64,
    clock: Arc<dyn Clock>,
    observer: Option<ReportObserver>,
}

/// Called with each report that differs from the one before. It runs in the session's task, and must not block.
pub type ReportObserver = Box<dyn Fn(&WorkerSession, &DeliveryReport) + Send + Sync>;

/// The present or last session of a worker.
pub struct WorkerSession {
    pub worker: WorkerId,
    pub group: GroupName,
    pub address: SocketAddr,
    pub since: Timestamp,
    last_message: AtomicU64,
    reported: Mutex<Reported>,
    disconnect: Mutex<Option<oneshot::Sender<Disconnect>>>,
}

/// Why the coordinator ends a connection.
#[derive(Debug)]
pub(super) enum Disconnect {
    /// The coordinator shuts down.
    Shutdown,
    /// The worker is no longer enrolled, or has opened another connection.
    Refused(ProtocolError),
}

#[derive(Default)]
struct Reported {
    version: String,
    host: String,
    applied: BTreeMap<InstanceName, (LeaseVersion, Result<(), String>)>,
    left: Option<Timestamp>,
    /// Whether it subscribed, and to which instances; `None` inside is all.
    wanted: Option<Option<BTreeSet<InstanceName>>>,
}

impl Sessions {
    pub fn new(clock: Arc<dyn Clock>, observer: Option<ReportObserver>) -> Self {
        Self {
            by_worker: Mutex::default(),
            connected: AtomicUsize::new(0),
            disconnects: AtomicU64::new(0),
            clock,
            observer,
        }
    }

    /// The sessions in the order of their worker ids.
    pub fn all(&self) -> Vec<Arc<WorkerSession>> {
        self.lock().values().cloned().collect()
    }

    /// The present or last session of a worker.
    pub fn of(&self, worker: WorkerId) -> Option<Arc<WorkerSession>> {
        self.lock().get(&worker).cloned()
    }

    /// The number of connected workers.
    pub fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// Disconnects a worker if it is connected.
    pub fn disconnect(&self, worker: WorkerId, refusal: ProtocolError) {
        let sessions = self.lock();
        self.disconnects.fetch_add(1, Ordering::Relaxed);
        if let Some(session) = sessions.get(&worker) {
            session.end(Disconnect::Refused(refusal));
        }
    }

    /// Removes a worker from the list.
    pub fn forget(&self, worker: WorkerId) {
        self.lock().remove(&worker);
    }

    pub(super) fn shut_down(&self) {
        self.lock().values().for_each(|session| session.end(Disconnect::Shutdown));
    }

    /// The number of forced disconnects. A worker that is admitted but not registered yet cannot be disconnected, so it
    /// must be admitted again if this changed.
    pub(super) fn disconnects(&self) -> u64 {
        let _order = self.lock();
        self.disconnects.load(Ordering::Relaxed)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// Registers a session. Ends an older one of the same worker, which may not have noticed that its connection is gone.
    pub(super) fn enter(
        &self,
        worker: WorkerId,
        group: GroupName,
        address: SocketAddr,
    ) -> (Arc<WorkerSession>, oneshot::Receiver<Disconnect>) {
        let now = self.now();
        let (disconnect, disconnected) = oneshot::channel();
        let session = Arc::new(WorkerSession {
            worker,
            group,
            address,
            since: now,
            last_message: AtomicU64::new(now.as_millis()),
            reported: Mutex::default(),
            disconnect: Mutex::new(Some(disconnect)),
        });
        let before = self.lock().insert(worker, Arc::clone(&session));
        if let Some(before) = before {
            let message = format!("another connection of this worker was opened from {address}");
            before.end(Disconnect::Refused(ProtocolError::new(ErrorCode::Replaced, message)));
        }
        self.connected.fetch_add(1, Ordering::Relaxed);
        (session, disconnected)
    }

    pub(super) fn record_message(&self, session: &WorkerSession) {
        session.last_message.store(self.now().as_millis(), Ordering::Relaxed);
    }

    pub(super) fn leave(&self, session: &WorkerSession) {
        session.reported().left = Some(self.now());
        self.connected.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn report(&self, session: &WorkerSession, mut report: DeliveryReport) {
        if let Err(reason) = &mut report.result {
            *reason = printable(reason, MAX_FAILURE);
        }
        let is_known = session
            .reported()
            .applied
            .get(&report.instance)
            .is_some_and(|(stamp, result)| *stamp == report.stamp && *result == report.result);
        if is_known {
            return;
        }
        if let Some(observer) = &self.observer {
            observer(session, &report);
        }
        session.reported().applied.insert(report.instance, (report.stamp, report.result));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkerId, Arc<WorkerSession>>> {
        self.by_worker.lock_unpoisoned()
    }
}

impl WorkerSession {
    /// When its last message arrived.
    pub fn last_message(&self) -> Timestamp {
        Timestamp::from_millis(self.last_message.load(Ordering::Relaxed))
    }

    pub fn is_connected(&self) -> bool {
        self.left().is_none()
    }

    /// When its connection ended; `None` while it is connected.
    pub fn left(&self) -> Option<Timestamp> {
        self.reported().left
    }

    /// The version and the name of the machine that the worker sent.
    pub fn client_info(&self) -> (String, String) {
        let reported = self.reported();
        (reported.version.clone(), reported.host.clone())
    }

    /// The newest report for each instance.
    pub fn applied(&self) -> BTreeMap<InstanceName, (LeaseVersion, Result<(), String>)> {
        self.reported().applied.clone()
    }

    /// Those of these leases that the worker has not applied.
    pub fn behind<'l>(&self, leases: &'l BTreeMap<InstanceName, LeaseVersion>) -> Vec<&'l InstanceName> {
        let reported = self.reported();
        let behind = leases.iter().filter(|(instance, newest)| !reported.has_applied(instance, **newest));
        behind.map(|(instance, _)| instance).collect()
    }

    /// Whether the worker has not applied one of these leases.
    pub fn is_behind(&self, leases: &BTreeMap<InstanceName, LeaseVersion>) -> bool {
        let reported = self.reported();
        leases.iter().any(|(instance, newest)| !reported.has_applied(instance, *newest))
    }

    /// Whether it is connected, and gets the leases of an instance if its group may.
    pub fn awaits(&self, instance: &InstanceName) -> bool {
        let reported = self.reported();
        let wanted = reported.wanted.as_ref().filter(|_| reported.left.is_none());
        wanted.is_some_and(|wanted| wanted.as_ref().is_none_or(|wanted| wanted.contains(instance)))
    }

    pub(super) fn set_wanted(&self, wanted: Option<BTreeSet<InstanceName>>) {
        self.reported().wanted = Some(wanted);
    }

    pub(super) fn set_client_info(&self, version: &str, host: &str) {
        let mut reported = self.reported();
        reported.version = client_info(version);
        reported.host = client_info(host);
    }

    /// Ends the session, unless it is ending already.
    fn end(&self, disconnect: Disconnect) {
        let sender = self.disconnect.lock_unpoisoned().take();
        if let Some(sender) = sender {
            // The session may have ended by itself.
            sender.send(disconnect).ok();
        }
    }

    fn reported(&self) -> MutexGuard<'_, Reported> {
        self.reported.lock_unpoisoned()
    }
}

impl Reported {
    fn has_applied(&self, instance: &InstanceName, newest: LeaseVersion) -> bool {
        self.applied.get(instance).is_some_and(|(version, result)| *version == newest && result.is_ok())
    }
}

/// A version or host name of a worker, as far as it is one.
fn client_info(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(MAX_CLIENT_INFO).collect()
}
