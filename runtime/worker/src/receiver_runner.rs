//! What one receiver keeps from run to run: its component, loaded, and the place of its units.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use deputy_core::failure::FailureKind;
use deputy_core::time::{Clock, MonotonicTime};
use deputy_core::{Delivery, InstanceName, OutputPath, ReceiverName, Span, in_one_line};
use deputy_link::ReceiverBinding;
use deputy_store::Random;

use crate::receiver::{AcceptError, Receiver, ReceiverLoader};
use crate::receiver_policy::ReceiverPolicy;
use crate::reconciler::{ReceiverRun, RunOutcome};
use crate::unit::{PublishError, PublishedUnit, UnitName, UnitPublisher};

/// A receiver's seat. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ReceiverRunner {
    link: PathBuf,
    units: Arc<Mutex<UnitPublisher>>,
    /// One run at a time, so nobody waits here.
    loaded: Arc<tokio::sync::Mutex<Option<Loaded>>>,
    files: Arc<Mutex<Vec<String>>>,
    busy: Arc<Busy>,
}

/// What is being done on the file system, and since when.
#[derive(Default)]
struct Busy(Mutex<(u64, BTreeMap<u64, MonotonicTime>)>);

/// One thing that is being done.
struct Doing {
    busy: Arc<Busy>,
    number: u64,
}

impl Busy {
    fn begin(self: &Arc<Self>, now: MonotonicTime) -> Doing {
        let mut busy = held(&self.0);
        busy.0 += 1;
        let number = busy.0;
        busy.1.insert(number, now);
        Doing { busy: Arc::clone(self), number }
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        held(&self.busy.0).1.remove(&self.number);
    }
}

/// A file system that takes longer for what is published is said to hang.
const PATIENCE: Span = Span::secs(10);

struct Loaded {
    binding: Arc<ReceiverBinding>,
    receiver: Arc<dyn Receiver>,
}

impl ReceiverRunner {
    pub(crate) fn new(name: &ReceiverName, plan: &ReceiverPolicy, random: Random) -> Self {
        let units = UnitPublisher::new(plan.directory.clone(), name.clone(), plan.access, random);
        Self {
            link: units.link(),
            units: Arc::new(Mutex::new(units)),
            loaded: Arc::default(),
            files: Arc::default(),
            busy: Arc::default(),
        }
    }

    /// For how long the file system has not answered, if that is too long.
    pub(crate) fn hangs(&self, now: MonotonicTime) -> Option<Span> {
        let since = held(&self.busy.0).1.values().min().map(|since| now.since(*since));
        since.filter(|since| *since > PATIENCE)
    }

    /// What a file system that hangs holds: nothing can be published meanwhile.
    #[cfg(test)]
    pub(crate) fn units(&self) -> &Mutex<UnitPublisher> {
        &self.units
    }

    /// Where the workload looks.
    pub(crate) fn link(&self) -> &Path {
        &self.link
    }

    /// The files of what is published.
    pub(crate) fn files(&self) -> Vec<String> {
        held(&self.files).clone()
    }

    /// Runs the receiver, and publishes what it wrote.
    pub(crate) async fn run(&self, run: ReceiverRun, loader: &dyn ReceiverLoader, clock: Arc<dyn Clock>) -> RunOutcome {
        let worked = match run.work {
            Some((binding, deliveries)) => self.apply(&run.receiver, binding, deliveries, loader, clock).await,
            None => self.withdraw(clock).await.map(|published| (published, BTreeMap::new())),
        };
        match worked {
            Ok((published, refused)) => RunOutcome::Applied { published, refused },
            Err(error) => RunOutcome::Failed(error),
        }
    }

    async fn apply(
        &self,
        name: &ReceiverName,
        binding: Arc<ReceiverBinding>,
        deliveries: Vec<Delivery>,
        loader: &dyn ReceiverLoader,
        clock: Arc<dyn Clock>,
    ) -> Result<(PublishedUnit, BTreeMap<InstanceName, String>), AcceptError> {
        let receiver = self.receiver(name, binding, loader).await?;
        let (accepted, others): (Vec<_>, Vec<_>) =
            deliveries.into_iter().partition(|delivery| receiver.services().accept(&delivery.service));
        let services = receiver.services().to_string();
        let why = |delivery: Delivery| {
            let text = format!("it takes {} and not {}: unbind it", services, delivery.service);
            (delivery.instance, text)
        };
        let refused = others.into_iter().map(why).collect();
        if accepted.is_empty() {
            return Ok((self.withdraw(clock).await?, refused));
        }
        let outputs = receiver.accept(&accepted).await?;
        let files = outputs.files.keys().map(OutputPath::to_string).collect();
        let published = self.blocking(clock, move |units, now| units.publish(&outputs, now)).await?;
        *held(&self.files) = files;
        Ok((published, refused))
    }

    /// The receiver's component, loaded once for each binding.
    async fn receiver(
        &self,
        name: &ReceiverName,
        binding: Arc<ReceiverBinding>,
        loader: &dyn ReceiverLoader,
    ) -> Result<Arc<dyn Receiver>, AcceptError> {
        let mut loaded = self.loaded.lock().await;
        if let Some(known) = loaded.as_ref().filter(|known| known.binding == binding) {
            return Ok(Arc::clone(&known.receiver));
        }
        let receiver = loader.load(name, &binding).await?;
        *loaded = Some(Loaded { binding, receiver: Arc::clone(&receiver) });
        Ok(receiver)
    }

    async fn withdraw(&self, clock: Arc<dyn Clock>) -> Result<PublishedUnit, AcceptError> {
        let published = self.blocking(clock, |units, now| units.withdraw(now)).await?;
        held(&self.files).clear();
        Ok(published)
    }

    /// Looks whether a unit is still there; if not, says what is gone.
    pub(crate) async fn look(&self, unit: UnitName, clock: Arc<dyn Clock>) -> Result<(), String> {
        let files = self.files();
        let looked = self.blocking(clock, move |units, _| Ok(units.verify(unit, &files))).await;
        looked.unwrap_or_else(|error| Err(error.message))
    }

    /// Notes that the workload was told of a unit.
    pub(crate) async fn tell(&self, unit: UnitName, clock: Arc<dyn Clock>) -> Result<(), AcceptError> {
        self.blocking(clock, move |units, now| units.record_notified(unit, now)).await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it can't be cancelled: half a publication is none. Where a file system hangs, this receiver waits alone"
    )]
    async fn blocking<T: Send + 'static>(
        &self,
        clock: Arc<dyn Clock>,
        work: impl FnOnce(&mut UnitPublisher, MonotonicTime) -> Result<T, PublishError> + Send + 'static,
    ) -> Result<T, AcceptError> {
        let units = Arc::clone(&self.units);
        let doing = self.busy.begin(clock.now().mono);
        let work = move || {
            let _doing = doing;
            work(&mut held(&units), clock.now().mono)
        };
        let done = tokio::task::spawn_blocking(work).await;
        match done {
            Ok(done) => done.map_err(|error| {
                let kind = if error.is_lasting() { FailureKind::Misconfigured } else { FailureKind::Unavailable };
                AcceptError { kind, message: in_one_line(&error) }
            }),
            Err(_) => Err(AcceptError {
                kind: FailureKind::Internal,
                message: "publishing panicked: this is a bug".to_owned(),
            }),
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
