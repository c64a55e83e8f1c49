//! Runs one receiver and its hook. Keeps the loaded component and the directory of its units from run to run.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use deputy_core::failure::FailureKind;
use deputy_core::time::{Clock, MonotonicTime};
use deputy_core::{Delivery, InstanceName, Kinds, OutputPath, PayloadKind, ReceiverName, Span, in_one_line};
use deputy_link::ReceiverBinding;
use deputy_store::Random;
use deputy_support::{LockUnpoisoned as _, blocking};

use crate::applied_deliveries::AppliedDeliveries;
use crate::hook::{Hook, HookContext};
use crate::receiver::{AcceptError, Receiver, ReceiverLoader};
use crate::receiver_policy::ReceiverPolicy;
use crate::reconciler::{Rejections, RunOutcome, RunWork};
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
    applied: Mutex<AppliedDeliveries>,
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

impl ReceiverRunner {
    pub(crate) fn new(
        name: &ReceiverName,
        policy: &ReceiverPolicy,
        random: Random,
        loader: Arc<dyn ReceiverLoader>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let publisher = UnitPublisher::new(policy.directory.clone(), name.clone(), policy.access, random);
        Self {
            name: name.clone(),
            hook: policy.hook.clone(),
            link: publisher.link(),
            publisher: Arc::new(Mutex::new(publisher)),
            files: Mutex::default(),
            applied: Mutex::default(),
            loaded: tokio::sync::Mutex::default(),
            stall: Arc::default(),
            loader,
            clock,
        }
    }

    /// For how long the file system of the units has not answered, if that is too long.
    pub(crate) fn stalled_for(&self, now: MonotonicTime) -> Option<Span> {
        self.stall.stalled_for(now)
    }

    /// Locked, it stands for a file system that hangs: nothing can be published.
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
            RunWork::Withdraw => self.withdraw().await.map(|unit| (unit, Rejections::new())),
        };
        match result {
            Ok((unit, rejected)) => RunOutcome::Published(unit, rejected),
            Err(error) => RunOutcome::Failed(error),
        }
    }

    async fn accept(
        &self,
        binding: Arc<ReceiverBinding>,
        deliveries: Vec<Delivery>,
    ) -> Result<(PublishedUnit, Rejections), AcceptError> {
        let receiver = self.load(binding).await?;
        let kinds = receiver.kinds();
        let (mut accepted, others): (Vec<_>, Vec<_>) =
            deliveries.into_iter().partition(|delivery| kinds.accept(&delivery.kind));
        let mut rejected: Rejections =
            others.into_iter().map(|delivery| (delivery.instance, wrong_kind(kinds, &delivery.kind))).collect();
        let outputs = loop {
            if accepted.is_empty() {
                return Ok((self.withdraw().await?, rejected));
            }
            let answer = receiver.accept(&accepted).await?;
            if answer.rejected.is_empty() {
                break answer.outputs;
            }
            let now = self.clock.now().wall;
            accepted = self.applied.lock_unpoisoned().instead_of(accepted, &answer.rejected, &mut rejected, now);
        };
        self.applied.lock_unpoisoned().remember(&accepted);
        let files = outputs.files.keys().map(OutputPath::to_string).collect();
        let unit = self.on_disk(move |publisher, now| publisher.publish(&outputs, now)).await?;
        *self.files.lock_unpoisoned() = files;
        Ok((unit, rejected))
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

    async fn withdraw(&self) -> Result<PublishedUnit, AcceptError> {
        let unit = self.on_disk(|publisher, now| publisher.withdraw(now)).await?;
        self.files.lock_unpoisoned().clear();
        Ok(unit)
    }

    /// Checks that a unit is still published with all its files. The error says what is missing.
    pub(crate) async fn check_unit(&self, unit: UnitName) -> Result<(), String> {
        let files = self.files();
        let checked = self.on_disk(move |publisher, _| Ok(publisher.verify(unit, &files))).await;
        checked.unwrap_or_else(|error| Err(error.0.message))
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
        Self::new(kind, in_one_line(error))
    }
}

fn wrong_kind(kinds: &Kinds, kind: &PayloadKind) -> String {
    format!("the receiver takes only {kinds}, not {kind}; unbind it from this instance")
}
