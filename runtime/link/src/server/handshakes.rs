//! Handshakes at once: so many over all, and half as many from one address, so that who stalls at one address does not keep
//! all others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places.
pub(super) struct Handshakes {
    all: Arc<Semaphore>,
    each: usize,
    by: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// A place, until it is dropped.
pub(super) struct Place<'h> {
    handshakes: &'h Handshakes,
    from: IpAddr,
    held: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Handshakes {
    pub(super) fn new(places: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(places)), each: (places / 2).max(1), by: Mutex::default() }
    }

    /// Waits for a place.
    pub(super) async fn enter(&self, from: IpAddr) -> Place<'_> {
        let own = Arc::clone(self.lock().entry(from).or_insert_with(|| Arc::new(Semaphore::new(self.each))));
        // In the way of nobody else while it waits for its own address. Neither semaphore is ever closed.
        let own = own.acquire_owned().await.ok();
        let all = Arc::clone(&self.all).acquire_owned().await.ok();
        Place { handshakes: self, from, held: own.zip(all) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Arc<Semaphore>>> {
        self.by.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.held = None;
        let mut by = self.handshakes.lock();
        // Nobody of this address is here or waits: the map alone has it.
        if by.get(&self.from).is_some_and(|own| Arc::strong_count(own) == 1) {
            by.remove(&self.from);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn from(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    async fn enters(handshakes: &Handshakes, last: u8) -> bool {
        tokio::time::timeout(Duration::from_millis(20), handshakes.enter(from(last))).await.is_ok()
    }

    #[tokio::test]
    async fn one_address_has_half_of_the_places_and_no_more() {
        let handshakes = Handshakes::new(8);
        let mut stalled = Vec::new();
        for _ in 0..4 {
            stalled.push(handshakes.enter(from(1)).await);
        }
        assert!(!enters(&handshakes, 1).await);
        for last in 2..10 {
            assert!(enters(&handshakes, last).await, "{last}");
        }
        drop(stalled.pop());
        assert!(enters(&handshakes, 1).await);
        drop(stalled);
        assert!(handshakes.lock().is_empty(), "nothing is remembered of who has gone");
    }
}
