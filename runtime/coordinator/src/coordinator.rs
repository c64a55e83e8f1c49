//! The loop.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, InitialBudget, InstanceSnapshot, LeaseRecord, OperatorEvent, ProviderCall, SaveId, Schedule,
    ScheduleAction, ScheduleConfig, ScheduleEvent, ScheduledCallId,
};
use deputy_core::time::{Clock, MonotonicTime, Now};
use deputy_core::{InstanceName, Span, in_one_line};
use deputy_metrics::{CoordinatorMetrics, UpstreamMetrics};
use deputy_sources::SourceContext;
use deputy_store::{Store, StoreError, StoreKey, StoreLock};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::Instrument;

use crate::event_log;
use crate::file_watcher::{FileObservation, FilePlan};
use crate::handle::{CoordinatorCommand, CoordinatorHandle, RequestError};
use crate::lease_board::LeaseBoard;
use crate::lease_store::{LeaseStore, LeaseStoreError};
use crate::loading::Loading;
use crate::provider::Provider;
use crate::providers::Providers;
use crate::status::{CoordinatorStatus, InstanceStatus, OrphanStatus, UpstreamStatus, metrics};
use crate::workers::{Deliveries, Workers};
use crate::write_queue::{PendingWrite, WriteQueue};

/// The clocks are compared at least so often: timers do not count the time that a machine sleeps.
const LOOK: Span = Span::secs(1);

/// Of damaged leases, so many are named in the log.
const DAMAGED_SHOWN: usize = 10;

/// How long writes may go on after the end of the last call.
const LAST_WRITES: Span = Span::secs(3);

/// The lock that a coordinator holds while it runs.
pub const LOCK: &str = "lock/coordinator";

/// What a coordinator is made with.
pub struct CoordinatorOptions {
    /// Where its state is.
    pub store: Arc<dyn Store>,
    /// What it counts into.
    pub metrics: Arc<CoordinatorMetrics>,
    /// Where it publishes.
    pub board: Arc<LeaseBoard>,
    /// What it reads the time from.
    pub clock: Arc<dyn Clock>,
    /// Where the places of files are found from.
    pub surroundings: Arc<SourceContext>,
    /// For jitter.
    pub seed: u64,
    /// How long calls under way may go on when it stops.
    pub shutdown: Span,
    /// The instances of the configuration that is being prepared. What is kept for them is given out until that is done.
    pub known: BTreeSet<InstanceName>,
}

/// A configuration with what can be called.
pub struct CoordinatorConfig {
    /// For the schedule.
    pub configuration: ScheduleConfig,
    /// The components of those instances that have one.
    pub providers: BTreeMap<InstanceName, Arc<dyn Provider>>,
    /// The files of those that have one.
    pub files: FilePlan,
    /// Instances that are configured and whose component is not loaded yet. They come with [`Handle::loaded`].
    pub loading: BTreeSet<InstanceName>,
    /// What each group of workers gets.
    pub deliveries: Deliveries,
}

/// Why there is no coordinator.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// Another one runs, or the store fails.
    #[error("cannot open the state directory")]
    Store(#[from] StoreError),
    /// The records can't be read.
    #[error("cannot read the saved leases")]
    Restore(#[source] Box<dyn Error + Send + Sync>),
}

/// Keeps every lease alive.
pub struct Coordinator {
    pub(crate) schedule: Schedule,
    pub(crate) options: CoordinatorOptions,
    keeper: Arc<LeaseStore>,
    since: Now,
    inputs: mpsc::Receiver<CoordinatorCommand>,
    pub(crate) sender: mpsc::Sender<CoordinatorCommand>,
    pub(crate) providers: Providers,
    work: JoinSet<Ended>,
    calls: BTreeMap<ScheduledCallId, Running>,
    tasks: HashMap<Id, Task>,
    lanes: WriteQueue,
    /// What was last seen of each file.
    pub(crate) looks: BTreeMap<InstanceName, FileObservation>,
    pub(crate) watching: JoinSet<()>,
    /// What of the state is to be cleared when all else runs.
    leftovers: Vec<StoreKey>,
    /// The configuration that was applied last, with what of it is loaded.
    pub(crate) configuration: Option<ScheduleConfig>,
    /// How many configurations there were.
    pub(crate) generation: u64,
    pub(crate) loading: Loading,
    pub(crate) started: watch::Sender<bool>,
    /// Those who get what is published; none if no address is configured at which they could come in.
    pub(crate) workers: Option<Workers>,
    stop_at: Option<MonotonicTime>,
    /// Held as long as this process writes.
    _lock: StoreLock,
}

struct Running {
    abort: AbortHandle,
    instance: InstanceName,
    function: &'static str,
    began: MonotonicTime,
}

/// What a task is about, should it panic.
#[derive(Debug, Clone)]
enum Task {
    Call(ScheduledCallId),
    Write(SaveId, InstanceName),
}

enum Ended {
    Call(ScheduledCallId, CallOutcome),
    Saved(SaveId, Result<(), LeaseStoreError>),
    Forgotten(SaveId, Result<(), LeaseStoreError>),
}

impl Coordinator {
    /// Takes the lock, reads what is kept, and gives out what of it is good. Calls nothing yet.
    ///
    /// # Errors
    /// If another coordinator has the lock, or the state can't be read.
    pub async fn open(options: CoordinatorOptions) -> Result<(Self, CoordinatorHandle), CoordinatorError> {
        let name: StoreKey = LOCK.parse().map_err(|error| CoordinatorError::Restore(Box::new(error)))?;
        let lock = options.store.lock(&name).await?;
        let keeper = Arc::new(LeaseStore::new(Arc::clone(&options.store)));
        let restored = keeper.restore().await.map_err(|error| CoordinatorError::Restore(Box::new(error)))?;
        for error in restored.damaged.iter().take(DAMAGED_SHOWN) {
            tracing::error!(%error, "lease record unusable; obtaining a new lease");
        }
        if restored.damaged.len() > DAMAGED_SHOWN {
            tracing::error!(damaged = restored.damaged.len(), "leases can't be used: they are obtained anew");
        }
        // Who has a predecessor does not know how much of the budgets it used. The first fencing number is 1.
        let begin = if lock.fencing() > 1 { InitialBudget::Empty } else { InitialBudget::Full };
        let schedule = Schedule::new(begin, options.seed);
        let since = options.clock.now();
        tracing::info!(leases = restored.records.len(), fencing = lock.fencing(), "state restored");
        let mut loading = Loading::default();
        for (name, record) in restored.records {
            // Components may have to be compiled first, for minutes after an upgrade: nobody has to wait for that.
            let good =
                record.lease.as_ref().filter(|lease| lease.is_valid(since.wall) && options.known.contains(&name));
            let good = good.filter(|_| record.removed.is_none());
            if let Some(lease) = good {
                options.board.publish(name.clone(), lease.clone());
            }
            let published = good.is_some();
            loading.restore(name, record, published);
        }
        let (sender, inputs) = mpsc::channel(1024);
        let (started, when_started) = watch::channel(false);
        let handle = CoordinatorHandle::new(sender.clone(), Arc::clone(&options.surroundings), when_started);
        let coordinator = Self {
            schedule,
            options,
            keeper,
            since,
            inputs,
            sender,
            providers: Providers::default(),
            work: JoinSet::new(),
            calls: BTreeMap::new(),
            tasks: HashMap::new(),
            lanes: WriteQueue::default(),
            looks: BTreeMap::new(),
            watching: JoinSet::new(),
            leftovers: restored.leftovers,
            configuration: None,
            generation: 0,
            loading,
            started,
            workers: None,
            stop_at: None,
            _lock: lock,
        };
        Ok((coordinator, handle))
    }

    /// The same, with workers, who are told what each group gets.
    #[must_use]
    pub fn with_workers(self, workers: Option<Workers>) -> Self {
        Self { workers, ..self }
    }

    /// Keeps every lease alive that a [configuration](Handle::configure) has, until it is [stopped](Handle::stop). It
    /// answers from the start.
    pub async fn run(mut self) {
        let mut chores = JoinSet::new();
        let (keeper, leftovers) = (Arc::clone(&self.keeper), std::mem::take(&mut self.leftovers));
        chores.spawn(async move { keeper.clear(leftovers).await });
        loop {
            self.act();
            if self.schedule.is_stopped() {
                break;
            }
            let now = self.options.clock.now();
            if self.stop_at.is_some_and(|at| at <= now.mono) && self.cut(now) {
                break;
            }
            let wait = self.wait(now);
            tokio::select! {
                Some(ended) = self.work.join_next_with_id() => self.ended(ended),
                Some(input) = self.inputs.recv() => self.input(input),
                () = elapsed(wait) => self.handle(ScheduleEvent::TimerFired),
            }
        }
        tracing::info!("stopped");
    }

    pub(crate) fn handle(&mut self, event: ScheduleEvent) {
        self.schedule.handle(self.options.clock.now(), event);
    }

    fn wait(&self, now: Now) -> Duration {
        let wake = self.schedule.wake_at(now).map_or(LOOK, |at| at.since(now.mono));
        let stop = self.stop_at.map_or(LOOK, |at| at.since(now.mono));
        wake.min(stop).min(LOOK).duration()
    }

    fn input(&mut self, input: CoordinatorCommand) {
        // Who asked may have gone: then nobody needs the answer.
        match input {
            CoordinatorCommand::Event(ScheduleEvent::Stop) => self.stop(),
            CoordinatorCommand::Event(ScheduleEvent::LeaseRequested(name)) if self.loading.contains(&name) => {
                self.loading.ask(name)
            }
            CoordinatorCommand::Event(event) => self.handle(event),
            CoordinatorCommand::Configure(configure, reply) => drop(reply.send(self.configure(*configure))),
            CoordinatorCommand::Loaded(generation, loaded, reply) => drop(reply.send(self.loaded(generation, *loaded))),
            // What was seen before the last reload is not what is there now.
            CoordinatorCommand::File(generation, name, look) if generation == self.generation => self.look(name, look),
            CoordinatorCommand::File(..) => {}
            CoordinatorCommand::Instance(name, reply) => {
                let now = self.options.clock.now();
                let status = self.schedule.view(&name, now).map(|view| self.instance(&view, now));
                let status = status.or_else(|| self.loading_instance(&name));
                let unknown = || {
                    if self.generation == 0 { RequestError::Starting } else { RequestError::Unknown(name.to_string()) }
                };
                drop(reply.send(status.ok_or_else(unknown)));
            }
            CoordinatorCommand::Alive(reply) => drop(reply.send(())),
            CoordinatorCommand::Leases(reply) => {
                let now = self.options.clock.now();
                let leases = self.schedule.views(now).map(|view| metrics(&view, now)).chain(self.loading_metrics());
                let leases = leases.collect();
                let upstreams = self.schedule.upstreams(now).map(|view| UpstreamMetrics {
                    name: view.name.to_string(),
                    waiting: view.waiting,
                    waits: view.waits,
                });
                drop(reply.send((leases, upstreams.collect())));
            }
            CoordinatorCommand::Status(reply) => drop(reply.send(self.status())),
        }
    }

    fn status(&self) -> CoordinatorStatus {
        let now = self.options.clock.now();
        let scheduled = self.schedule.views(now).map(|view| self.instance(&view, now));
        let mut instances: Vec<_> = scheduled.chain(self.loading_instances()).collect();
        instances.sort_by(|one, other| one.name.cmp(&other.name));
        CoordinatorStatus {
            schema: deputy_local::SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since: self.since.wall.to_string(),
            now: now.wall.to_string(),
            starting: self.generation == 0,
            ready: self.generation > 0 && instances.iter().all(|instance| instance.ready),
            instances,
            upstreams: self.schedule.upstreams(now).map(|view| UpstreamStatus::of(&view)).collect(),
            orphans: self.schedule.orphans(now).map(|(name, kept)| OrphanStatus::of(name, kept)).collect(),
        }
    }

    fn instance(&self, view: &InstanceSnapshot<'_>, now: Now) -> InstanceStatus {
        InstanceStatus::of(view, self.looks.get(view.name), now)
    }

    /// What a file holds now.
    pub(crate) fn look(&mut self, name: InstanceName, look: FileObservation) {
        let found = look.as_ref().ok().cloned();
        self.looks.insert(name.clone(), look);
        self.handle(ScheduleEvent::FileObserved(name, found));
    }

    fn stop(&mut self) {
        let now = self.options.clock.now();
        if self.stop_at.is_none() {
            tracing::info!(calls = self.calls.len(), "stopping");
            self.stop_at = Some(now.mono.plus(self.options.shutdown));
            self.watching = JoinSet::new();
            self.handle(ScheduleEvent::Stop);
        }
    }

    /// Ends the calls that still go on; whether there is nothing more to wait for.
    fn cut(&mut self, now: Now) -> bool {
        if self.calls.is_empty() {
            tracing::warn!("shutdown deadline passed before all state was saved");
            return true;
        }
        for (call, running) in std::mem::take(&mut self.calls) {
            running.abort.abort();
            tracing::warn!(instance = %running.instance, function = running.function, "call cancelled by shutdown");
            let cut = CallOutcome::Failed(FailureKind::Unavailable, "the coordinator stopped".to_owned());
            self.handle(ScheduleEvent::Finished(call, cut));
        }
        self.stop_at = Some(now.mono.plus(LAST_WRITES));
        false
    }

    /// Does what the schedule wants done.
    pub(crate) fn act(&mut self) {
        while let Some(action) = self.schedule.next_action() {
            match action {
                ScheduleAction::Call(call, name, work) => self.call(call, name, work),
                ScheduleAction::Cancel(call) => {
                    if let Some(running) = self.calls.remove(&call) {
                        running.abort.abort();
                    }
                }
                ScheduleAction::Detach(call) => {
                    if let Some(running) = self.calls.get(&call) {
                        let Running { instance, function, .. } = running;
                        tracing::info!(%instance, function, %call, "gave up a call: what it still brings is revoked");
                    }
                }
                ScheduleAction::Forget(ticket, name) => self.write(ticket, name, None),
                ScheduleAction::Publish(name, lease) => {
                    tracing::info!(
                        instance = %name, revision = %lease.revision, valid_until = %lease.valid_until, "published"
                    );
                    self.options.board.publish(name, lease);
                }
                ScheduleAction::Save(ticket, name, record) => self.write(ticket, name, Some(record)),
                ScheduleAction::Notify(told) => {
                    self.count(&told);
                    event_log::log(&told);
                }
                ScheduleAction::Withdraw(name) => {
                    tracing::info!(instance = %name, "lease withdrawn");
                    self.options.board.withdraw(&name);
                }
            }
        }
    }

    fn count(&self, notice: &OperatorEvent) {
        match notice {
            OperatorEvent::ClockJumped(_) => self.options.metrics.record_clock_jump(),
            OperatorEvent::RevokeGivenUp(instance, _, why) => {
                self.options.metrics.record_not_revoked(instance.as_str(), why.word());
            }
            _ => {}
        }
    }

    fn call(&mut self, call: ScheduledCallId, instance: InstanceName, work: ProviderCall) {
        let now = self.options.clock.now();
        let function = work.word();
        if self.schedule.view(&instance, now).is_some_and(|view| view.failures > 0) {
            self.options.metrics.record_retry(instance.as_str());
        }
        let current = self.schedule.view(&instance, now).map(|view| view.plan.fingerprint);
        let provider =
            work.payload_of().or(current).and_then(|fingerprint| self.providers.find(&instance, fingerprint));
        let span = tracing::info_span!("call", %instance, function, number = %call);
        let task = async move {
            let outcome = match provider {
                Some(provider) => provider.call(&work).await,
                None => CallOutcome::Failed(
                    FailureKind::Misconfigured,
                    "the component that obtained it is not loaded".to_owned(),
                ),
            };
            Ended::Call(call, outcome)
        };
        let abort = self.work.spawn(task.instrument(span));
        self.tasks.insert(abort.id(), Task::Call(call));
        self.calls.insert(call, Running { abort, instance, function, began: now.mono });
    }

    fn write(&mut self, ticket: SaveId, name: InstanceName, record: Option<LeaseRecord>) {
        if let Some(write) = self.lanes.enter(PendingWrite { ticket, name, record }) {
            self.begin_write(write);
        }
    }

    fn begin_write(&mut self, write: PendingWrite) {
        let keeper = Arc::clone(&self.keeper);
        let PendingWrite { ticket, name, record } = write;
        let of = name.clone();
        let abort = self.work.spawn(async move {
            match record {
                Some(record) => Ended::Saved(ticket, keeper.save(&name, &record).await),
                None => Ended::Forgotten(ticket, keeper.forget(&name).await),
            }
        });
        self.tasks.insert(abort.id(), Task::Write(ticket, of));
    }

    fn next_write(&mut self, name: &InstanceName) {
        if let Some(write) = self.lanes.leave(name) {
            self.begin_write(write);
        }
    }

    fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        match ended {
            Ok((id, ended)) => {
                let task = self.tasks.remove(&id);
                if let Some(Task::Write(_, name)) = &task {
                    self.next_write(name);
                }
                match (ended, task) {
                    (Ended::Call(call, outcome), _) => self.called(call, outcome),
                    (Ended::Saved(ticket, written) | Ended::Forgotten(ticket, written), task) => {
                        let lost = matches!(&written, Err(LeaseStoreError::Store(StoreError::LockLost { .. })));
                        self.written(ticket, written.map_err(|error| in_one_line(&error)));
                        if lost && self.stop_at.is_none() {
                            tracing::error!("another coordinator uses the state: this one stops");
                            self.stop();
                        }
                        if let Some(Task::Write(_, name)) = task {
                            self.providers.prune(&name, &self.schedule);
                        }
                    }
                }
            }
            Err(error) => match self.tasks.remove(&error.id()) {
                Some(_) if error.is_cancelled() => {}
                Some(Task::Call(call)) => {
                    tracing::error!("call panicked; this is a bug, please report it");
                    self.called(
                        call,
                        CallOutcome::Failed(FailureKind::Internal, "the call panicked: this is a bug".to_owned()),
                    );
                }
                Some(Task::Write(ticket, name)) => {
                    self.next_write(&name);
                    self.written(ticket, Err("the write panicked: this is a bug".to_owned()));
                }
                None => {}
            },
        }
    }

    fn called(&mut self, call: ScheduledCallId, outcome: CallOutcome) {
        let now = self.options.clock.now();
        let outcome = kept(outcome);
        // One that was cancelled may have ended at the same time.
        let Some(running) = self.calls.remove(&call) else { return };
        let word = match &outcome {
            CallOutcome::Failed(kind, _) => kind.word(),
            CallOutcome::NotRequired => "not-required",
            CallOutcome::Obtained(_) | CallOutcome::Revoked => "done",
        };
        let took = now.mono.since(running.began).duration();
        self.options.metrics.record_call(running.instance.as_str(), running.function, word, took.as_secs_f64());
        self.handle(ScheduleEvent::Finished(call, outcome));
    }

    fn written(&mut self, ticket: SaveId, written: Result<(), String>) {
        let (outcome, event) = match written {
            Ok(()) => (deputy_observe::AuditOutcome::Done, ScheduleEvent::Saved(ticket)),
            Err(error) => (deputy_observe::AuditOutcome::Failed, ScheduleEvent::SaveFailed(ticket, error)),
        };
        self.options.metrics.record_save(outcome);
        self.handle(event);
    }
}

/// What was obtained, unless it can never be saved: then it is not given out, and the call has failed.
fn kept(outcome: CallOutcome) -> CallOutcome {
    match outcome {
        CallOutcome::Obtained(tokens) if !LeaseStore::fits(tokens.payload.len()) => {
            let message = format!("the payload has {} bytes, too many to be saved", tokens.payload.len());
            CallOutcome::Failed(FailureKind::OverLimit, message)
        }
        outcome => outcome,
    }
}

#[expect(clippy::disallowed_methods, reason = "the loop's one timer: the schedule said how long nothing is due")]
async fn elapsed(wait: Duration) {
    tokio::time::sleep(wait).await;
}

#[cfg(test)]
#[path = "coordinator_tests.rs"]
mod tests;
