//! The loop: what is held comes in, the machine decides, runs and hooks go out as tasks, reports to the coordinator.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use deputy_core::failure::FailureKind;
use deputy_core::time::{Clock, MonotonicTime, Now};
use deputy_core::{InstanceName, ReceiverName, Span, in_one_line};
use deputy_link::{DeliveredState, DeliveryReport};
use deputy_metrics::WorkerMetrics;
use deputy_store::Random;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::Instrument as _;

use crate::connection::ConnectionSnapshot;
use crate::event_log;
use crate::handle::{WorkerCommand, WorkerHandle};
use crate::hook::{Hook, HookContext};
use crate::receiver::{AcceptError, ReceiverLoader};
use crate::receiver_policy::ReceiverPolicies;
use crate::receiver_runner::ReceiverRunner;
use crate::reconciler::{ReceiverRun, Reconciler, ReconcilerAction, ReconcilerEvent, RunId, RunOutcome, WorkerEvent};
use crate::status::WorkerReport;
use crate::unit::{PublishOutcome, UnitName};
use crate::watch::Watch;

/// The clocks are compared at least so often: timers do not count the time that a machine sleeps.
const LOOK: Span = Span::secs(1);

/// What a worker is made with.
pub struct WorkerOptions {
    /// What its operator says.
    pub plans: Arc<ReceiverPolicies>,
    /// What brings receivers.
    pub loader: Arc<dyn ReceiverLoader>,
    /// What it counts into.
    pub metrics: Arc<WorkerMetrics>,
    /// What it reads the time from.
    pub clock: Arc<dyn Clock>,
    /// For the names of units.
    pub random: Random,
    /// For jitter.
    pub seed: u64,
    /// What is held: from the start what is kept from before, then what the link brings.
    pub held: watch::Receiver<Arc<DeliveredState>>,
    /// Where reports go.
    pub reports: mpsc::Sender<DeliveryReport>,
    /// How the link is.
    pub connection: Box<dyn Fn() -> ConnectionSnapshot + Send + Sync>,
}

/// Applies what is held.
pub struct Worker {
    options: WorkerOptions,
    machine: Reconciler,
    since: Now,
    /// When the machine last handled anything.
    looked_at: MonotonicTime,
    inputs: mpsc::Receiver<WorkerCommand>,
    seats: BTreeMap<ReceiverName, ReceiverRunner>,
    work: JoinSet<Ended>,
    tasks: HashMap<Id, Task>,
    /// What each receiver published last.
    units: BTreeMap<ReceiverName, Option<UnitName>>,
    /// What the coordinator has still to be told: of each instance the newest.
    outbox: VecDeque<DeliveryReport>,
    /// When to look whether that is still there.
    watch: Watch,
    chance: fastrand::Rng,
    /// Whether more can come.
    source: Source,
}

/// What a task is about, should it panic.
#[derive(Debug, Clone)]
enum Task {
    Hook(ReceiverName),
    Look(ReceiverName, UnitName),
    Run(RunId, ReceiverName, MonotonicTime),
}

enum Ended {
    Hook(Result<(), String>),
    Look(Result<(), String>),
    Run(RunOutcome),
}

/// Whether what is held may still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Flows,
    /// The link has ended: what is held stays.
    Ended,
}

impl Worker {
    /// A worker that does nothing yet, and what others have of it.
    pub fn new(options: WorkerOptions) -> (Self, WorkerHandle) {
        let (sender, inputs) = mpsc::channel(64);
        let worker = Self {
            machine: Reconciler::new(Arc::clone(&options.plans), options.seed),
            since: options.clock.now(),
            looked_at: options.clock.now().mono,
            inputs,
            seats: BTreeMap::new(),
            work: JoinSet::new(),
            tasks: HashMap::new(),
            units: BTreeMap::new(),
            outbox: VecDeque::new(),
            watch: Watch::default(),
            chance: fastrand::Rng::with_seed(options.seed),
            source: Source::Flows,
            options,
        };
        (worker, WorkerHandle::new(sender))
    }

    /// Applies what is held until it is [stopped](Handle::stop). What is published stays.
    pub async fn run(mut self) {
        let first = Arc::clone(&self.options.held.borrow_and_update());
        self.handle(ReconcilerEvent::Held(first));
        let reports = self.options.reports.clone();
        loop {
            self.act();
            self.look();
            let wait = self.wait();
            tokio::select! {
                Some(ended) = self.work.join_next_with_id() => self.ended(ended),
                Some(input) = self.inputs.recv() => match input {
                    WorkerCommand::Stop => break,
                    other => self.input(other),
                },
                changed = self.options.held.changed(), if self.source == Source::Flows => self.held(changed),
                permit = reports.reserve(), if !self.outbox.is_empty() => self.send(permit.ok()),
                () = elapsed(wait) => self.handle(ReconcilerEvent::Woke),
            }
        }
        tracing::info!("worker stopped; published units stay");
    }

    fn handle(&mut self, event: ReconcilerEvent) {
        let now = self.options.clock.now();
        self.looked_at = now.mono;
        self.machine.handle(now, event);
    }

    /// Until the machine is due. However often somebody asks for the status, it is looked after in time.
    fn wait(&self) -> Duration {
        let now = self.options.clock.now();
        let look = self.looked_at.plus(LOOK);
        self.machine.wake_at(now).map_or(look, |at| at.min(look)).since(now.mono).duration()
    }

    fn input(&mut self, input: WorkerCommand) {
        let now = self.options.clock.now();
        // Who asked may have gone: then nobody needs the answer.
        match input {
            WorkerCommand::Alive(reply) => drop(reply.send(())),
            WorkerCommand::Snapshot(reply) => {
                drop(reply.send(WorkerReport::snapshot(&self.machine, &self.seats, &(self.options.connection)(), now)));
            }
            WorkerCommand::Status(reply) => {
                let connection = (self.options.connection)();
                let (plans, since) = (&self.options.plans, self.since.wall);
                drop(reply.send(WorkerReport::of(&self.machine, plans, &self.seats, &connection, since, now)));
            }
            WorkerCommand::Stop => {}
        }
    }

    fn held(&mut self, changed: Result<(), watch::error::RecvError>) {
        if changed.is_err() {
            self.source = Source::Ended;
            tracing::warn!("link to the coordinator closed; held leases stay in use");
            return;
        }
        let newest = Arc::clone(&self.options.held.borrow_and_update());
        self.handle(ReconcilerEvent::Held(newest));
    }

    fn send(&mut self, permit: Option<mpsc::Permit<'_, DeliveryReport>>) {
        match permit {
            Some(permit) => {
                if let Some(report) = self.outbox.pop_front() {
                    permit.send(report);
                }
            }
            // Nobody hears it any more.
            None => self.outbox.clear(),
        }
    }

    /// Does what the machine wants done.
    fn act(&mut self) {
        while let Some(action) = self.machine.next_action() {
            match action {
                ReconcilerAction::Forget(receiver) => {
                    tracing::info!(%receiver, "receiver unbound; its files are removed");
                    self.seats.remove(&receiver);
                    self.units.remove(&receiver);
                    self.watch.forget(&receiver);
                }
                ReconcilerAction::Hook(receiver, instances) => self.tell(receiver, instances),
                ReconcilerAction::Notice(notice) => {
                    if let WorkerEvent::Received(instance, _) = &notice {
                        self.options.metrics.record_delivery(instance.as_str());
                    }
                    event_log::log(&notice);
                }
                ReconcilerAction::Report(report) => self.report(report),
                ReconcilerAction::Run(run) => self.begin(run),
            }
        }
    }

    fn report(&mut self, report: DeliveryReport) {
        let outcome = match &report.result {
            Ok(()) => deputy_observe::AuditOutcome::Done,
            Err(_) => deputy_observe::AuditOutcome::Failed,
        };
        self.options.metrics.record_report(report.instance.as_str(), outcome);
        self.outbox.retain(|before| before.instance != report.instance);
        self.outbox.push_back(report);
    }

    fn seat(&mut self, name: &ReceiverName) -> ReceiverRunner {
        let make = || ReceiverRunner::new(name, self.options.plans.plan(name), Arc::clone(&self.options.random));
        self.seats.entry(name.clone()).or_insert_with(make).clone()
    }

    fn begin(&mut self, run: ReceiverRun) {
        let (number, receiver) = (run.number, run.receiver.clone());
        let seat = self.seat(&receiver);
        let (loader, clock) = (Arc::clone(&self.options.loader), Arc::clone(&self.options.clock));
        let span = tracing::info_span!("apply", %receiver, number = number.0);
        let began = self.options.clock.now().mono;
        let task = async move { Ended::Run(seat.run(run, &*loader, clock).await) };
        let abort = self.work.spawn(task.instrument(span));
        self.tasks.insert(abort.id(), Task::Run(number, receiver, began));
    }

    /// Looks whether what was published is still there, where it is time to.
    fn look(&mut self) {
        let now = self.options.clock.now().mono;
        let published = self.units.iter().filter_map(|(receiver, unit)| Some((receiver, (*unit)?)));
        let due: Vec<(ReceiverName, UnitName)> = published
            .filter(|(receiver, _)| self.watch.begins(receiver, now))
            .map(|(receiver, unit)| (receiver.clone(), unit))
            .collect();
        for (receiver, unit) in due {
            let (seat, clock) = (self.seat(&receiver), Arc::clone(&self.options.clock));
            let abort = self.work.spawn(async move { Ended::Look(seat.look(unit, clock).await) });
            self.tasks.insert(abort.id(), Task::Look(receiver, unit));
        }
    }

    fn looked(&mut self, receiver: ReceiverName, unit: UnitName, result: Result<(), String>) {
        let now = self.options.clock.now().mono;
        self.watch.ended(&receiver, result.is_ok(), now, self.chance.u16(..));
        if let Err(why) = result {
            self.handle(ReconcilerEvent::Vanished(receiver, unit, why));
        }
    }

    fn tell(&mut self, receiver: ReceiverName, instances: BTreeSet<InstanceName>) {
        let seat = self.seat(&receiver);
        let unit = self.units.get(&receiver).copied().flatten();
        let plans = Arc::clone(&self.options.plans);
        let clock = Arc::clone(&self.options.clock);
        let name = receiver.clone();
        let span = tracing::info_span!("hook", %receiver);
        let task = async move {
            let hook = plans.plan(&name).hook.as_ref();
            Ended::Hook(told(hook, &name, &instances, &seat, unit, clock).await)
        };
        let abort = self.work.spawn(task.instrument(span));
        self.tasks.insert(abort.id(), Task::Hook(receiver));
    }

    fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, Some(ended)),
            Err(error) => (error.id(), None),
        };
        // What panicked has failed.
        match (self.tasks.remove(&id), ended) {
            (Some(Task::Run(number, receiver, began)), Some(Ended::Run(outcome))) => {
                self.ran(number, &receiver, began, outcome);
            }
            (Some(Task::Run(number, receiver, began)), _) => {
                let message = "the run panicked: this is a bug".to_owned();
                let outcome = RunOutcome::Failed(AcceptError { kind: FailureKind::Internal, message });
                self.ran(number, &receiver, began, outcome);
            }
            (Some(Task::Look(receiver, unit)), Some(Ended::Look(result))) => self.looked(receiver, unit, result),
            (Some(Task::Look(receiver, unit)), _) => {
                self.looked(receiver, unit, Err("looking at it panicked: this is a bug".to_owned()));
            }
            (Some(Task::Hook(receiver)), Some(Ended::Hook(result))) => self.was_told(receiver, result),
            (Some(Task::Hook(receiver)), _) => {
                self.was_told(receiver, Err("the hook panicked: this is a bug".to_owned()));
            }
            (None, _) => {}
        }
    }

    fn ran(&mut self, number: RunId, receiver: &ReceiverName, began: MonotonicTime, outcome: RunOutcome) {
        let took = self.options.clock.now().mono.since(began);
        let word = match &outcome {
            RunOutcome::Applied { .. } => "done",
            RunOutcome::Failed(error) => error.kind.word(),
        };
        self.options.metrics.record_run(receiver.as_str(), word, took.duration().as_secs_f64());
        if let RunOutcome::Applied { published, .. } = &outcome {
            self.units.insert(receiver.clone(), published.unit);
            if published.switch == PublishOutcome::Done {
                self.options.metrics.record_switch(receiver.as_str());
                let unit = published.unit.map(UnitName::number);
                tracing::info!(%receiver, unit, %took, "published");
            }
        }
        self.handle(ReconcilerEvent::Ran(number, outcome));
    }

    fn was_told(&mut self, receiver: ReceiverName, result: Result<(), String>) {
        let outcome = match &result {
            Ok(()) => deputy_observe::AuditOutcome::Done,
            Err(error) => {
                tracing::error!(%receiver, error, "a hook failed and is tried again: what is published stays");
                deputy_observe::AuditOutcome::Failed
            }
        };
        self.options.metrics.record_hook(receiver.as_str(), outcome);
        self.handle(ReconcilerEvent::Told(receiver, result));
    }
}

/// Runs a hook, and notes that it was run.
async fn told(
    hook: Option<&Hook>,
    receiver: &ReceiverName,
    instances: &BTreeSet<InstanceName>,
    seat: &ReceiverRunner,
    unit: Option<UnitName>,
    clock: Arc<dyn Clock>,
) -> Result<(), String> {
    let Some(hook) = hook else { return Ok(()) };
    let occasion = HookContext { receiver, link: seat.link(), instances };
    hook.run(occasion).await.map_err(|error| in_one_line(&error))?;
    if let Some(unit) = unit
        && let Err(error) = seat.tell(unit, clock).await
    {
        tracing::warn!(%error, "saving the hook state failed; the next start runs the hook again");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the loop's one timer: the machine said how long nothing is due")]
async fn elapsed(wait: Duration) {
    tokio::time::sleep(wait).await;
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
