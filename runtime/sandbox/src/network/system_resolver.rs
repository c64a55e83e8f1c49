//! The operating system's resolver, on threads of its own.
//!
//! `getaddrinfo` knows what the operator configured (hosts file, search domains, NSS), and can't be cancelled: with a name
//! server that does not answer it takes as long as resolv.conf says, however soon the caller gives up. So a look-up
//! keeps its place until its thread has ended. A component that is granted names under a server of its own holds up its
//! own look-ups at most, and never a thread that reads secrets or records.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;

use async_trait::async_trait;
use tokio::sync::{Semaphore, oneshot};

use super::resolve::{LookupSlot, Resolver};

/// Threads for look-ups of all instances together: those of sixteen instances whose name servers all hang.
const THREADS: usize = 64;

/// Enough for every NSS module; only what is used of it takes memory.
const STACK: usize = 1 << 20;

/// The operating system's resolver.
#[derive(Debug, Clone)]
pub struct SystemResolver {
    threads: Arc<Semaphore>,
    lookup: fn(&str) -> io::Result<Vec<IpAddr>>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { threads: Arc::new(Semaphore::new(THREADS)), lookup: getaddrinfo }
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str, slot: LookupSlot) -> io::Result<Vec<IpAddr>> {
        let place = Arc::clone(&self.threads).acquire_owned().await.map_err(io::Error::other)?;
        let (answer, answered) = oneshot::channel();
        let lookup = self.lookup;
        let name = name.to_owned();
        thread::Builder::new().name("deputy-lookup".into()).stack_size(STACK).spawn(move || {
            // The caller does not wait for an answer that came too late.
            answer.send(lookup(&name)).ok();
            drop((place, slot));
        })?;
        answered.await.map_err(io::Error::other)?
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that resolves; its answers go into a `Permit` only")]
fn getaddrinfo(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    use super::super::resolve::{LOOKUPS, lookup_slots, resolve};
    use super::*;
    use crate::testing::eventually;

    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static RELEASED: AtomicUsize = AtomicUsize::new(0);

    /// Hangs until the test is over, as a name server that never answers makes it; other names are known at once.
    #[expect(clippy::disallowed_methods, reason = "a thread that hangs is what is tested")]
    fn hanging(name: &str) -> io::Result<Vec<IpAddr>> {
        if name.starts_with("known") {
            return Ok(vec![IpAddr::from([127, 0, 0, 1])]);
        }
        RUNNING.fetch_add(1, SeqCst);
        while RELEASED.load(SeqCst) == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        RUNNING.fetch_sub(1, SeqCst);
        Err(io::ErrorKind::TimedOut.into())
    }

    async fn give_up_soon(resolver: &SystemResolver, slots: &Arc<Semaphore>, name: &str) -> bool {
        let name = name.parse().unwrap();
        tokio::time::timeout(Duration::from_millis(50), resolve(resolver, slots, &name)).await.is_err()
    }

    #[tokio::test]
    async fn lookups_that_hang_keep_their_place_after_the_deadline() {
        let resolver = SystemResolver { lookup: hanging, ..SystemResolver::default() };
        let (own, other) = (lookup_slots(), lookup_slots());
        for number in 0..5 * LOOKUPS {
            assert!(give_up_soon(&resolver, &own, &format!("hangs-{number}.example")).await);
        }
        assert_eq!(RUNNING.load(SeqCst), LOOKUPS, "each may hold a thread of the process");
        assert!(give_up_soon(&resolver, &own, "known.example").await, "its own look-ups wait");
        assert!(!give_up_soon(&resolver, &other, "known.example").await, "those of other instances don't");
        // However many instances there are, the process has a bounded number of threads.
        for _ in 0..2 * THREADS / LOOKUPS {
            let slots = lookup_slots();
            let names = (0..LOOKUPS).map(|number| format!("hangs-{number}.example")).collect::<Vec<_>>();
            let given_up = names.iter().map(|name| give_up_soon(&resolver, &slots, name));
            assert!(futures::future::join_all(given_up).await.into_iter().all(|up| up));
        }
        assert_eq!(RUNNING.load(SeqCst), THREADS);
        RELEASED.store(1, SeqCst);
        eventually(|| RUNNING.load(SeqCst) == 0).await;
        assert!(!give_up_soon(&resolver, &own, "known.example").await);
    }
}
