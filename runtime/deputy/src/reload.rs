//! All configurations come from here, the first one and those of a reload, and one task applies them in their order.
//!
//! The first configuration is applied before its components are loaded, and each instance when its own is. A reload is
//! applied as a whole once all of it is loaded, or not at all. What can't be loaded is tried again now and then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deputy_config::{Colour, ConfigErrors, CoordinatorFile, CoordinatorSection as Coordinates, Finding};
use deputy_coordinator::{
    CoordinatorHandle, Deliveries, Loaded, Lost, Reload, ReloadReply, Removals, RequestError, Shape,
};
use deputy_core::in_one_line;
use deputy_local::ControlError;
use deputy_observe::Audit;
use deputy_store::Store;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinSet};

use crate::load::{ComponentLoader, Part, Ready};
use crate::removal;

/// More warnings of a configuration than these are counted and not repeated.
const WARNINGS: usize = 50;

/// How often a component is tried again that could not be loaded.
const LOAD_AGAIN: Duration = Duration::from_secs(30);

/// How long parts are gathered: each time that the coordinator is told costs it a look at all instances.
const GATHER: Duration = Duration::from_millis(50);

/// Reloads that may wait for their turn.
const WAITING: usize = 16;

/// Applies configurations.
pub(crate) struct Reloader {
    preparer: Arc<ComponentLoader>,
    handle: CoordinatorHandle,
    audit: Arc<Audit>,
    requests: mpsc::Receiver<Request>,
    /// Where the names of the configuration in use are kept for the next start.
    store: Arc<dyn Store>,
    current: Current,
    candidate: Option<Candidate>,
}

/// Asks for reloads.
pub(crate) struct Reloads(mpsc::Sender<Request>);

/// A reload that may lack so much, and who asked for it.
type Request = (Removals, Reply);

type Reply = oneshot::Sender<Result<ReloadReply, ControlError>>;

/// The configuration that is in use.
struct Current {
    config: Arc<CoordinatorFile>,
    generation: u64,
    deliveries: Deliveries,
    failed: BTreeMap<Part, String>,
    loading: Loading,
}

/// A configuration that takes its place once all of it is loaded.
struct Candidate {
    config: Arc<CoordinatorFile>,
    warnings: Vec<String>,
    reply: Reply,
    loaded: Vec<Done>,
    loading: Loading,
}

/// Components that are being loaded.
#[derive(Default)]
struct Loading {
    tasks: JoinSet<Result<Ready, String>>,
    parts: HashMap<Id, Part>,
}

type Done = (Part, Result<Ready, String>);

impl Reloads {
    /// Whatever becomes of who asked, a reload that has begun goes on.
    async fn ask(&self, removals: Removals) -> Option<Result<ReloadReply, ControlError>> {
        let (reply, answer) = oneshot::channel();
        self.0.send((removals, reply)).await.ok()?;
        answer.await.ok()
    }
}

#[async_trait]
impl Reload for Reloads {
    async fn reload(&self, removals: Removals) -> Result<ReloadReply, ControlError> {
        self.ask(removals).await.unwrap_or_else(|| Err(RequestError::Stopping.into()))
    }
}

impl Reloader {
    /// `before` has the names in the configuration of the process before this one.
    pub(crate) fn new(
        preparer: ComponentLoader,
        config: CoordinatorFile,
        handle: CoordinatorHandle,
        audit: Arc<Audit>,
        store: Arc<dyn Store>,
        before: &Shape,
    ) -> (Self, Reloads) {
        let (sender, requests) = mpsc::channel(WAITING);
        let current = Current {
            config: Arc::new(config),
            generation: 0,
            deliveries: Deliveries { before: removal::had(before), ..Deliveries::default() },
            failed: BTreeMap::new(),
            loading: Loading::default(),
        };
        let preparer = Arc::new(preparer);
        (Self { preparer, handle, audit, requests, store, current, candidate: None }, Reloads(sender))
    }

    /// Until the coordinator stops.
    pub(crate) async fn run(mut self) {
        // The only error: there is nothing more to do.
        self.serve().await.ok();
    }

    async fn serve(&mut self) -> Result<(), RequestError> {
        self.begin().await?;
        let mut retry = Box::pin(pause(LOAD_AGAIN));
        loop {
            tokio::select! {
                Some(done) = self.current.loading.next() => self.loaded(done).await?,
                done = next(&mut self.candidate) => self.advance(done).await?,
                Some((removals, reply)) = self.requests.recv(), if self.candidate.is_none() => {
                    self.read(removals, reply).await;
                }
                () = &mut retry => {
                    self.retry();
                    retry.set(pause(LOAD_AGAIN));
                }
            }
        }
    }

    /// Applies the configuration of the start, and begins to load it.
    async fn begin(&mut self) -> Result<(), RequestError> {
        let current = &mut self.current;
        let mut setup = ComponentLoader::unloaded(&current.config);
        setup.deliveries.before = std::mem::take(&mut current.deliveries.before);
        current.deliveries = setup.deliveries.clone();
        current.generation = self.handle.configure(setup).await?.generation;
        let parts = ComponentLoader::parts(&current.config);
        tracing::info!(components = parts.len(), "loading components (the first load compiles them)");
        for part in parts {
            current.loading.add(&self.preparer, &current.config, part);
        }
        Ok(())
    }

    /// Takes in parts that are loaded, or can't be.
    async fn loaded(&mut self, done: Done) -> Result<(), RequestError> {
        let mut loaded = Loaded::default();
        self.current.take(done, &mut loaded);
        let gather = async {
            while let Some(done) = self.current.loading.next().await {
                self.current.take(done, &mut loaded);
            }
        };
        // Either way what was taken is there.
        tokio::time::timeout(GATHER, gather).await.ok();
        if !loaded.plans.is_empty() || loaded.deliveries.is_some() {
            self.handle.loaded(self.current.generation, loaded).await?;
        }
        if self.current.loading.is_empty() {
            self.preparer.prune().await;
        }
        Ok(())
    }

    fn retry(&mut self) {
        let current = &mut self.current;
        let parts: Vec<Part> = current.failed.keys().filter(|part| !current.loading.has(part)).cloned().collect();
        for part in parts {
            current.loading.add(&self.preparer, &current.config, part);
        }
    }

    /// Reads the configuration again, and begins to load it.
    async fn read(&mut self, removals: Removals, reply: Reply) {
        // First, since a rotation of the log does not wait for a good configuration.
        let reopened = self.audit.reopen().await;
        let config = match CoordinatorFile::load(&self.current.config.path) {
            Ok(config) => Arc::new(config),
            Err(error) => {
                reply.send(Err(invalid(&error))).ok();
                return;
            }
        };
        if let Some(lost) = removal::shape(&self.current.config).lost(&removal::shape(&config))
            && removals == Removals::Few
        {
            reply.send(Err(cut_short(&config, &lost))).ok();
            return;
        }
        let mut loading = Loading::default();
        for part in ComponentLoader::parts(&config) {
            loading.add(&self.preparer, &config, part);
        }
        let mut warnings = self.current.warnings(&config);
        warnings.extend(reopened.err().map(|error| in_one_line(&error)));
        self.candidate = Some(Candidate { config, warnings, reply, loaded: Vec::new(), loading });
    }

    /// Takes in a part of the candidate, or applies it if there are no more.
    async fn advance(&mut self, done: Option<Done>) -> Result<(), RequestError> {
        match (done, &mut self.candidate) {
            (Some(done), Some(candidate)) => candidate.loaded.push(done),
            (None, candidate) => {
                if let Some(candidate) = candidate.take() {
                    self.apply(candidate).await?;
                }
            }
            (Some(_), None) => {}
        }
        Ok(())
    }

    /// Applies a configuration, unless something in it can't be loaded that could be before.
    async fn apply(&mut self, candidate: Candidate) -> Result<(), RequestError> {
        let Candidate { config, warnings, reply, loaded, .. } = candidate;
        if let Some(refusal) = self.current.refusal(&loaded) {
            reply.send(Err(refusal)).ok();
            return Ok(());
        }
        let mut next = Current {
            config,
            generation: 0,
            deliveries: Deliveries::default(),
            failed: BTreeMap::new(),
            loading: Loading::default(),
        };
        let mut setup = ComponentLoader::unloaded(&next.config);
        next.deliveries = std::mem::take(&mut setup.deliveries);
        let mut taken = Loaded::default();
        for done in loaded {
            next.take(done, &mut taken);
        }
        setup.configuration.plans.extend(taken.plans);
        setup.providers.extend(taken.providers);
        setup.loading.clear();
        setup.deliveries = next.deliveries.clone();
        let changed = self.handle.configure(setup).await?;
        next.generation = changed.generation;
        self.current = next;
        removal::keep(&self.current.config, &*self.store, self.preparer.now()).await;
        reply.send(Ok(ReloadReply::new(changed, warnings))).ok();
        self.preparer.prune().await;
        Ok(())
    }
}

impl Current {
    /// Notes what came of a part, and adds what the coordinator has to know.
    fn take(&mut self, (part, result): Done, loaded: &mut Loaded) {
        match result {
            Ok(ready) => {
                if self.failed.remove(&part).is_some() {
                    tracing::info!(%part, "loaded");
                }
                self.add(part, ready, loaded);
            }
            Err(why) if self.failed.get(&part) == Some(&why) => {}
            Err(why) => {
                tracing::error!(%part, %why, "cannot be loaded; tried again every {} s", LOAD_AGAIN.as_secs());
                self.failed.insert(part.clone(), why.clone());
                if let Part::Instance(name) = &part
                    && let Some(failed) = ComponentLoader::failed(&self.config, name, why)
                {
                    self.add(part, Ready::Instance(failed), loaded);
                }
            }
        }
    }

    fn add(&mut self, part: Part, ready: Ready, loaded: &mut Loaded) {
        match (part, ready) {
            (Part::Instance(name), Ready::Instance(instance)) => {
                let fingerprint = instance.plan.fingerprint;
                if self.deliveries.fingerprints.insert(name.clone(), fingerprint) != Some(fingerprint) {
                    loaded.deliveries = Some(self.deliveries.clone());
                }
                loaded.plans.insert(name.clone(), instance.plan);
                loaded.providers.insert(name, instance.provider);
            }
            (Part::Receiver(group, name), Ready::Receiver(binding, bytes)) => {
                if let Some(given) = self.deliveries.groups.get_mut(&group) {
                    given.components.insert(binding.component, bytes);
                    given.receivers.insert(name, Some(binding));
                }
                loaded.deliveries = Some(self.deliveries.clone());
            }
            (Part::Instance(_), Ready::Receiver(..)) | (Part::Receiver(..), Ready::Instance(_)) => {}
        }
    }

    /// Why a configuration is not applied. What can't be loaded now, or was not loaded yet, is no reason.
    fn refusal(&self, loaded: &[Done]) -> Option<ControlError> {
        let new: Vec<(&Part, &String)> = loaded
            .iter()
            .filter_map(|(part, result)| Some((part, result.as_ref().err()?)))
            .filter(|(part, _)| !self.failed.contains_key(part) && !self.loading.has(part))
            .collect();
        if new.is_empty() {
            return None;
        }
        let details: String = new.iter().map(|(part, why)| format!("{part}: {why}\n")).collect();
        let these = if new.len() == 1 { "an instance".to_owned() } else { format!("{} instances", new.len()) };
        let message = format!("{these} can't be loaded: nothing was changed");
        Some(ControlError { details, ..ControlError::new("misconfigured", &message) })
    }

    /// What an operator should know of a configuration that follows.
    fn warnings(&self, config: &CoordinatorFile) -> Vec<String> {
        let mut warnings = warnings(config);
        let calls = config.coordinator.calls;
        let before = Coordinates { calls, ..self.config.coordinator.clone() };
        if config.coordinator != before || config.audit != self.config.audit {
            warnings.push("`audit` and [coordinator], beside `calls`, change at the next start".to_owned());
        }
        warnings
    }
}

impl Loading {
    fn add(&mut self, preparer: &Arc<ComponentLoader>, config: &Arc<CoordinatorFile>, part: Part) {
        let (preparer, config, of) = (Arc::clone(preparer), Arc::clone(config), part.clone());
        let task = self.tasks.spawn(async move { preparer.load(&config, &of).await });
        self.parts.insert(task.id(), part);
    }

    fn has(&self, part: &Part) -> bool {
        self.parts.values().any(|loading| loading == part)
    }

    fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The next part; `None` if there is none.
    async fn next(&mut self) -> Option<Done> {
        loop {
            let ended = self.tasks.join_next_with_id().await?;
            if let Some(done) = self.done(ended) {
                return Some(done);
            }
        }
    }

    fn done(&mut self, ended: Result<(Id, Result<Ready, String>), tokio::task::JoinError>) -> Option<Done> {
        let (id, result) = ended.unwrap_or_else(|error| {
            (error.id(), Err("loading it panicked: this is a bug, please report it".to_owned()))
        });
        Some((self.parts.remove(&id)?, result))
    }
}

/// The next part of a candidate, and `None` after the last.
async fn next(candidate: &mut Option<Candidate>) -> Option<Done> {
    match candidate {
        Some(candidate) => candidate.loading.next().await,
        None => std::future::pending().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing tells when a component's file is mended")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// What has no effect, or another one than it seems.
pub(crate) fn warnings(config: &CoordinatorFile) -> Vec<String> {
    let told = |finding: Finding| {
        let expected = finding.expected.map(|expected| format!(" ({expected})")).unwrap_or_default();
        format!("{}:{}:{}: {}{expected}", finding.file, finding.line, finding.column, finding.message)
    };
    let mut warnings: Vec<String> = removal::no_instance(config).map(str::to_owned).into_iter().collect();
    warnings.extend(config.warnings.findings().take(WARNINGS).map(told));
    if let Some(more) = config.warnings.len().checked_sub(WARNINGS).filter(|more| *more > 0) {
        warnings.push(format!("and {more} more warnings: `deputy check` lists them"));
    }
    warnings
}

fn cut_short(config: &CoordinatorFile, lost: &Lost) -> ControlError {
    let path = config.path.display();
    let message = format!(
        "{path} looks cut short, and nothing was changed: {lost}; if that is meant, use `deputy reload --remove`"
    );
    ControlError::new("misconfigured", &message)
}

fn invalid(error: &ConfigErrors) -> ControlError {
    match error {
        ConfigErrors::Invalid(findings) => {
            let (count, path) = (findings.len(), findings.path().display());
            let errors = if count == 1 { "1 error".to_owned() } else { format!("{count} errors") };
            let message = format!("{errors} in {path}: nothing was changed");
            let details = findings.render(Colour::Never);
            ControlError { details, ..ControlError::new("misconfigured", &message) }
        }
        error => ControlError::new("misconfigured", &format!("{}: nothing was changed", in_one_line(error))),
    }
}
