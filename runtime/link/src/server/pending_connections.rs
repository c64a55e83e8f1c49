//! Connections of which nobody knows yet who they are: so many over all, and half as many from one origin, so that who
//! comes from one place keeps nobody else out. Those of workers are counted apart.
//!
//! Handshakes are costly, so that fewer go on at once, shared in the same way; the others wait. An origin is an IPv4
//! address, or the half of an IPv6 address that names a network: whoever has one has all addresses in it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All of them.
pub(super) struct PendingConnections {
    most: usize,
    places: Arc<Semaphore>,
    places_each: usize,
    present: Mutex<Present>,
}

#[derive(Default)]
struct Present {
    count: usize,
    by: HashMap<Origin, Own>,
}

/// Of one origin.
struct Own {
    count: usize,
    places: Arc<Semaphore>,
}

/// Where a connection comes from: whoever has one IPv6 address has all of its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// An IPv4 address.
    Address([u8; 4]),
    /// The half of an IPv6 address that names a network.
    Network([u16; 4]),
}

/// One, until it is dropped.
pub(super) struct PendingConnection {
    visitors: Arc<PendingConnections>,
    places: Arc<Semaphore>,
    origin: Origin,
    from: SocketAddr,
}

/// A place for a handshake, until it is dropped.
pub(super) struct HandshakeSlot {
    _own: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl PendingConnections {
    /// So many, of whom so many may shake hands at once.
    pub(super) fn new(most: usize, places: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            places: Arc::new(Semaphore::new(places)),
            places_each: (places / 2).max(1),
            present: Mutex::default(),
        })
    }

    /// Somebody comes; nothing if there are too many, over all or from there.
    pub(super) fn enter(self: &Arc<Self>, from: SocketAddr) -> Option<PendingConnection> {
        let (origin, each) = (Origin::of(from.ip()), (self.most / 2).max(1));
        let mut present = self.lock();
        if present.count >= self.most {
            return None;
        }
        let places = || Own { count: 0, places: Arc::new(Semaphore::new(self.places_each)) };
        let own = present.by.entry(origin).or_insert_with(places);
        if own.count >= each {
            return None;
        }
        own.count += 1;
        let places = Arc::clone(&own.places);
        present.count += 1;
        Some(PendingConnection { visitors: Arc::clone(self), places, origin, from })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingConnection {
    /// From where.
    pub(super) fn from(&self) -> SocketAddr {
        self.from
    }

    /// Waits for a place to shake hands at.
    pub(super) async fn place(&self) -> HandshakeSlot {
        // In the way of nobody else while it waits for its own origin. Neither semaphore is ever closed.
        let own = Arc::clone(&self.places).acquire_owned().await.ok();
        let all = Arc::clone(&self.visitors.places).acquire_owned().await.ok();
        HandshakeSlot { _own: own, _all: all }
    }
}

impl Drop for PendingConnection {
    fn drop(&mut self) {
        let mut present = self.visitors.lock();
        present.count -= 1;
        if let Some(own) = present.by.get_mut(&self.origin) {
            own.count -= 1;
            if own.count == 0 {
                present.by.remove(&self.origin);
            }
        }
    }
}

impl Origin {
    /// Of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::Address(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::Network([a, b, c, d])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn from(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 4000)
    }

    async fn shakes(visitor: &PendingConnection) -> bool {
        tokio::time::timeout(Duration::from_millis(20), visitor.place()).await.is_ok()
    }

    #[tokio::test]
    async fn one_origin_has_half_of_the_places_for_handshakes_and_no_more() {
        let visitors = PendingConnections::new(100, 8);
        let stalled: Vec<_> = (0..4).map(|_| visitors.enter(from("127.0.0.1")).unwrap()).collect();
        let mut places = Vec::new();
        for visitor in &stalled {
            places.push(visitor.place().await);
        }
        let late = visitors.enter(from("127.0.0.1")).unwrap();
        assert!(!shakes(&late).await);
        for last in 2..10 {
            assert!(shakes(&visitors.enter(from(&format!("127.0.0.{last}"))).unwrap()).await, "{last}");
        }
        drop(places.pop());
        assert!(shakes(&late).await);
        drop((places, stalled, late));
        assert!(visitors.lock().by.is_empty(), "nothing is remembered of who has gone");
    }

    #[test]
    fn one_origin_is_half_of_all_visitors_at_the_most() {
        let visitors = PendingConnections::new(4, 8);
        let mut crowd: Vec<_> = (0..2).map(|_| visitors.enter(from("10.0.0.1")).unwrap()).collect();
        assert!(visitors.enter(from("10.0.0.1")).is_none());
        assert!(visitors.enter(from("::ffff:10.0.0.1")).is_none(), "the same in another notation");
        crowd.push(visitors.enter(from("2001:db8::1")).unwrap());
        crowd.push(visitors.enter(from("2001:db8:0:0:ffff::2")).unwrap());
        assert!(visitors.enter(from("10.0.0.2")).is_none(), "that is all");
        crowd.remove(0);
        assert!(visitors.enter(from("2001:db8::3")).is_none(), "one network is one origin");
        assert!(visitors.enter(from("10.0.0.2")).is_some());
    }
}
