//! Payload files that other programs maintain: each is checked once a second, and read when it changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::schedule::FilePayload;
use deputy_core::{ByteSize, FileSource, InstanceName, Timestamp, in_one_line};
use deputy_sources::{FileFingerprint, SourceContext, SourceError, ValueShape, read_file};
use deputy_support::{pause, sha256};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::configuration::FilePlan;

/// A check costs one `stat`.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The largest payload, as of a component.
const PAYLOAD: ValueShape = ValueShape::bytes(ByteSize::mib(1));

/// How long a start or a reload waits for the first observations: a network file system may hang.
const FIRST_OBSERVATION_TIMEOUT: Duration = Duration::from_secs(2);

/// What a file holds, or why it cannot be used.
pub(crate) type FileObservation = Result<FilePayload, String>;

/// The files of one configuration, after the first observation of each.
#[derive(Default)]
pub(crate) struct FileWatcher {
    /// Lacks a file whose file system hangs.
    pub(crate) observations: BTreeMap<InstanceName, FileObservation>,
    files: BTreeMap<InstanceName, PayloadFile>,
}

#[derive(Clone)]
struct PayloadFile {
    source: FileSource,
    context: Arc<SourceContext>,
    last: Option<LastObservation>,
}

/// Lets only changes be reported.
#[derive(Clone)]
enum LastObservation {
    Payload(FileFingerprint),
    Error(String),
}

impl FileWatcher {
    /// Observes each file once, before any component is called: an instance with a valid file needs no call.
    pub(crate) async fn open(plan: FilePlan, context: &Arc<SourceContext>) -> Self {
        let mut watcher = Self::default();
        let mut observing = JoinSet::new();
        for (name, source) in plan {
            let file = PayloadFile { source, context: Arc::clone(context), last: None };
            watcher.files.insert(name.clone(), file.clone());
            observing.spawn(async move {
                let mut file = file;
                let observation = file.observe(&name).await;
                (name, file, observation)
            });
        }
        let all = async {
            while let Some(observed) = observing.join_next().await {
                let Ok((name, file, Some(observation))) = observed else { continue };
                watcher.observations.insert(name.clone(), observation);
                watcher.files.insert(name, file);
            }
        };
        // A file that hangs is observed later, by a task of its own.
        tokio::time::timeout(FIRST_OBSERVATION_TIMEOUT, all).await.ok();
        watcher
    }

    pub(crate) fn watches(&self, name: &InstanceName) -> bool {
        self.files.contains_key(name)
    }

    /// Watches each file in a task of its own, until the tasks are dropped, so that one that hangs delays no other. `report`
    /// makes an observation the receiver's message.
    pub(crate) fn watch<M: Send + 'static>(
        self,
        reports: &mpsc::Sender<M>,
        report: impl Fn(InstanceName, FileObservation) -> M + Clone + Send + 'static,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for (name, file) in self.files {
            tasks.spawn(watch(name, file, reports.clone(), report.clone()));
        }
        tasks
    }
}

async fn watch<M>(
    instance: InstanceName,
    mut file: PayloadFile,
    reports: mpsc::Sender<M>,
    report: impl Fn(InstanceName, FileObservation) -> M,
) {
    loop {
        // No notification of changed files works on all file systems.
        pause(CHECK_INTERVAL).await;
        let Some(observation) = file.observe(&instance).await else { continue };
        if reports.send(report(instance.clone(), observation)).await.is_err() {
            return;
        }
    }
}

impl PayloadFile {
    /// Returns `None` if nothing changed.
    async fn observe(&mut self, name: &InstanceName) -> Option<FileObservation> {
        let fingerprint = match FileFingerprint::of_file(&self.source.path).await {
            Ok(fingerprint) => fingerprint,
            Err(error) => return self.observe_error(name, &error),
        };
        if matches!(&self.last, Some(LastObservation::Payload(last)) if *last == fingerprint) {
            return None;
        }
        match read_file(&self.source.path, PAYLOAD, &self.context).await {
            Ok((payload, fingerprint)) => {
                let since: Timestamp = fingerprint.modified();
                let valid_until = since.plus(self.source.lifetime);
                self.last = Some(LastObservation::Payload(fingerprint));
                let digest = sha256(payload.expose());
                Some(Ok(FilePayload { payload: Arc::new(payload), digest, since, valid_until }))
            }
            // Its writer has not finished: the next check sees it whole.
            Err(SourceError::Changing(_)) => None,
            Err(error) => self.observe_error(name, &error),
        }
    }

    fn observe_error(&mut self, name: &InstanceName, error: &SourceError) -> Option<FileObservation> {
        let error = in_one_line(error);
        if matches!(&self.last, Some(LastObservation::Error(last)) if *last == error) {
            return None;
        }
        tracing::warn!(instance = %name, %error, "payload file unusable");
        self.last = Some(LastObservation::Error(error.clone()));
        Some(Err(error))
    }
}
