//! Where audit events go: JSON lines to a file, to a stream, or into memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::Event;

/// Takes audit events.
pub struct Audit {
    sink: Mutex<Sink>,
    watch: Option<Watch>,
}

type Watch = Box<dyn Fn(&Event) + Send + Sync>;

enum Sink {
    Memory(Vec<Event>),
    Stream(Box<dyn Write + Send>),
}

/// The audit log can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the audit log {}: give a path in a folder that this user can write to", path.display())]
pub struct AuditError {
    path: PathBuf,
    source: io::Error,
}

impl Audit {
    /// Appends to a file, which is made with mode 0600.
    ///
    /// # Errors
    /// If it can't be opened.
    pub fn file(path: &Path) -> Result<Self, AuditError> {
        let open =
            |path: &Path| -> io::Result<File> { OpenOptions::new().append(true).create(true).mode(0o600).open(path) };
        let file = open(path).map_err(|source| AuditError { path: path.to_owned(), source })?;
        Ok(Self::stream(file))
    }

    /// Writes to a stream.
    pub fn stream(stream: impl Write + Send + 'static) -> Self {
        Self { sink: Mutex::new(Sink::Stream(Box::new(stream))), watch: None }
    }

    /// Keeps events until they are [taken](Self::take).
    pub fn memory() -> Self {
        Self { sink: Mutex::new(Sink::Memory(Vec::new())), watch: None }
    }

    /// Shows each event to somebody, too, before it is recorded.
    #[must_use]
    pub fn watched(self, watch: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self { watch: Some(Box::new(watch)), ..self }
    }

    /// Records one event. A line is written in one piece, so that lines of several processes do not mix.
    ///
    /// # Errors
    /// If it can't be written: what can't be recorded should not go on.
    pub fn record(&self, event: Event) -> io::Result<()> {
        if let Some(watch) = &self.watch {
            watch(&event);
        }
        match &mut *self.sink.lock().unwrap_or_else(PoisonError::into_inner) {
            Sink::Memory(events) => events.push(event),
            Sink::Stream(stream) => {
                let mut line = serde_json::to_vec(&event)?;
                line.push(b'\n');
                stream.write_all(&line)?;
                stream.flush()?;
            }
        }
        Ok(())
    }

    /// The events that memory holds, oldest first, which it then forgets. None for a file or stream.
    pub fn take(&self) -> Vec<Event> {
        match &mut *self.sink.lock().unwrap_or_else(PoisonError::into_inner) {
            Sink::Memory(events) => std::mem::take(events),
            Sink::Stream(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Accepted, Actor, CallId, Outcome, What};
    use std::os::unix::fs::PermissionsExt;

    fn event() -> Event {
        Event {
            time: "2026-01-01T00:00:00.000Z".into(),
            actor: Actor::Instance("s3".parse().unwrap()),
            call: CallId(7),
            what: What::Secret { secret: "aws-key".into(), operation: "sigv4".into(), scope: "sts/eu-west-1".into() },
            outcome: Outcome::Done,
            code: None,
        }
    }

    #[test]
    fn an_event_is_one_json_line_in_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        for _ in 0..2 {
            Audit::file(&path).unwrap().record(event()).unwrap();
        }
        let line = r#"{"time":"2026-01-01T00:00:00.000Z","instance":"s3","call":7,"event":"secret","secret":"aws-key","operation":"sigv4","scope":"sts/eu-west-1","outcome":"done"}"#;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{line}\n{line}\n"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_accepted_delivery_is_told_by_its_instance_and_revision_and_the_receiver_by_its_own_key() {
        let deliveries = vec![Accepted { instance: "s3-prod".into(), revision: 4 }];
        let what = What::Accept { deliveries, files: 2, bytes: 812, millis: 3 };
        let event = Event { actor: Actor::Receiver("aws".parse().unwrap()), what, ..event() };
        let line = r#"{"time":"2026-01-01T00:00:00.000Z","receiver":"aws","call":7,"event":"accept","deliveries":[{"instance":"s3-prod","revision":4}],"files":2,"bytes":812,"millis":3,"outcome":"done"}"#;
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
    }

    #[test]
    fn somebody_who_watches_sees_each_event() {
        let seen = std::sync::Arc::new(Mutex::new(Vec::new()));
        let watcher = std::sync::Arc::clone(&seen);
        let audit = Audit::memory().watched(move |event| watcher.lock().unwrap().push(event.clone()));
        audit.record(event()).unwrap();
        assert_eq!(*seen.lock().unwrap(), audit.take());
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_that_names_it() {
        let error = Audit::file(Path::new("/nowhere/audit.jsonl")).err().unwrap();
        assert!(error.to_string().contains("/nowhere/audit.jsonl"));
    }

    #[test]
    fn a_text_of_a_component_cannot_begin_a_line_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let what = What::Secret {
            secret: "a\n{\"forged\":1}\u{1b}[2J".into(),
            operation: "open".into(),
            scope: String::new(),
        };
        Audit::file(&path).unwrap().record(Event { what, ..event() }).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains('\u{1b}'));
    }
}
