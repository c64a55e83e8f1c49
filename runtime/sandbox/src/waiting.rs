//! Who waits for the network: a call that ends while it does was not answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many parts of a call wait for the network now.
#[derive(Clone, Default)]
pub(crate) struct Waits(Arc<AtomicU32>);

/// A part of a call that waits until this is dropped.
pub(crate) struct Waiting(Waits);

impl Waits {
    pub(crate) fn begin(&self) -> Waiting {
        self.0.fetch_add(1, Ordering::SeqCst);
        Waiting(self.clone())
    }

    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        (self.0).0.fetch_sub(1, Ordering::SeqCst);
    }
}
