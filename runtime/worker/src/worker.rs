//! The worker's loop: it owns all state, feeds the reconciler, and carries out what it decides.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use deputy_audit::AuditOutcome;
use deputy_core::failure::FailureKind;
use deputy_core::time::Clock;
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{InstanceName, ReceiverName, Span};
use deputy_link::{DeliveredState, DeliveryReport};
use deputy_metrics::WorkerMetrics;
use deputy_store::Random;
use deputy_support::{TrackedTasks, pause};
use tokio::sync::{mpsc, watch};
use tracing::Instrument as _;

use crate::apply_traces::ApplyTraces;
use crate::cache::{AppliedByReceiver, AppliedCache};
use crate::connection::ConnectionSnapshot;
use crate::event_log;
use crate::handle::{WorkerHandle, WorkerRequest};
use crate::receiver::{AcceptError, ReceiverLoader};
use crate::receiver_policy::ReceiverPolicies;
use crate::receiver_runner::{ReceiverRunner, RunnerContext};
use crate::reconciler::{
    PublishedRun, ReceiverRun, Reconciler, ReconcilerAction, ReconcilerEvent, RunId, RunOutcome, RunWork, WorkerEvent,
};
use crate::status::StatusView;
use crate::unit::{PublishOutcome, UnitName};
use crate::unit_checks::UnitChecks;

/// The longest time between two readings of the clocks: timers do not count the time that a machine sleeps.
const MAX_SLEEP: Span = Span::secs(1);

pub struct WorkerOptions {
    pub policies: Arc<ReceiverPolicies>,
    pub loader: Arc<dyn ReceiverLoader>,
    /// Where what receivers apply is kept.
    pub applied_cache: AppliedCache,
    /// What they applied before the process started.
    pub applied: AppliedByReceiver,
    pub metrics: Arc<WorkerMetrics>,
    pub traces: Arc<ApplyTraces>,
    pub clock: Arc<dyn Clock>,
    /// For the names of units.
    pub random: Random,
    /// For jitter.
    pub seed: u64,
    /// What the worker holds: at first from the cache, then from the link.
    pub held: watch::Receiver<Arc<DeliveredState>>,
    /// To the coordinator.
    pub reports: mpsc::Sender<DeliveryReport>,
    pub connection: Box<dyn Fn() -> ConnectionSnapshot + Send + Sync>,
}

/// Applies what the worker holds.
pub struct Worker {
    options: WorkerOptions,
    reconciler: Reconciler,
    started: Now,
    /// When the reconciler last handled an event.
    reconciled_at: MonotonicTime,
    requests: mpsc::Receiver<WorkerRequest>,
    runners: BTreeMap<ReceiverName, Arc<ReceiverRunner>>,
    /// The key of a task is its result if it panics.
    tasks: TrackedTasks<TaskResult, TaskResult>,
    /// The published unit of each receiver.
    units: BTreeMap<ReceiverName, Option<UnitName>>,
    unit_checks: UnitChecks,
    /// Reports that the link has not taken yet: the newest of each instance.
    outbox: VecDeque<DeliveryReport>,
    rng: fastrand::Rng,
    is_link_closed: bool,
}

enum TaskResult {
    Hook(ReceiverName, Result<(), String>),
    Run(StartedRun, RunOutcome),
    UnitCheck(ReceiverName, UnitName, Result<(), String>),
}

#[derive(Clone)]
struct StartedRun {
    id: RunId,
    receiver: ReceiverName,
    began: MonotonicTime,
}

impl Worker {
    pub fn new(options: WorkerOptions) -> (Self, WorkerHandle) {
        let (sender, requests) = mpsc::channel(64);
        let now = options.clock.now();
        let worker = Self {
            reconciler: Reconciler::new(Arc::clone(&options.policies), options.seed),
            started: now,
            reconciled_at: now.mono,
            requests,
            runners: BTreeMap::new(),
            tasks: TrackedTasks::default(),
            units: BTreeMap::new(),
            unit_checks: UnitChecks::default(),
            outbox: VecDeque::new(),
            rng: fastrand::Rng::with_seed(options.seed),
            is_link_closed: false,
            options,
        };
        (worker, WorkerHandle::new(sender))
    }

    /// Applies what is held until the worker is [stopped](WorkerHandle::stop). What is published stays.
    pub async fn run(mut self) {
        let initial = Arc::clone(&self.options.held.borrow_and_update());
        self.options.traces.receive(&initial);
        self.reconcile(ReconcilerEvent::StateChanged(initial));
        let reports = self.options.reports.clone();
        loop {
            self.run_actions();
            self.start_due_unit_checks();
            let sleep = self.time_until_due();
            tokio::select! {
                Some((panicked, result)) = self.tasks.join_next() => self.task_finished(result.unwrap_or(panicked)),
                Some(request) = self.requests.recv() => match request {
                    WorkerRequest::Stop => break,
                    request => self.answer(request),
                },
                changed = self.options.held.changed(), if !self.is_link_closed => self.state_changed(changed),
                permit = reports.reserve(), if !self.outbox.is_empty() => self.send_report(permit.ok()),
                () = pause(sleep) => self.reconcile(ReconcilerEvent::TimerFired),
            }
        }
        tracing::info!("worker stopped; published units stay");
    }

    fn reconcile(&mut self, event: ReconcilerEvent) {
        let now = self.options.clock.now();
        self.reconciled_at = now.mono;
        self.reconciler.handle(now, event);
    }

    /// Requests for the status do not delay it.
    fn time_until_due(&self) -> Duration {
        let now = self.options.clock.now();
        let latest = self.reconciled_at.plus(MAX_SLEEP);
        self.reconciler.wake_at(now).map_or(latest, |due| due.min(latest)).since(now.mono).duration()
    }

    fn state_changed(&mut self, changed: Result<(), watch::error::RecvError>) {
        if changed.is_err() {
            self.is_link_closed = true;
            tracing::warn!("link to the coordinator closed; held leases stay in use");
            return;
        }
        let newest = Arc::clone(&self.options.held.borrow_and_update());
        // Where a cache comes before, it has begun already.
        self.options.traces.receive(&newest);
        self.reconcile(ReconcilerEvent::StateChanged(newest));
    }

    fn run_actions(&mut self) {
        while let Some(action) = self.reconciler.next_action() {
            match action {
                ReconcilerAction::DropReceiver(receiver) => self.drop_receiver(&receiver),
                ReconcilerAction::Log(event) => self.log(&event),
                ReconcilerAction::Report(report) => self.queue_report(report),
                ReconcilerAction::RunHook(receiver, instances) => self.start_hook(receiver, instances),
                ReconcilerAction::RunReceiver(run) => self.start_run(run),
            }
        }
    }

    fn drop_receiver(&mut self, receiver: &ReceiverName) {
        tracing::info!(%receiver, "receiver unbound; its files are removed");
        self.runners.remove(receiver);
        self.units.remove(receiver);
        self.unit_checks.forget(receiver);
    }

    fn log(&self, event: &WorkerEvent) {
        if let WorkerEvent::Received(instance, _) = event {
            self.options.metrics.record_delivery(instance.as_str());
        }
        event_log::log(event);
    }

    fn runner(&mut self, name: &ReceiverName) -> Arc<ReceiverRunner> {
        let options = &mut self.options;
        let runner = self.runners.entry(name.clone()).or_insert_with(|| {
            let context = RunnerContext {
                random: &options.random,
                loader: &options.loader,
                applied_cache: &options.applied_cache,
                clock: &options.clock,
            };
            let applied = options.applied.remove(name).unwrap_or_default();
            Arc::new(ReceiverRunner::new(name, options.policies.policy(name), applied, context))
        });
        Arc::clone(runner)
    }

    fn start_run(&mut self, run: ReceiverRun) {
        let ReceiverRun { id, receiver, work } = run;
        let runner = self.runner(&receiver);
        let span = tracing::info_span!("apply", %receiver, run = id.0);
        let mut traced = match &work {
            RunWork::Accept(_, deliveries) => self.options.traces.run(&receiver, deliveries),
            RunWork::Withdraw => Vec::new(),
        };
        let started = StartedRun { id, receiver, began: self.options.clock.now().mono };
        let panicked = RunOutcome::Failed(AcceptError::host(
            FailureKind::Internal,
            "the run panicked; this is a bug, please report it",
        ));
        self.tasks.spawn(
            TaskResult::Run(started.clone(), panicked),
            async move {
                let outcome = runner.run(work).await;
                if let RunOutcome::Failed(error) = &outcome {
                    traced.iter_mut().for_each(|span| span.fail(error.failure.kind.word()));
                }
                drop(traced);
                TaskResult::Run(started, outcome)
            }
            .instrument(span),
        );
    }

    fn start_hook(&mut self, receiver: ReceiverName, instances: BTreeSet<InstanceName>) {
        let runner = self.runner(&receiver);
        let unit = self.units.get(&receiver).copied().flatten();
        let mut traced = self.options.traces.hook(&receiver);
        let span = tracing::info_span!("hook", %receiver);
        let panicked = Err("the hook panicked; this is a bug, please report it".to_owned());
        self.tasks.spawn(
            TaskResult::Hook(receiver.clone(), panicked),
            async move {
                let result = runner.run_hook(unit, &instances).await;
                if result.is_err() {
                    traced.iter_mut().for_each(|span| span.fail("hook-failed"));
                }
                drop(traced);
                TaskResult::Hook(receiver, result)
            }
            .instrument(span),
        );
    }

    fn start_due_unit_checks(&mut self) {
        let now = self.options.clock.now().mono;
        let published = self.units.iter().filter_map(|(receiver, unit)| Some((receiver, (*unit)?)));
        let due: Vec<(ReceiverName, UnitName)> = published
            .filter(|(receiver, _)| self.unit_checks.begin_if_due(receiver, now))
            .map(|(receiver, unit)| (receiver.clone(), unit))
            .collect();
        for (receiver, unit) in due {
            let runner = self.runner(&receiver);
            let panicked = Err("the check of the unit panicked; this is a bug, please report it".to_owned());
            self.tasks.spawn(TaskResult::UnitCheck(receiver.clone(), unit, panicked), async move {
                TaskResult::UnitCheck(receiver, unit, runner.check_unit(unit).await)
            });
        }
    }

    fn task_finished(&mut self, result: TaskResult) {
        match result {
            TaskResult::Hook(receiver, result) => self.hook_finished(receiver, result),
            TaskResult::Run(run, outcome) => self.run_finished(run, outcome),
            TaskResult::UnitCheck(receiver, unit, result) => self.unit_check_finished(receiver, unit, result),
        }
    }

    fn run_finished(&mut self, run: StartedRun, outcome: RunOutcome) {
        let StartedRun { id, receiver, began } = run;
        let took = self.options.clock.now().mono.since(began);
        let outcome_word = match &outcome {
            RunOutcome::Published(..) => "done",
            RunOutcome::Failed(error) => error.failure.kind.word(),
        };
        self.options.metrics.record_run(receiver.as_str(), outcome_word, took.duration().as_secs_f64());
        if let RunOutcome::Published(PublishedRun { unit: published, applied, facts, .. }) = &outcome {
            let applied = applied.iter().map(|(instance, lease)| (instance, lease.version));
            self.options.traces.publish(&receiver, applied);
            if published.switch == PublishOutcome::Done {
                self.options.metrics.record_switch(receiver.as_str());
                let unit = published.unit.map(UnitName::number);
                tracing::info!(%receiver, unit, %took, "unit published");
            }
            event_log::log_facts(&receiver, facts);
            self.units.insert(receiver, published.unit);
        }
        self.reconcile(ReconcilerEvent::RunFinished(id, outcome));
    }

    fn hook_finished(&mut self, receiver: ReceiverName, result: Result<(), String>) {
        if let Err(error) = &result {
            tracing::error!(%receiver, error, "hook failed; it is retried, and the published unit stays");
        }
        self.options.metrics.record_hook(receiver.as_str(), audit_outcome(&result));
        self.reconcile(ReconcilerEvent::HookFinished(receiver, result));
    }

    fn unit_check_finished(&mut self, receiver: ReceiverName, unit: UnitName, result: Result<(), String>) {
        let now = self.options.clock.now().mono;
        self.unit_checks.finish(&receiver, result.is_ok(), now, self.rng.u16(..));
        if let Err(reason) = result {
            self.reconcile(ReconcilerEvent::UnitVanished(receiver, unit, reason));
        }
    }

    fn queue_report(&mut self, report: DeliveryReport) {
        self.options.traces.report(&report);
        self.options.metrics.record_report(report.instance.as_str(), audit_outcome(&report.result));
        self.outbox.retain(|queued| queued.instance != report.instance);
        self.outbox.push_back(report);
    }

    fn send_report(&mut self, permit: Option<mpsc::Permit<'_, DeliveryReport>>) {
        match permit {
            Some(permit) => {
                if let Some(report) = self.outbox.pop_front() {
                    permit.send(report);
                }
            }
            // The link has ended.
            None => self.outbox.clear(),
        }
    }

    fn answer(&self, request: WorkerRequest) {
        // A caller that is gone needs no answer.
        match request {
            WorkerRequest::Alive(reply) => reply.send(()).ok(),
            WorkerRequest::Metrics(reply) => reply.send(self.status_view().metrics()).ok(),
            WorkerRequest::Status(reply) => reply.send(self.status_view().report()).ok(),
            WorkerRequest::Stop => None,
        };
    }

    fn status_view(&self) -> StatusView<'_> {
        StatusView {
            reconciler: &self.reconciler,
            policies: &self.options.policies,
            runners: &self.runners,
            connection: (self.options.connection)(),
            started: self.started.wall,
            now: self.options.clock.now(),
        }
    }
}

fn audit_outcome(result: &Result<(), String>) -> AuditOutcome {
    match result {
        Ok(()) => AuditOutcome::Done,
        Err(_) => AuditOutcome::Failed,
    }
}

#[cfg(test)]
mod tests;
