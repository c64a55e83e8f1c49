//! Payloads that other programs maintain: each file is looked at once a second, and read when it changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::schedule::{Event, Found};
use deputy_core::{ByteSize, FileSource, InstanceName, Timestamp};
use deputy_sources::{Fingerprint, Form, SourceError, Surroundings, read_file};
use tokio::sync::mpsc;

use crate::handle::Input;

/// How often files are looked at: a `stat` each.
const PACE: Duration = Duration::from_secs(1);

/// The largest payload, as of a component.
const PAYLOAD: Form = Form::bytes(ByteSize::mib(1));

/// The files of all instances that have one.
pub type FilePlan = BTreeMap<InstanceName, FileSource>;

/// Looks at the files until it is dropped. What was seen before a reload is told again after it, once.
pub(crate) async fn watch(plan: FilePlan, here: Arc<Surroundings>, inputs: mpsc::Sender<Input>) {
    let mut seen: BTreeMap<InstanceName, Seen> = BTreeMap::new();
    loop {
        for (name, source) in &plan {
            let now = look(source, &here, seen.get(name)).await;
            let Some((seen_now, found)) = now else { continue };
            if let Seen::Not(error) = &seen_now {
                tracing::warn!(instance = %name, %error, "the file of an instance can't be used");
            }
            seen.insert(name.clone(), seen_now);
            if inputs.send(Input::Event(Event::Found(name.clone(), found))).await.is_err() {
                return;
            }
        }
        pause().await;
    }
}

/// What was last found, so that only a change is told.
enum Seen {
    File(Fingerprint),
    Not(String),
}

async fn look(source: &FileSource, here: &Surroundings, seen: Option<&Seen>) -> Option<(Seen, Option<Found>)> {
    let failed = |error: SourceError| {
        let text = error.to_string();
        match seen {
            Some(Seen::Not(before)) if *before == text => None,
            _ => Some((Seen::Not(text), None)),
        }
    };
    match Fingerprint::of_file(&source.path).await {
        Ok(print) if matches!(seen, Some(Seen::File(before)) if *before == print) => return None,
        Ok(_) => {}
        Err(error) => return failed(error),
    }
    match read_file(&source.path, PAYLOAD, here).await {
        Ok((payload, print)) => {
            let since: Timestamp = print.modified();
            let found = Found { payload: Arc::new(payload), since, valid_until: since.plus(source.lifetime) };
            Some((Seen::File(print), Some(found)))
        }
        // Who writes it has not finished: look again.
        Err(SourceError::Changing(_)) => None,
        Err(error) => failed(error),
    }
}

#[expect(clippy::disallowed_methods, reason = "a file system of any kind tells nobody reliably that a file changed")]
async fn pause() {
    tokio::time::sleep(PACE).await;
}
