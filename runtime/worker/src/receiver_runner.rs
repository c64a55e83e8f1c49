//! Runs one receiver and its hook. Keeps the loaded component and the directory of its units from run to run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use deputy_core::failure::FailureKind;
use deputy_core::time::{Clock, MonotonicTime};
use deputy_core::{Delivery, InstanceName, OutputPath, Outputs, ReceiverName, Span, Timestamp, in_one_line};
use deputy_link::ReceiverBinding;
use deputy_store::Random;
use deputy_support::{LockUnpoisoned as _, blocking};

use crate::applied_deliveries::AppliedDeliveries;
use crate::cache::AppliedCache;
use crate::delivery_selection::{DeliverySelection, SelectedDeliveries};
use crate::hook::{Hook, HookContext};
use crate::receiver::{AcceptError, Receiver, ReceiverLoader};
use crate::receiver_policy::ReceiverPolicy;
use crate::reconciler::{AppliedLease, PublishedRun, Rejections, RunOutcome, RunWork};
use crate::stall_detector::StallDetector;
use crate::unit::{PublishError, PublishedUnit, UnitName, UnitPublisher};

pub(crate) struct ReceiverRunner {
    name: ReceiverName,
    hook: Option<Hook>,
    /// The link that the workload opens.
    link: PathBuf,
    publisher: Arc<Mutex<UnitPublisher>>,
    /// The files of the published unit.
    files: Mutex<Vec<String>>,
    /// Locked by the only run at a time.
    applied: tokio::sync::Mutex<AppliedDeliveries>,
    applied_cache: AppliedCache,
    /// Locked by the only run at a time.
    loaded: tokio::sync::Mutex<Option<LoadedReceiver>>,
    stall: Arc<StallDetector>,
    loader: Arc<dyn ReceiverLoader>,
    clock: Arc<dyn Clock>,
}

struct LoadedReceiver {
    binding: Arc<ReceiverBinding>,
    receiver: Arc<dyn Receiver>,
}

/// What all runners of a worker share.
pub(crate) struct RunnerContext<'a> {
    pub(crate) random: &'a Random,
    pub(crate) loader: &'a Arc<dyn ReceiverLoader>,
    pub(crate) applied_cache: &'a AppliedCache,
    pub(crate) clock: &'a Arc<dyn Clock>,
}

impl ReceiverRunner {
    /// `applied` is what the receiver applied before the worker started.
    pub(crate) fn new(
        name: &ReceiverName,
        policy: &ReceiverPolicy,
        applied: BTreeMap<InstanceName, Delivery>,
        context: RunnerContext<'_>,
    ) -> Self {
        let random = Arc::clone(context.random);
        let publisher = UnitPublisher::new(policy.directory.clone(), name.clone(), policy.access, random);
        Self {
            name: name.clone(),
            hook: policy.hook.clone(),
            link: publisher.link(),
            publisher: Arc::new(Mutex::new(publisher)),
            files: Mutex::default(),
            applied: tokio::sync::Mutex::new(AppliedDeliveries::new(applied)),
            applied_cache: context.applied_cache.clone(),
            loaded: tokio::sync::Mutex::default(),
            stall: Arc::default(),
            loader: Arc::clone(context.loader),
            clock: Arc::clone(context.clock),
        }
    }

    /// For how long the file system of the units has not answered, if that is too long.
    pub(crate) fn stalled_for(&self, now: MonotonicTime) -> Option<Span> {
        self.stall.stalled_for(now)
    }

    /// While it is locked, nothing can be published, as on a file system that hangs.
    #[cfg(test)]
    pub(crate) fn publisher(&self) -> &Mutex<UnitPublisher> {
        &self.publisher
    }

    /// The files of the published unit.
    pub(crate) fn files(&self) -> Vec<String> {
        self.files.lock_unpoisoned().clone()
    }

    pub(crate) async fn run(&self, work: RunWork) -> RunOutcome {
        let result = match work {
            RunWork::Accept(binding, deliveries) => self.accept(binding, deliveries).await,
            RunWork::Withdraw => self.withdraw().await,
        };
        result.map_or_else(RunOutcome::Failed, RunOutcome::Published)
    }

    /// Calls the receiver until it rejects nothing that it was given, and publishes the files of that call alone.
    async fn accept(
        &self,
        binding: Arc<ReceiverBinding>,
        deliveries: Vec<Delivery>,
    ) -> Result<PublishedRun, AcceptError> {
        let receiver = self.load(binding).await?;
        let mut applied = self.applied.lock().await;
        let mut selection = DeliverySelection::new(deliveries, receiver.kinds(), &applied, self.wall());
        let answer = loop {
            if selection.selected().is_empty() {
                break None;
            }
            let answer = receiver.accept(selection.selected()).await?;
            if answer.rejected.is_empty() {
                break Some(answer);
            }
            if !selection.reject(&answer.rejected, self.wall()) {
                return Err(AcceptError::host(
                    FailureKind::Broken,
                    "the receiver rejects what was not delivered to it",
                ));
            }
        };
        let SelectedDeliveries { delivered, applied: selected, rejected } = selection.finish();
        self.remember(&mut applied, &delivered, &selected).await;
        let (unit, facts) = match answer {
            Some(answer) => (self.publish(answer.outputs).await?, answer.facts),
            None => (self.remove_unit().await?, Vec::new()),
        };
        let lease =
            |it: &Delivery| (it.instance.clone(), AppliedLease { version: it.stamp, valid_until: it.valid_until });
        Ok(PublishedRun { unit, applied: selected.iter().map(lease).collect(), rejected, facts })
    }

    /// Removes what is published. Nothing is delivered to the receiver, so nothing is remembered of it.
    async fn withdraw(&self) -> Result<PublishedRun, AcceptError> {
        self.remember(&mut *self.applied.lock().await, &BTreeSet::new(), &[]).await;
        let unit = self.remove_unit().await?;
        Ok(PublishedRun { unit, applied: BTreeMap::new(), rejected: Rejections::new(), facts: Vec::new() })
    }

    /// Keeps what is about to be published, so that it is there if the next lease is rejected.
    async fn remember(
        &self,
        applied: &mut AppliedDeliveries,
        delivered: &BTreeSet<InstanceName>,
        selected: &[Delivery],
    ) {
        let changes = applied.remember(delivered, selected);
        self.applied_cache.keep(&self.name, &changes).await;
    }

    fn wall(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// The receiver's component, loaded once for each binding.
    async fn load(&self, binding: Arc<ReceiverBinding>) -> Result<Arc<dyn Receiver>, AcceptError> {
        let mut loaded = self.loaded.lock().await;
        if let Some(known) = loaded.as_ref().filter(|known| known.binding == binding) {
            return Ok(Arc::clone(&known.receiver));
        }
        let receiver = self.loader.load(&self.name, &binding).await?;
        *loaded = Some(LoadedReceiver { binding, receiver: Arc::clone(&receiver) });
        Ok(receiver)
    }

    async fn publish(&self, outputs: Outputs) -> Result<PublishedUnit, AcceptError> {
        let files = outputs.files.keys().map(OutputPath::to_string).collect();
        let unit = self.on_disk(move |publisher, now| publisher.publish(&outputs, now)).await?;
        *self.files.lock_unpoisoned() = files;
        Ok(unit)
    }

    async fn remove_unit(&self) -> Result<PublishedUnit, AcceptError> {
        let unit = self.on_disk(|publisher, now| publisher.withdraw(now)).await?;
        self.files.lock_unpoisoned().clear();
        Ok(unit)
    }

    /// Checks that a unit is still published with all its files. The error says what is missing.
    pub(crate) async fn check_unit(&self, unit: UnitName) -> Result<(), String> {
        let files = self.files();
        let checked = self.on_disk(move |publisher, _| Ok(publisher.verify(unit, &files))).await;
        checked.unwrap_or_else(|error| Err(error.failure.message))
    }

    /// Runs the hook, and records beside the unit that it succeeded.
    pub(crate) async fn run_hook(
        &self,
        unit: Option<UnitName>,
        instances: &BTreeSet<InstanceName>,
    ) -> Result<(), String> {
        let Some(hook) = &self.hook else { return Ok(()) };
        let context = HookContext { receiver: &self.name, link: &self.link, instances };
        hook.run(context).await.map_err(|error| in_one_line(&error))?;
        if let Some(unit) = unit
            && let Err(error) = self.on_disk(move |publisher, now| publisher.record_notified(unit, now)).await
        {
            tracing::warn!(%error, "saving the hook state failed; the next start runs the hook again");
        }
        Ok(())
    }

    /// Works on the file system. It is not cancelled half-way: where the file system hangs, this receiver alone waits.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut UnitPublisher, MonotonicTime) -> Result<T, PublishError> + Send + 'static,
    ) -> Result<T, AcceptError> {
        let publisher = Arc::clone(&self.publisher);
        let clock = Arc::clone(&self.clock);
        let operation = self.stall.begin(clock.now().mono);
        let result = blocking(move || {
            let _operation = operation;
            work(&mut publisher.lock_unpoisoned(), clock.now().mono)
        });
        result.await.map_err(|error| AcceptError::from(&error))
    }
}

impl From<&PublishError> for AcceptError {
    fn from(error: &PublishError) -> Self {
        let kind = if error.is_lasting() { FailureKind::Misconfigured } else { FailureKind::Unavailable };
        Self::host(kind, in_one_line(error))
    }
}

#[cfg(test)]
mod tests;
