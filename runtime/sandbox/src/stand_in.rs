//! What stands in for the world around a component in `deputy test`: the clock, random numbers, and where addresses lead.
//!
//! Grants, limits, the resolver's answers and the sender stay as they are: a stand-in is asked when the grant has permitted
//! an address, and says at which listener of this machine the connection ends. A process without one, as every other
//! command and the coordinator, reads the real clock and connects to what was permitted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::{Span, Timestamp};
use deputy_support::SystemClock;
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{HostWallClock, WasiCtxBuilder};

use crate::tape::HttpTape;

/// A made-up world.
pub trait StandIn: Send + Sync {
    /// The wall clock, which stands still during a call.
    fn now(&self) -> Timestamp;

    /// Equal seeds give a component equal random numbers.
    fn seed(&self) -> u64;

    /// Where a connection to a permitted address ends; `None`: it is refused.
    fn route(&self, address: SocketAddr) -> Option<SocketAddr>;

    /// Where HTTP is kept; `None`: nowhere.
    fn tape(&self) -> Option<Arc<HttpTape>> {
        None
    }
}

/// The world of a process: the real one, unless something stands in for it.
#[derive(Clone, Default)]
pub(crate) struct World(Option<Arc<dyn StandIn>>);

/// Random bytes before they repeat.
const RANDOM_BYTES: u64 = 16 << 10;

impl World {
    pub(crate) fn new(stand_in: Option<Arc<dyn StandIn>>) -> Self {
        Self(stand_in)
    }

    /// The wall clock, for what the host checks and for what a component reads.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.as_ref().map_or_else(SystemClock::wall, |stand_in| stand_in.now())
    }

    /// When something began that has taken so long.
    pub(crate) fn began(&self, taken: Span) -> Timestamp {
        match &self.0 {
            Some(stand_in) => stand_in.now(),
            None => SystemClock::wall().minus(taken),
        }
    }

    /// Whether connections go where the grant permits.
    pub(crate) fn is_real(&self) -> bool {
        self.0.is_none()
    }

    /// Where a connection to a permitted address ends.
    pub(crate) fn route(&self, address: SocketAddr) -> Option<SocketAddr> {
        match &self.0 {
            Some(stand_in) => stand_in.route(address),
            None => Some(address),
        }
    }

    /// Where HTTP is kept.
    pub(crate) fn tape(&self) -> Option<Arc<HttpTape>> {
        self.0.as_ref().and_then(|stand_in| stand_in.tape())
    }

    /// Gives WASI's clock and random numbers to a component, if they are made up.
    pub(crate) fn replace_in(&self, wasi: &mut WasiCtxBuilder) {
        let Some(stand_in) = &self.0 else { return };
        let bytes = random_bytes(stand_in.seed());
        wasi.wall_clock(StoppedClock(stand_in.now()));
        wasi.secure_random(Deterministic::new(bytes.clone()));
        wasi.insecure_random(Deterministic::new(bytes));
        wasi.insecure_random_seed(u128::from(stand_in.seed()));
    }
}

/// SplitMix64: every seed, 0 as well, gives bytes that look random.
fn random_bytes(seed: u64) -> Vec<u8> {
    let words = (1..=RANDOM_BYTES / 8).map(|at| {
        let word = seed.wrapping_add(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    });
    words.flat_map(u64::to_le_bytes).collect()
}

struct StoppedClock(Timestamp);

impl HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_in_randomness_depends_on_the_seed() {
        assert_eq!(random_bytes(7), random_bytes(7));
        assert_ne!(random_bytes(7), random_bytes(8));
        assert!(random_bytes(0).iter().any(|byte| *byte != 0));
    }

    #[test]
    fn stand_in_is_absent_by_default() {
        let world = World::default();
        let address = "192.0.2.1:443".parse().unwrap();
        assert_eq!(world.route(address), Some(address));
        assert!(world.now().as_secs() > 1_700_000_000);
    }
}
