//! Connections that have not authenticated yet.
//!
//! Their number is bounded, and one origin may have half of it, so that no origin keeps all others out. Workers' connections
//! are counted apart. Handshakes are expensive, so fewer run at once, shared in the same way; the others queue.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use deputy_support::LockUnpoisoned as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Why one of them is closed.
pub(super) const TOO_MANY_PENDING: &str = "too many connections wait for a handshake";

pub(super) struct PendingConnections {
    limit: usize,
    handshakes: Arc<Semaphore>,
    handshakes_per_origin: usize,
    open: Mutex<OpenConnections>,
}

#[derive(Default)]
struct OpenConnections {
    count: usize,
    by_origin: HashMap<Origin, OriginConnections>,
}

struct OriginConnections {
    count: usize,
    handshakes: Arc<Semaphore>,
}

/// Where a connection comes from. The owner of one IPv6 address has all addresses of its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// An IPv4 address.
    Address([u8; 4]),
    /// The half of an IPv6 address that names a network.
    Network([u16; 4]),
}

/// A pending connection, until it is dropped.
pub(super) struct PendingConnection {
    all: Arc<PendingConnections>,
    origin_handshakes: Arc<Semaphore>,
    origin: Origin,
    from: SocketAddr,
}

/// A permit for a handshake, until it is dropped.
pub(super) struct HandshakeSlot {
    _of_origin: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl PendingConnections {
    pub(super) fn new(limit: usize, handshakes: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            handshakes: Arc::new(Semaphore::new(handshakes)),
            handshakes_per_origin: (handshakes / 2).max(1),
            open: Mutex::default(),
        })
    }

    /// Registers a connection. `None` if there are too many, in all or from its origin.
    pub(super) fn enter(self: &Arc<Self>, from: SocketAddr) -> Option<PendingConnection> {
        let origin = Origin::of(from.ip());
        let mut open = self.lock();
        if open.count >= self.limit {
            return None;
        }
        let of_origin = open.by_origin.entry(origin).or_insert_with(|| OriginConnections {
            count: 0,
            handshakes: Arc::new(Semaphore::new(self.handshakes_per_origin)),
        });
        if of_origin.count >= (self.limit / 2).max(1) {
            return None;
        }
        of_origin.count += 1;
        let origin_handshakes = Arc::clone(&of_origin.handshakes);
        open.count += 1;
        Some(PendingConnection { all: Arc::clone(self), origin_handshakes, origin, from })
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock_unpoisoned()
    }
}

impl PendingConnection {
    pub(super) fn from(&self) -> SocketAddr {
        self.from
    }

    /// Waits for its turn to do the handshake.
    pub(super) async fn handshake_slot(&self) -> HandshakeSlot {
        // Waits for its origin first, so that it blocks no other origin meanwhile. Neither semaphore is ever closed.
        let of_origin = Arc::clone(&self.origin_handshakes).acquire_owned().await.ok();
        let of_all = Arc::clone(&self.all.handshakes).acquire_owned().await.ok();
        HandshakeSlot { _of_origin: of_origin, _of_all: of_all }
    }
}

impl Drop for PendingConnection {
    fn drop(&mut self) {
        let mut open = self.all.lock();
        open.count -= 1;
        if let Some(of_origin) = open.by_origin.get_mut(&self.origin) {
            of_origin.count -= 1;
            if of_origin.count == 0 {
                open.by_origin.remove(&self.origin);
            }
        }
    }
}

impl Origin {
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

    async fn gets_slot(connection: &PendingConnection) -> bool {
        tokio::time::timeout(Duration::from_millis(20), connection.handshake_slot()).await.is_ok()
    }

    #[tokio::test]
    async fn pending_origin_gets_half_of_the_handshake_slots() {
        let pending = PendingConnections::new(100, 8);
        let stalled: Vec<_> = (0..4).map(|_| pending.enter(from("127.0.0.1")).unwrap()).collect();
        let mut slots = Vec::new();
        for connection in &stalled {
            slots.push(connection.handshake_slot().await);
        }
        let late = pending.enter(from("127.0.0.1")).unwrap();
        assert!(!gets_slot(&late).await);
        for last in 2..10 {
            assert!(gets_slot(&pending.enter(from(&format!("127.0.0.{last}"))).unwrap()).await, "{last}");
        }
        drop(slots.pop());
        assert!(gets_slot(&late).await);
        drop((slots, stalled, late));
        assert!(pending.lock().by_origin.is_empty(), "an origin without connections is forgotten");
    }

    #[test]
    fn pending_origin_gets_half_of_the_connections() {
        let pending = PendingConnections::new(4, 8);
        let mut crowd: Vec<_> = (0..2).map(|_| pending.enter(from("10.0.0.1")).unwrap()).collect();
        assert!(pending.enter(from("10.0.0.1")).is_none());
        assert!(pending.enter(from("::ffff:10.0.0.1")).is_none(), "the same address in another notation");
        crowd.push(pending.enter(from("2001:db8::1")).unwrap());
        crowd.push(pending.enter(from("2001:db8:0:0:ffff::2")).unwrap());
        assert!(pending.enter(from("10.0.0.2")).is_none(), "the limit of all origins");
        crowd.remove(0);
        assert!(pending.enter(from("2001:db8::3")).is_none(), "one network is one origin");
        assert!(pending.enter(from("10.0.0.2")).is_some());
    }
}
