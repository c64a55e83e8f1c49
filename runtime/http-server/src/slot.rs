//! The slots that connections and waiting requests occupy.
//!
//! A request that waits for something to happen has a slot of its own kind, so that all others are answered meanwhile.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// What a connection occupies.
pub(crate) struct Slot {
    activity: AtomicU8,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    waiting: Arc<Semaphore>,
}

#[derive(Clone, Copy)]
enum Activity {
    Idle,
    Answering,
    /// The request waits for something to happen. It is the last one of its connection.
    Waiting,
}

/// Frees the slot when the connection ends, however that happens.
pub(crate) struct SlotGuard(pub(crate) Arc<Slot>);

/// An accepted connection.
pub(crate) struct OpenConnection {
    pub(crate) task: AbortHandle,
    pub(crate) slot: Arc<Slot>,
}

impl Slot {
    pub(crate) fn new(permit: OwnedSemaphorePermit, waiting: Arc<Semaphore>) -> Self {
        Self { activity: AtomicU8::new(Activity::Idle as u8), permit: Mutex::new(Some(permit)), waiting }
    }

    pub(crate) fn begin_request(&self) {
        self.set(Activity::Answering);
    }

    /// From here on the connection makes room for others, even if its client reads the response slowly.
    pub(crate) fn end_request(&self) {
        if !self.is(Activity::Waiting) {
            self.set(Activity::Idle);
        }
    }

    /// Trades the connection's slot for one of those that wait. Returns false if there is none.
    pub(crate) fn begin_wait(&self) -> bool {
        let Ok(permit) = Arc::clone(&self.waiting).try_acquire_owned() else { return false };
        self.replace_permit(Some(permit));
        self.set(Activity::Waiting);
        true
    }

    fn replace_permit(&self, permit: Option<OwnedSemaphorePermit>) {
        *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = permit;
    }

    fn set(&self, activity: Activity) {
        self.activity.store(activity as u8, Ordering::Relaxed);
    }

    fn is(&self, activity: Activity) -> bool {
        self.activity.load(Ordering::Relaxed) == activity as u8
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.0.replace_permit(None);
    }
}

/// When `limit` connections are open, ends the oldest idle one.
pub(crate) fn make_room(open: &mut VecDeque<OpenConnection>, limit: usize) {
    open.retain(|connection| !connection.task.is_finished());
    let occupied = open.iter().filter(|connection| !connection.slot.is(Activity::Waiting)).count();
    if occupied >= limit
        && let Some(idle) = open.iter().position(|connection| connection.slot.is(Activity::Idle))
        && let Some(connection) = open.remove(idle)
    {
        connection.task.abort();
    }
}
