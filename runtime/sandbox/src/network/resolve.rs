//! From a host to addresses. What is resolved here is neither allowed nor connected to yet.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::grant::Host;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Look-ups of one instance at a time, over all its calls. More wait, for as long as their own limit lets them.
pub(crate) const LOOKUPS: usize = 4;

/// The places of one instance's look-ups.
pub(crate) fn lookup_slots() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(LOOKUPS))
}

/// Turns names into addresses.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses of a name. A resolver that goes on after its future was dropped keeps the slot until then.
    ///
    /// # Errors
    /// If the name has none, or no name server answers.
    async fn resolve(&self, name: &str, slot: LookupSlot) -> io::Result<Vec<IpAddr>>;
}

/// One of an instance's concurrent look-ups. It is free again when this is dropped.
#[derive(Debug)]
pub struct LookupSlot(#[expect(dead_code, reason = "it counts while it is there")] OwnedSemaphorePermit);

/// The addresses of a host, each once and IPv4 as IPv4; an address is its own. An empty answer is an error, so that it
/// can't be taken for an answer without forbidden addresses.
pub(crate) async fn resolve(resolver: &dyn Resolver, slots: &Arc<Semaphore>, host: &Host) -> io::Result<Vec<IpAddr>> {
    let found = match host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => {
            let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
            resolver.resolve(name, LookupSlot(slot)).await?
        }
    };
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(found.len());
    for address in found {
        let address = address.to_canonical();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
}
