//! A worker inside an engine: the leases arrive in its own process, without files and without receivers.
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

use super::join::{JoinFailure, join_until};
use super::link::Link;
use super::link_client::{ClientOptions, IdentityStore, LinkClient};
use crate::delivered_state::DeliveredState;
use crate::identity::{WorkerIdentity, WorkerKey};
use crate::join::JoinString;

/// A worker inside another program.
pub struct Engine {
    version: String,
    host: String,
    instances: BTreeSet<InstanceName>,
    identity_store: Arc<dyn IdentityStore>,
}

/// An engine could not enrol.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The coordinator is not reachable, is another one, or refuses.
    #[error(transparent)]
    Join(#[from] JoinFailure),
    /// It has enrolled, and would have to do so again at its next start.
    #[error("the engine has enrolled, but its identity cannot be saved")]
    Save(#[source] Box<dyn Error + Send + Sync>),
}

/// Saves nothing: each start of the engine enrols a new worker.
pub(crate) struct NoIdentityStore;

#[async_trait]
impl IdentityStore for NoIdentityStore {
    async fn save(&self, _: &WorkerIdentity) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}

const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

impl Engine {
    /// An engine that requests all instances of its group. `version` is a name without spaces, which `deputy workers` shows.
    ///
    /// It keeps its identity in memory: each start spends a use of the token, and the worker of the start before is shown as
    /// `away` until a week after the end of its certificate. See [`Self::with_identity_store`].
    pub fn new(version: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            host: String::new(),
            instances: BTreeSet::new(),
            identity_store: Arc::new(NoIdentityStore),
        }
    }

    /// Sets the name of the machine, for `deputy workers`.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Requests this instance, and no instances but those that are requested. The coordinator then refuses at once what the
    /// group may not have.
    #[must_use]
    pub fn with_instance(mut self, instance: InstanceName) -> Self {
        self.instances.insert(instance);
        self
    }

    /// Saves the identity, so that the engine is the same worker after a restart, when it [resumes](Self::resume).
    #[must_use]
    pub fn with_identity_store(mut self, store: Arc<dyn IdentityStore>) -> Self {
        self.identity_store = store;
        self
    }

    /// Enrols. Retries for half a minute while the coordinator is not reachable, with the same key, so that the token is not
    /// spent twice.
    ///
    /// # Errors
    /// If the coordinator stays unreachable, is another one, or refuses, or if the identity cannot be saved.
    pub async fn join(self, string: &JoinString) -> Result<Link, EngineError> {
        let key = WorkerKey::new().map_err(JoinFailure::from)?;
        let identity = join_until(string, &key, Some(JOIN_TIMEOUT), random_seed(), |_| {}).await?;
        self.identity_store.save(&identity).await.map_err(EngineError::Save)?;
        Ok(self.resume(identity))
    }

    /// Continues as the worker with this identity. It stays connected until all links are dropped.
    pub fn resume(self, identity: WorkerIdentity) -> Link {
        let (client, link) = LinkClient::new(ClientOptions {
            identity,
            identity_store: self.identity_store,
            instances: self.instances,
            held: DeliveredState::default(),
            version: self.version,
            host: self.host,
            clock: Arc::new(SystemClock::default()),
            seed: random_seed(),
        });
        spawn(client);
        link
    }
}

#[expect(clippy::disallowed_methods, reason = "it ends by itself when all links are dropped")]
fn spawn(client: LinkClient) {
    tokio::spawn(async move {
        let stopped = client.run().await;
        tracing::warn!("link to the coordinator closed: {stopped}");
    });
}

/// Spreads the workers over the addresses, and their reconnects over time.
#[expect(clippy::disallowed_methods, reason = "an entry point: it has no random numbers to pass on")]
pub(super) fn random_seed() -> u64 {
    let mut bytes = [0; 8];
    // The clock is the fallback if the system has no random numbers.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        return SystemClock::wall().as_millis();
    }
    u64::from_ne_bytes(bytes)
}
