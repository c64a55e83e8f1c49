//! The world of a component that is recorded: the real one, with a clock that stands still, random numbers of a seed, and a tape.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::Timestamp;
use deputy_sandbox::{HttpTape, LookupSlot, Resolver, StandIn, SystemResolver};

/// What a recorded component finds around it. Its connections go where its grant permits.
pub struct RecordedWorld {
    now: Timestamp,
    seed: u64,
    tape: Arc<HttpTape>,
    resolver: SystemResolver,
}

impl RecordedWorld {
    /// A world at `now`, without the fraction of its second. `seed` has to be one that a stranger cannot guess: the component
    /// speaks to a real server.
    pub fn new(now: Timestamp, seed: u64) -> Self {
        let now = Timestamp::from_millis(now.as_secs().saturating_mul(1000));
        Self { now, seed, tape: Arc::default(), resolver: SystemResolver::default() }
    }

    pub(super) fn taped(&self) -> &HttpTape {
        &self.tape
    }
}

#[async_trait]
impl Resolver for RecordedWorld {
    async fn resolve(&self, name: &str, slot: LookupSlot) -> io::Result<Vec<IpAddr>> {
        self.resolver.resolve(name, slot).await
    }
}

impl StandIn for RecordedWorld {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn route(&self, address: SocketAddr) -> Option<SocketAddr> {
        Some(address)
    }

    fn tape(&self) -> Option<Arc<HttpTape>> {
        Some(Arc::clone(&self.tape))
    }
}
