//! One task puts all configurations into effect, one after the other: that of the start, and those of SIGHUP and of the
//! operator's `reload`.
//!
//! The first configuration is applied before its components are loaded, and each component when it is ready. A later one is
//! applied as a whole once all of it is loaded, or not at all. What cannot be loaded is retried.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deputy_audit::Audit;
use deputy_config::CoordinatorFile;
use deputy_coordinator::{
    ConfigurationNames, ControlRequestError, CoordinatorHandle, EarlierDeliveries, Leading, LoadedInstances, Reload,
    ReloadReply, ReloadSummary, Removals,
};
use deputy_core::{GroupName, S3Places, in_one_line};
use deputy_local::ControlError;
use deputy_store::Store;
use deputy_support::pause;
use tokio::sync::{mpsc, oneshot, watch};

use super::component_loader::ComponentLoader;
use super::configured_component::ConfiguredComponent;
use super::effective_config::{EffectiveConfig, LOAD_RETRY};
use super::loading_tasks::{LoadResult, LoadingTasks};
use super::unloaded_config::unloaded_config;
use super::{reload_report, removal};
use crate::s3_places;

/// How long loaded components are gathered: for each message the coordinator looks at all instances.
const GATHER: Duration = Duration::from_millis(50);

/// Reload requests that may be queued.
const QUEUE: usize = 16;

pub(crate) struct Reloader {
    loader: Arc<ComponentLoader>,
    handle: CoordinatorHandle,
    audit: Arc<Audit>,
    requests: mpsc::Receiver<ReloadRequest>,
    store: Arc<dyn Store>,
    leading: Leading,
    places: watch::Sender<Arc<S3Places>>,
    in_effect: watch::Sender<Arc<CoordinatorFile>>,
    current: EffectiveConfig,
    candidate: Option<Candidate>,
}

pub(crate) struct ReloadHandle(mpsc::Sender<ReloadRequest>);

type ReloadRequest = (Removals, ReplySender);

type ReplySender = oneshot::Sender<Result<ReloadReply, ControlError>>;

/// A configuration that takes effect once all of it is loaded.
struct Candidate {
    config: Arc<CoordinatorFile>,
    warnings: Vec<String>,
    reply: ReplySender,
    results: Vec<LoadResult>,
    loading: LoadingTasks,
}

#[async_trait]
impl Reload for ReloadHandle {
    /// A reload that has begun goes on if the caller goes away.
    async fn reload(&self, removals: Removals) -> Result<ReloadReply, ControlError> {
        let (reply, answer) = oneshot::channel();
        self.0.send((removals, reply)).await.map_err(|_| ControlRequestError::Stopping)?;
        answer.await.map_err(|_| ControlRequestError::Stopping)?
    }
}

impl Reloader {
    pub(crate) fn new(
        loader: ComponentLoader,
        config: CoordinatorFile,
        handle: CoordinatorHandle,
        audit: Arc<Audit>,
        store: Arc<dyn Store>,
        leading: Leading,
        places: watch::Sender<Arc<S3Places>>,
    ) -> (Self, ReloadHandle) {
        let (sender, requests) = mpsc::channel(QUEUE);
        let config = Arc::new(config);
        let in_effect = watch::Sender::new(Arc::clone(&config));
        let current = EffectiveConfig::new(config, Default::default());
        let loader = Arc::new(loader);
        let reloader =
            Self { loader, handle, audit, requests, store, leading, places, in_effect, current, candidate: None };
        (reloader, ReloadHandle(sender))
    }

    /// Follows the configuration in effect.
    pub(crate) fn in_effect(&self) -> watch::Receiver<Arc<CoordinatorFile>> {
        self.in_effect.subscribe()
    }

    /// Runs until the coordinator stops. `previous` has the names of the configuration of the process before this one.
    pub(crate) async fn run(mut self, previous: &ConfigurationNames) {
        // The only error is that the coordinator has stopped.
        self.serve(removal::previous_deliveries(previous)).await.ok();
    }

    async fn serve(&mut self, previous: BTreeMap<GroupName, EarlierDeliveries>) -> Result<(), ControlRequestError> {
        self.start(previous).await?;
        let mut retry = Box::pin(pause(LOAD_RETRY));
        loop {
            tokio::select! {
                Some(result) = self.current.loading.next() => self.loaded(result).await?,
                result = next_result(&mut self.candidate) => self.advance(result).await?,
                Some((removals, reply)) = self.requests.recv(), if self.candidate.is_none() => {
                    self.read(removals, reply).await;
                }
                Ok(()) = self.leading.changed() => self.save_names().await,
                () = &mut retry => {
                    self.retry_failed();
                    retry.set(pause(LOAD_RETRY));
                }
            }
        }
    }

    async fn start(&mut self, previous: BTreeMap<GroupName, EarlierDeliveries>) -> Result<(), ControlRequestError> {
        self.put_into_effect(Arc::clone(&self.current.config), previous, Vec::new()).await?;
        let components = ConfiguredComponent::all(&self.current.config);
        tracing::info!(components = components.len(), "loading components (the first load compiles them)");
        self.current.loading.start(&self.loader, &self.current.config, components);
        Ok(())
    }

    /// The one way in for a configuration, with what of it is loaded.
    async fn put_into_effect(
        &mut self,
        config: Arc<CoordinatorFile>,
        previous: BTreeMap<GroupName, EarlierDeliveries>,
        results: Vec<LoadResult>,
    ) -> Result<ReloadSummary, ControlRequestError> {
        let mut configuration = unloaded_config(&config);
        configuration.deliveries.before = previous;
        let mut next = EffectiveConfig::new(config, configuration.deliveries);
        let mut loaded = LoadedInstances::default();
        for result in results {
            next.record(result, &mut loaded);
        }
        configuration.loading.retain(|name| !loaded.plans.contains_key(name));
        configuration.configuration.plans.extend(loaded.plans);
        configuration.providers.extend(loaded.providers);
        configuration.deliveries = next.deliveries.clone();
        let summary = self.handle.configure(configuration).await?;
        next.generation = summary.generation;
        self.places.send_replace(Arc::new(s3_places::of_coordinator(&next.config)));
        self.in_effect.send_replace(Arc::clone(&next.config));
        self.current = next;
        Ok(summary)
    }

    /// Passes on components of the current configuration as they are loaded.
    async fn loaded(&mut self, result: LoadResult) -> Result<(), ControlRequestError> {
        let mut loaded = LoadedInstances::default();
        self.current.record(result, &mut loaded);
        let gather = async {
            while let Some(result) = self.current.loading.next().await {
                self.current.record(result, &mut loaded);
            }
        };
        // What was recorded before the timeout counts as well.
        tokio::time::timeout(GATHER, gather).await.ok();
        if !loaded.plans.is_empty() || loaded.deliveries.is_some() {
            self.handle.loaded(self.current.generation, loaded).await?;
        }
        if self.current.loading.is_empty() {
            self.save_names().await;
            self.loader.prune().await;
        }
        Ok(())
    }

    /// Saves the names of the configuration in effect, with the components that are loaded, if this coordinator leads.
    async fn save_names(&self) {
        let lock = self.leading.borrow().clone();
        let Some(lock) = lock else { return };
        let EffectiveConfig { config, deliveries, .. } = &self.current;
        removal::save_names(config, deliveries, &*self.store, &lock, self.loader.now()).await;
    }

    fn retry_failed(&mut self) {
        let EffectiveConfig { config, failed, loading, .. } = &mut self.current;
        let components: Vec<_> = failed.keys().filter(|component| !loading.contains(component)).cloned().collect();
        loading.start(&self.loader, config, components);
    }

    /// Reads the configuration again, and begins to load it.
    async fn read(&mut self, removals: Removals, reply: ReplySender) {
        // Even if the configuration is invalid: log rotation does not wait for a valid one.
        let reopened = self.audit.reopen().await;
        let config = match self.read_config(removals) {
            Ok(config) => Arc::new(config),
            Err(error) => {
                reply.send(Err(error)).ok();
                return;
            }
        };
        let mut loading = LoadingTasks::default();
        loading.start(&self.loader, &config, ConfiguredComponent::all(&config));
        let mut warnings = reload_report::reload_warnings(&self.current.config, &config);
        warnings.extend(reopened.err().map(|error| in_one_line(&error)));
        self.candidate = Some(Candidate { config, warnings, reply, results: Vec::new(), loading });
    }

    fn read_config(&self, removals: Removals) -> Result<CoordinatorFile, ControlError> {
        let current = &self.current.config;
        let next = CoordinatorFile::load(&current.path).map_err(|error| reload_report::invalid(&error))?;
        match removal::names(current).missing_in(&removal::names(&next)) {
            Some(lost) if removals == Removals::Few => Err(reload_report::truncated(&next, &lost)),
            _ => Ok(next),
        }
    }

    /// Takes the next result of the candidate; `None` means that it is complete.
    async fn advance(&mut self, result: Option<LoadResult>) -> Result<(), ControlRequestError> {
        match (result, &mut self.candidate) {
            (Some(result), Some(candidate)) => candidate.results.push(result),
            (None, candidate) => {
                if let Some(candidate) = candidate.take() {
                    self.apply(candidate).await?;
                }
            }
            (Some(_), None) => {}
        }
        Ok(())
    }

    /// Applies the candidate, unless a component in it cannot be loaded that could be before.
    async fn apply(&mut self, candidate: Candidate) -> Result<(), ControlRequestError> {
        let Candidate { config, warnings, reply, results, .. } = candidate;
        let failures = self.current.new_failures(&results);
        if !failures.is_empty() {
            reply.send(Err(reload_report::not_loaded(&failures))).ok();
            return Ok(());
        }
        let summary = self.put_into_effect(config, BTreeMap::new(), results).await?;
        self.save_names().await;
        reply.send(Ok(ReloadReply::new(summary, warnings))).ok();
        self.loader.prune().await;
        Ok(())
    }
}

/// The candidate's next result, and `None` after the last; pending without a candidate.
async fn next_result(candidate: &mut Option<Candidate>) -> Option<LoadResult> {
    match candidate {
        Some(candidate) => candidate.loading.next().await,
        None => std::future::pending().await,
    }
}
