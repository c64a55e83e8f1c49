//! Written lines, lost events, and the errors that callers get.
#![expect(clippy::disallowed_methods, reason = "files of the tests, and a wait for the writer's thread")]

use super::*;
use crate::{AcceptedDelivery, AuditAction, AuditOutcome, AuditSubject, CallId, SignedContent};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

fn event() -> AuditEvent {
    AuditEvent {
        time: "2026-01-01T00:00:00.000Z".into(),
        subject: AuditSubject::Instance("s3".parse().unwrap()),
        call: CallId(7),
        action: AuditAction::Secret {
            secret: "aws-key".into(),
            operation: "sigv4".into(),
            scope: "sts/eu-west-1".into(),
            signed: SignedContent { signed_time: Some("2025-12-31T23:59:59.000Z".into()), ..SignedContent::default() },
        },
        outcome: AuditOutcome::Done,
        code: None,
    }
}

#[test]
fn audit_event_is_one_json_line_in_a_private_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    for _ in 0..2 {
        Audit::file(&path).unwrap().record(event()).unwrap();
    }
    let line = r#"{"time":"2026-01-01T00:00:00.000Z","instance":"s3","call":7,"event":"secret","secret":"aws-key","operation":"sigv4","scope":"sts/eu-west-1","signed-time":"2025-12-31T23:59:59.000Z","outcome":"done"}"#;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{line}\n{line}\n"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn audit_event_of_accept_names_receiver_instance_and_revision() {
    let deliveries = vec![AcceptedDelivery { instance: "s3-prod".into(), revision: 4 }];
    let action = AuditAction::Accept { deliveries, files: 2, bytes: 812, millis: 3 };
    let event = AuditEvent { subject: AuditSubject::Receiver("aws".parse().unwrap()), action, ..event() };
    let line = r#"{"time":"2026-01-01T00:00:00.000Z","receiver":"aws","call":7,"event":"accept","deliveries":[{"instance":"s3-prod","revision":4}],"files":2,"bytes":812,"millis":3,"outcome":"done"}"#;
    assert_eq!(serde_json::to_string(&event).unwrap(), line);
}

#[test]
fn audit_watcher_sees_each_event() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watcher = Arc::clone(&seen);
    let audit = Audit::memory().watched(move |event| watcher.lock().unwrap().push(event.clone()));
    audit.record(event()).unwrap();
    assert_eq!(*seen.lock().unwrap(), audit.take());
}

#[test]
fn audit_file_that_cannot_be_opened_is_named() {
    let error = Audit::file(Path::new("/nowhere/audit.jsonl")).err().unwrap();
    assert!(error.to_string().contains("/nowhere/audit.jsonl"));
}

#[test]
fn audit_event_with_hostile_text_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let action = AuditAction::Secret {
        secret: "a\n{\"forged\":1}\u{1b}[2J".into(),
        operation: "open".into(),
        scope: String::new(),
        signed: SignedContent::default(),
    };
    Audit::file(&path).unwrap().record(AuditEvent { action, ..event() }).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(!text.contains('\u{1b}'));
}

/// A disk with limited room, which fails when it is full and blocks until it has any.
#[derive(Clone, Default)]
struct FakeDisk(Arc<(Mutex<FakeDiskState>, std::sync::Condvar)>);

#[derive(Default)]
struct FakeDiskState {
    written: Vec<u8>,
    /// Bytes of room. `None` for a stuck disk.
    room: Option<usize>,
    is_asked: bool,
}

impl FakeDisk {
    fn with_room(bytes: usize) -> Self {
        let disk = Self::default();
        disk.free(bytes);
        disk
    }

    fn free(&self, bytes: usize) {
        self.0.0.lock().unwrap().room = Some(bytes);
        self.0.1.notify_all();
    }

    /// Whether anything was to be written.
    fn is_asked(&self) -> bool {
        self.0.0.lock().unwrap().is_asked
    }

    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.0.lock().unwrap().written.clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Write for FakeDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.0.lock().unwrap();
        state.is_asked = true;
        let mut state = self.0.1.wait_while(state, |state| state.room.is_none()).unwrap();
        let room = state.room.unwrap();
        let taken = room.min(bytes.len());
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.written.extend_from_slice(&bytes[..taken]);
        state.room = Some(room - taken);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn line_len() -> usize {
    Audit::nowhere().line(&event()).unwrap().len()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn audit_writes_unawaited_events_together_and_soon() {
    let disk = FakeDisk::with_room(100 * line_len());
    let audit = Audit::stream(disk.clone()).unwrap();
    for _ in 0..20 {
        audit.submit_unawaited(event()).written().await.unwrap();
    }
    wait_until("they are written without anything that waits for them", || disk.lines().len() == 20);
    audit.submit_unawaited(event()).written().await.unwrap();
    audit.record(event()).unwrap();
    assert_eq!(disk.lines().len(), 22, "an awaited event takes those before it along");
    audit.submit_unawaited(event()).detach();
    drop(audit);
    wait_until("the last one is written at the end", || disk.lines().len() == 23);
}

#[tokio::test]
async fn audit_that_cannot_be_written_refuses_unawaited_events() {
    let disk = FakeDisk::with_room(0);
    let audit = Audit::stream(disk.clone()).unwrap();
    audit.submit_unawaited(event()).written().await.unwrap(); // nothing is known yet
    wait_until("the writer has noticed", || audit.status().trouble.is_some());
    assert!(matches!(audit.submit_unawaited(event()).written().await, Err(AuditError::Write(_))));
    disk.free(100 * line_len());
    audit.record(event()).unwrap();
    audit.submit_unawaited(event()).written().await.unwrap();
    assert_eq!(audit.status().lost, 2);
}

#[tokio::test]
async fn audit_queue_refuses_unawaited_events_when_it_is_full() {
    let audit = Audit::stream(FakeDisk::default()).unwrap();
    let mut refused = 0;
    for _ in 0..2 * queue::MAX_ENTRIES {
        refused += usize::from(audit.submit_unawaited(event()).written().await.is_err());
    }
    assert!(refused > 0 && refused < 2 * queue::MAX_ENTRIES, "{refused}");
    assert_eq!(audit.status().lost, refused as u64);
}

#[test]
fn audit_on_a_full_disk_refuses_events() {
    let disk = FakeDisk::with_room(line_len() + 10);
    let audit = Audit::stream(disk.clone()).unwrap();
    audit.record(event()).unwrap();
    assert!(matches!(audit.record(event()), Err(AuditError::Write(_))));
    let status = audit.status();
    assert_eq!(status.lost, 1);
    assert!(status.trouble.unwrap().contains("cannot write to the audit log"));
}

#[test]
fn audit_line_after_a_torn_one_is_whole_and_reports_losses() {
    let disk = FakeDisk::with_room(10);
    let audit = Audit::stream(disk.clone()).unwrap();
    audit.record(event()).unwrap_err();
    audit.record(event()).unwrap_err();
    disk.free(usize::MAX);
    // The log recovers without a further event.
    wait_until("the log is writable again", || audit.status().trouble.is_none());
    audit.record(event()).unwrap();
    let lines = disk.lines();
    let lost = r#"{"time":"2026-01-01T00:00:00.000Z","event":"lost","events":2,"outcome":"failed"}"#;
    assert_eq!(lines[1..], [lost.to_owned(), serde_json::to_string(&event()).unwrap()], "{lines:?}");
    assert_eq!(lines[0].len(), 10);
    assert_eq!(audit.status(), AuditStatus { lost: 2, ..AuditStatus::default() });
}

#[test]
fn audit_line_after_a_torn_file_begins_on_a_new_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    std::fs::write(&path, "{\"time\":\"20").unwrap();
    Audit::file(&path).unwrap().record(event()).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("{{\"time\":\"20\n{}\n", serde_json::to_string(&event()).unwrap()));
}

#[test]
fn audit_events_of_one_write_have_their_own_results() {
    let disk = FakeDisk::default();
    let audit = Audit::stream(disk.clone()).unwrap();
    // The writer has the first one, and the others become one batch.
    let receipts: Vec<_> = (0..4).map(|_| audit.submit(event())).collect();
    disk.free(3 * line_len() + 1);
    let written: Vec<_> = receipts.into_iter().map(|receipt| receipt.wait().is_ok()).collect();
    assert_eq!(written, [true, true, true, false]);
}

#[test]
fn audit_queue_is_bounded_and_reports_losses() {
    let disk = FakeDisk::default();
    let audit = Audit::stream(disk.clone()).unwrap();
    let receipts: Vec<_> = (0..2 * queue::MAX_ENTRIES).map(|_| audit.submit(event())).collect();
    let status = audit.status();
    assert!(status.waiting <= queue::MAX_ENTRIES, "{status:?}");
    disk.free(usize::MAX);
    let full = receipts.into_iter().filter_map(|receipt| receipt.wait().err());
    let full = full.inspect(|error| assert!(matches!(error, AuditError::Full { .. }), "{error}")).count();
    assert_eq!(audit.status().lost, full as u64);
    assert!(full > 0);
    wait_until("the loss is in the log", || disk.lines().iter().any(|line| line.contains(r#""event":"lost""#)));
    let lines = disk.lines();
    assert!(lines.iter().any(|line| line.contains(&format!(r#""events":{full},"#))), "{full}");
    assert_eq!(lines.len(), 2 * queue::MAX_ENTRIES - full + 1);
}

#[test]
fn audit_queue_is_bounded_in_bytes() {
    let audit = Audit::stream(FakeDisk::default()).unwrap();
    let action = AuditAction::Name { host: "a".repeat(1 << 20) };
    let large = AuditEvent { action, ..event() };
    for _ in 0..8 {
        audit.submit(large.clone()).detach();
    }
    let status = audit.status();
    assert!(status.waiting <= 4 && status.lost >= 2, "{status:?}");
}

#[test]
fn audit_that_is_stuck_refuses_in_time_and_reports_it() {
    let disk = FakeDisk::default();
    let audit = Audit::stream_with(disk.clone(), Duration::from_millis(50)).unwrap();
    assert!(matches!(audit.record(event()), Err(AuditError::Slow)));
    wait_until("the status has the trouble", || audit.status().trouble.is_some());
    disk.free(usize::MAX);
    wait_until("the trouble has ended", || audit.status().trouble.is_none());
    assert_eq!(audit.status().lost, 0, "the event was written late");
    assert_eq!(disk.lines().len(), 1);
}

#[test]
fn audit_writer_is_woken_by_each_of_many_recorders() {
    let audit = Audit::stream(io::sink()).unwrap();
    let record = || (0..500).for_each(|_| audit.record(event()).unwrap());
    std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(record))));
    assert_eq!(audit.status(), AuditStatus::default());
}

#[test]
fn audit_that_is_stuck_delays_only_callers_that_record() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let disk = FakeDisk::default();
    let audit = Arc::new(Audit::stream(disk.clone()).unwrap());
    let (blocking, awaiting) = (Arc::clone(&audit), Arc::clone(&audit));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn_on(async move { blocking.record(event()).is_ok() }, runtime.handle());
    wait_until("the writer is stuck", || disk.is_asked());
    tasks.spawn_on(async move { awaiting.submit(event()).written().await.is_ok() }, runtime.handle());
    wait_until("both wait", || audit.status().waiting == 1);
    let (done, others) = std::sync::mpsc::channel();
    for _ in 0..10 {
        let done = done.clone();
        tasks.spawn_on(async move { done.send(()).is_ok() }, runtime.handle());
        others.recv_timeout(Duration::from_secs(30)).expect("another task runs");
    }
    disk.free(usize::MAX);
    assert!(runtime.block_on(tasks.join_all()).into_iter().all(|recorded| recorded));
    assert_eq!(disk.lines().len(), 2);
}

#[tokio::test]
async fn audit_file_is_reopened_after_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
    let audit = Audit::file(&path).unwrap();
    audit.record(event()).unwrap();
    std::fs::rename(&path, &old).unwrap();
    audit.reopen().await.unwrap();
    audit.record(event()).unwrap();
    for path in [&path, &old] {
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 1, "{}", path.display());
    }
}

#[tokio::test]
async fn audit_file_that_cannot_be_reopened_stays_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("a/audit.jsonl"), folder.path().join("b"));
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let audit = Audit::file(&path).unwrap();
    std::fs::rename(path.parent().unwrap(), &old).unwrap();
    assert!(matches!(audit.reopen().await, Err(AuditError::Open { .. })));
    audit.record(event()).unwrap();
    assert_eq!(std::fs::read_to_string(old.join("audit.jsonl")).unwrap().lines().count(), 1);
}

#[test]
fn audit_file_that_was_removed_is_created_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::file(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    audit.record(event()).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
}

#[test]
fn audit_pipe_without_a_reader_refuses_events_until_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let audit = Audit::file(&path).unwrap();
    assert!(audit.status().trouble.unwrap().contains("nothing reads the audit log"));
    assert!(matches!(audit.record(event()), Err(AuditError::Unread { .. })));
    let no_wait = rustix::fs::OFlags::NONBLOCK.bits().try_into().unwrap();
    let reader = File::options().read(true).custom_flags(no_wait).open(&path).unwrap();
    audit.record(event()).unwrap();
    drop(reader);
    assert!(matches!(audit.record(event()), Err(AuditError::Write(_))));
}

#[tokio::test]
async fn audit_flush_waits_for_submitted_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::file(&path).unwrap();
    for _ in 0..1000 {
        audit.submit(event()).detach();
    }
    audit.flush().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1000);
}

#[test]
fn audit_event_names_the_coordinator_and_its_term() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::file(&path).unwrap().of_coordinator("node-1".into());
    for term in [None, Some(7), None] {
        audit.set_term(term);
        audit.record(event()).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let ends: Vec<&str> = text.lines().map(|line| line.split_once("\"done\"").unwrap().1).collect();
    let follows = ",\"coordinator\":\"node-1\"}";
    assert_eq!(ends, [follows, ",\"coordinator\":\"node-1\",\"term\":7}", follows]);
}
