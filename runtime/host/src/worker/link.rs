//! The worker's identity, its link to the coordinator, and the cache that makes what the link brings survive a restart.

use std::sync::Arc;

use deputy_config::WorkerConfig;
use deputy_core::time::Clock;
use deputy_link::client::{ClientOptions, ClientStopped, Link, LinkClient, LinkPhase, LinkState};
use deputy_link::{DeliveredState, JoinString, WorkerIdentity};
use deputy_store::Store;
use deputy_support::SystemClock;
use deputy_worker::cache::{LeaseCache, StateDirLock};
use deputy_worker::{ApplyTraces, ConnectionPhase, ConnectionSnapshot};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::enrolment::{self, JoinStrings};
use super::identity_records::IdentityRecords;
use super::join_watch::JoinWatch;
use crate::error::ProcessError;
use crate::platform::Platform;
use crate::traces::host_name;

pub(super) struct WorkerLink {
    client: LinkClient,
    pub(super) link: Link,
    /// What is in the cache. Nothing else is applied or given out, so that no restart goes back to a lease that was replaced.
    pub(super) in_use: watch::Receiver<Arc<DeliveredState>>,
    cache: LeaseCache,
    cached: watch::Sender<Arc<DeliveredState>>,
    records: Arc<IdentityRecords>,
    names: LinkNames,
    join_watch: Option<JoinWatch>,
}

/// What of the link's status does not change while the process runs.
#[derive(Clone)]
struct LinkNames {
    worker: String,
    group: String,
}

impl WorkerLink {
    pub(super) async fn open(
        config: &WorkerConfig,
        join: Option<JoinString>,
        store: Arc<dyn Store>,
        state_lock: &StateDirLock,
        version: &str,
        clock: &Arc<dyn Clock>,
        platform: &Platform,
    ) -> Result<Self, ProcessError> {
        let records = Arc::new(IdentityRecords::new(store, Arc::clone(state_lock.lock())));
        let strings = JoinStrings { argument: join, configured: config.join.as_ref(), sources: &platform.sources };
        let identity = enrolment::identity(&records, strings, platform.seed()?, SystemClock::wall()).await?;
        let names = LinkNames::of(&identity);
        let mut cache = state_lock.cache(&names.worker).map_err(ProcessError::LeaseCache)?;
        // Records that cannot be read are no error: the coordinator has them all.
        let held = cache.restore().await;
        tracing::info!(
            worker = %names.worker, group = %names.group, coordinator = %identity.addresses,
            held = held.deliveries.len(), "starting"
        );
        let (cached, in_use) = watch::channel(Arc::new(held.clone()));
        let (client, link) = LinkClient::new(ClientOptions {
            identity,
            identity_store: Arc::clone(&records) as _,
            instances: config.instances.clone().unwrap_or_default(),
            held,
            version: version.to_owned(),
            host: host_name(),
            clock: Arc::clone(clock),
            seed: platform.seed()?,
        });
        let join_watch = config.join.clone().map(|source| JoinWatch::new(source, &records, platform));
        Ok(Self { client, link, in_use, cache, cached, records, names, join_watch })
    }

    /// The id of this worker.
    pub(super) fn worker(&self) -> &str {
        &self.names.worker
    }

    pub(super) fn group(&self) -> &str {
        &self.names.group
    }

    /// Traces what the cache keeps.
    pub(super) fn traced(self, traces: Arc<ApplyTraces>) -> Self {
        Self { cache: self.cache.traced(traces), ..self }
    }

    /// Reads the status of the link.
    pub(super) fn status(&self) -> Box<dyn Fn() -> ConnectionSnapshot + Send + Sync> {
        let names = self.names.clone();
        let state = self.link.state.clone();
        Box::new(move || names.snapshot(&state.borrow()))
    }

    /// Runs the link and the cache in tasks.
    pub(super) fn spawn(self, tasks: &mut JoinSet<()>) {
        tasks.spawn(self.cache.follow(self.link.held.clone(), self.cached));
        let hint = match self.join_watch {
            Some(_) => "; a new join string where `join` in [worker] points is used at the next start",
            None => "",
        };
        if let Some(join_watch) = self.join_watch {
            tasks.spawn(join_watch.run(self.link.state.clone()));
        }
        tasks.spawn(async move {
            let reason = self.client.run().await;
            // The worker is stopping.
            if matches!(reason, ClientStopped::Unused) {
                return;
            }
            self.records.link_stopped(&self.names.worker, &reason).await;
            tracing::error!("link to the coordinator closed: {reason}; held leases stay in use{hint}");
        });
    }
}

impl LinkNames {
    fn of(identity: &WorkerIdentity) -> Self {
        Self { worker: identity.worker.to_string(), group: identity.group.to_string() }
    }

    fn snapshot(&self, state: &LinkState) -> ConnectionSnapshot {
        ConnectionSnapshot {
            worker: self.worker.clone(),
            group: self.group.clone(),
            coordinator: state.address.as_ref().map_or_else(|| state.addresses.to_string(), ToString::to_string),
            addresses: state.addresses.as_slice().iter().map(ToString::to_string).collect(),
            phase: match state.phase {
                LinkPhase::Connecting => ConnectionPhase::Connecting,
                LinkPhase::Connected => ConnectionPhase::Connected,
                LinkPhase::Rejected => ConnectionPhase::Out,
            },
            since: state.since,
            heard: state.last_message,
            error: state.error.clone(),
            certificate_ends: Some(state.certificate_ends),
            refused: state.refusals.iter().map(ToString::to_string).collect(),
        }
    }
}
