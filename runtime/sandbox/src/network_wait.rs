//! Whether a call waits for the network: one that runs out of time while it does was not answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The number of parts of a call that wait for the network now.
#[derive(Clone, Default)]
pub(crate) struct NetworkWaits(Arc<AtomicU32>);

/// Marks a part of a call as waiting until it is dropped.
pub(crate) struct NetworkWait(NetworkWaits);

impl NetworkWaits {
    pub(crate) fn begin(&self) -> NetworkWait {
        self.0.fetch_add(1, Ordering::SeqCst);
        NetworkWait(self.clone())
    }

    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

impl Drop for NetworkWait {
    fn drop(&mut self) {
        (self.0).0.fetch_sub(1, Ordering::SeqCst);
    }
}
