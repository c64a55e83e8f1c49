//! An engine that is a worker by itself: the leases come into its own process, without files and without receivers.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use deputy_link::client::Engine;
//!
//! let string = std::fs::read_to_string("join")?.parse()?;
//! let link = Engine::new("my-engine-1.0").join(&string).await?;
//! let held = link.held.borrow().deliveries.len();
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use deputy_core::InstanceName;
use deputy_support::SystemClock;

use super::{ClientOptions, IdentityStore, JoinFailure, Link, LinkClient, join_until};
use crate::identity::{WorkerIdentity, WorkerKey};
use crate::join::JoinString;
use crate::worker_state::WorkerState;

/// A worker inside of another program.
pub struct Engine {
    version: String,
    host: String,
    wanted: BTreeSet<InstanceName>,
    keep: Arc<dyn IdentityStore>,
}

/// An engine did not become a worker.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The coordinator is away, or is another one, or says no.
    #[error(transparent)]
    Join(#[from] JoinFailure),
    /// It joined, and would have to do so again at its next start.
    #[error("this engine has enrolled, but saving its identity failed")]
    Keep(#[source] Box<dyn Error + Send + Sync>),
}

/// Keeps nothing: each start of the engine is a new worker.
struct InMemory;

#[async_trait]
impl IdentityStore for InMemory {
    async fn keep(&self, _: &WorkerIdentity) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}

/// How long joining may take in all.
const PATIENCE: Duration = Duration::from_secs(30);

impl Engine {
    /// An engine, as `deputy workers` shows its version: a name without spaces. It wants all that its group gets, and keeps its identity in
    /// memory: each start spends a use of the token, and what was a worker before is `away` from then on, until it is
    /// forgotten a week after the end of its certificate.
    pub fn new(version: impl Into<String>) -> Self {
        Self { version: version.into(), host: String::new(), wanted: BTreeSet::new(), keep: Arc::new(InMemory) }
    }

    /// The name of its machine, for `deputy workers`.
    #[must_use]
    pub fn on(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Wants this instance, and no other than those that it is told to want. What it may not have is said at once, and
    /// not when it is missed.
    #[must_use]
    pub fn wanting(mut self, instance: InstanceName) -> Self {
        self.wanted.insert(instance);
        self
    }

    /// Keeps its identity there, so that it is the same worker after a restart: it then [resumes](Self::resume).
    #[must_use]
    pub fn kept_by(mut self, keep: Arc<dyn IdentityStore>) -> Self {
        self.keep = keep;
        self
    }

    /// Becomes a worker. A coordinator that is away is asked again for half a minute, with the same key, so that a token
    /// is not spent twice.
    ///
    /// # Errors
    /// If it is away for longer, or is another one, or says no; or if the identity can't be kept.
    pub async fn join(self, string: &JoinString) -> Result<Link, EngineError> {
        let key = WorkerKey::new().map_err(JoinFailure::from)?;
        let identity = join_until(string, &key, Some(PATIENCE), seed(), |_| {}).await?;
        self.keep.keep(&identity).await.map_err(EngineError::Keep)?;
        Ok(self.resume(identity))
    }

    /// Goes on as the worker that it was. It stays connected for as long as somebody has the link.
    pub fn resume(self, identity: WorkerIdentity) -> Link {
        let (client, link) = LinkClient::new(ClientOptions {
            identity,
            keep: self.keep,
            wanted: self.wanted,
            held: WorkerState::default(),
            version: self.version,
            host: self.host,
            clock: Arc::new(SystemClock::default()),
            seed: seed(),
        });
        stay(client);
        link
    }
}

#[expect(clippy::disallowed_methods, reason = "it ends by itself when nobody has the link any more")]
fn stay(client: LinkClient) {
    tokio::spawn(async move {
        let out = client.run().await;
        tracing::warn!("link to the coordinator closed: {out}");
    });
}

/// For jitter: without it all engines of a fleet would come back at once.
#[expect(clippy::disallowed_methods, reason = "an engine's entry point: it has no chance to hand over")]
fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Where there is no chance, the clock is better than nothing.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        return SystemClock::wall().as_millis();
    }
    u64::from_ne_bytes(bytes)
}
