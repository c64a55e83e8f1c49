//! The slots that connections and waiting requests occupy.
//!
//! A request that waits for something to happen has a slot of its own kind, so that all others are answered meanwhile.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use deputy_support::LockUnpoisoned as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

/// A connection does not count as idle for this long after it was accepted or answered: its request may be on the way,
/// or its task may not have run yet.
const IDLE_GRACE: Duration = Duration::from_millis(250);

/// What a connection occupies.
pub(crate) struct ConnectionSlot {
    activity: Mutex<Activity>,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    waiting: Arc<Semaphore>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Activity {
    /// The TLS handshake has not ended.
    HandshakeSince(Instant),
    IdleSince(Instant),
    Answering,
    /// The request waits for something to happen. It is the last one of its connection.
    Waiting,
}

/// Frees the slot when the connection ends, however that happens.
pub(crate) struct SlotGuard(pub(crate) Arc<ConnectionSlot>);

pub(crate) struct OpenConnection {
    pub(crate) task: AbortHandle,
    pub(crate) slot: Arc<ConnectionSlot>,
}

impl ConnectionSlot {
    pub(crate) fn new(permit: OwnedSemaphorePermit, waiting: Arc<Semaphore>) -> Self {
        let activity = Mutex::new(Activity::IdleSince(now()));
        Self { activity, permit: Mutex::new(Some(permit)), waiting }
    }

    pub(crate) fn begin_handshake(&self) {
        *self.activity() = Activity::HandshakeSince(now());
    }

    pub(crate) fn end_handshake(&self) {
        *self.activity() = Activity::IdleSince(now());
    }

    pub(crate) fn begin_request(&self) {
        *self.activity() = Activity::Answering;
    }

    /// From here on the connection makes room for others, even if its client reads the response slowly.
    pub(crate) fn end_request(&self) {
        let mut activity = self.activity();
        if *activity == Activity::Answering {
            *activity = Activity::IdleSince(now());
        }
    }

    /// Trades the connection's slot for one of those that wait. Returns false if there is none.
    pub(crate) fn begin_wait(&self) -> bool {
        let Ok(permit) = Arc::clone(&self.waiting).try_acquire_owned() else { return false };
        self.replace_permit(Some(permit));
        *self.activity() = Activity::Waiting;
        true
    }

    fn replace_permit(&self, permit: Option<OwnedSemaphorePermit>) {
        *self.permit.lock_unpoisoned() = permit;
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock_unpoisoned()
    }

    /// Whether the handshake has ended, and since when the connection is idle. A connection that has not shown what it is
    /// makes room before one that has.
    fn idle_since(&self) -> Option<(bool, Instant)> {
        match *self.activity() {
            Activity::HandshakeSince(since) => Some((false, since)),
            Activity::IdleSince(since) => Some((true, since)),
            Activity::Answering | Activity::Waiting => None,
        }
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.0.replace_permit(None);
    }
}

/// Waits for a free slot. While there is none, ends the handshake that has taken longest, and without handshakes the
/// connection that has been idle longest.
pub(crate) async fn acquire_slot(
    slots: &Arc<Semaphore>,
    open: &mut VecDeque<OpenConnection>,
) -> Option<OwnedSemaphorePermit> {
    loop {
        open.retain(|connection| !connection.task.is_finished());
        if slots.available_permits() == 0 {
            end_longest_idle(open);
        }
        if let Ok(permit) = timeout(IDLE_GRACE, Arc::clone(slots).acquire_owned()).await {
            return permit.ok();
        }
    }
}

fn end_longest_idle(open: &mut VecDeque<OpenConnection>) {
    let idle = open.iter().enumerate().filter_map(|(index, connection)| Some((connection.slot.idle_since()?, index)));
    if let Some(((_, since), index)) = idle.min()
        && now().saturating_duration_since(since) >= IDLE_GRACE
        && let Some(connection) = open.remove(index)
    {
        connection.task.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "measures how long a connection is idle, for this server alone")]
fn now() -> Instant {
    Instant::now()
}
