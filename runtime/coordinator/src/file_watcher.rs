//! Payloads that other programs maintain: each file is looked at once a second, and read when it changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::schedule::FilePayload;
use deputy_core::{ByteSize, FileSource, InstanceName, Timestamp, in_one_line};
use deputy_sources::{FileFingerprint, SourceContext, SourceError, ValueShape, read_file};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::handle::CoordinatorCommand;

/// How often files are looked at: a `stat` each.
const PACE: Duration = Duration::from_secs(1);

/// The largest payload, as of a component.
const PAYLOAD: ValueShape = ValueShape::bytes(ByteSize::mib(1));

/// How long a start or a reload waits for the first look: a network's file system may hang.
const FIRST: Duration = Duration::from_secs(2);

/// The files of all instances that have one.
pub type FilePlan = BTreeMap<InstanceName, FileSource>;

/// What a file holds, or why it can't be used.
pub(crate) type FileObservation = Result<FilePayload, String>;

/// The files of a configuration, after the first look at them.
#[derive(Default)]
pub(crate) struct FileWatcher {
    /// What was found. One that is not in here hangs.
    pub(crate) looks: BTreeMap<InstanceName, FileObservation>,
    watched: BTreeMap<InstanceName, Watched>,
}

/// One file.
#[derive(Clone)]
struct Watched {
    source: FileSource,
    here: Arc<SourceContext>,
    seen: Option<Seen>,
}

/// What was last found, so that only a change is told.
#[derive(Clone)]
enum Seen {
    File(FileFingerprint),
    Not(String),
}

impl FileWatcher {
    /// Looks at each file before anybody is called: a component is not, whose file comes first.
    pub(crate) async fn first(plan: FilePlan, here: &Arc<SourceContext>) -> Self {
        let mut files = Self::default();
        let mut looking = JoinSet::new();
        for (name, source) in plan {
            let watched = Watched { source, here: Arc::clone(here), seen: None };
            files.watched.insert(name.clone(), watched.clone());
            looking.spawn(async move {
                let mut watched = watched;
                let look = watched.look(&name).await;
                (name, watched, look)
            });
        }
        let all = async {
            while let Some(looked) = looking.join_next().await {
                let Ok((name, watched, Some(look))) = looked else { continue };
                files.looks.insert(name.clone(), look);
                files.watched.insert(name, watched);
            }
        };
        // Those that hang are found later, each by itself.
        drop(tokio::time::timeout(FIRST, all).await);
        files
    }

    /// Whether an instance has a file.
    pub(crate) fn has(&self, name: &InstanceName) -> bool {
        self.watched.contains_key(name)
    }

    /// Goes on looking until the tasks are dropped, one for each file: one that hangs keeps no other waiting.
    /// What they see is of this generation.
    pub(crate) fn watch(self, generation: u64, inputs: &mpsc::Sender<CoordinatorCommand>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for (name, watched) in self.watched {
            tasks.spawn(watch(generation, name, watched, inputs.clone()));
        }
        tasks
    }
}

async fn watch(generation: u64, name: InstanceName, mut watched: Watched, inputs: mpsc::Sender<CoordinatorCommand>) {
    loop {
        pause().await;
        if let Some(look) = watched.look(&name).await
            && inputs.send(CoordinatorCommand::File(generation, name.clone(), look)).await.is_err()
        {
            return;
        }
    }
}

impl Watched {
    /// What the file holds; `None` if it is as it was.
    async fn look(&mut self, name: &InstanceName) -> Option<FileObservation> {
        let (seen, look) = match FileFingerprint::of_file(&self.source.path).await {
            Ok(print) if matches!(&self.seen, Some(Seen::File(before)) if *before == print) => return None,
            Ok(_) => match read_file(&self.source.path, PAYLOAD, &self.here).await {
                Ok((payload, print)) => {
                    let since: Timestamp = print.modified();
                    let valid_until = since.plus(self.source.lifetime);
                    (Seen::File(print), Ok(FilePayload { payload: Arc::new(payload), since, valid_until }))
                }
                // Who writes it has not finished: look again.
                Err(SourceError::Changing(_)) => return None,
                Err(error) => failed(&error, self.seen.as_ref())?,
            },
            Err(error) => failed(&error, self.seen.as_ref())?,
        };
        if let Err(error) = &look {
            tracing::warn!(instance = %name, %error, "payload file unusable");
        }
        self.seen = Some(seen);
        Some(look)
    }
}

fn failed(error: &SourceError, before: Option<&Seen>) -> Option<(Seen, FileObservation)> {
    let text = in_one_line(error);
    let told = matches!(before, Some(Seen::Not(before)) if *before == text);
    (!told).then(|| (Seen::Not(text.clone()), Err(text)))
}

#[expect(clippy::disallowed_methods, reason = "a file system of any kind tells nobody reliably that a file changed")]
async fn pause() {
    tokio::time::sleep(PACE).await;
}
