//! What one call may use, what it has used, and what it was refused.
//!
//! One account is shared by all capabilities of a call. Each takes from it before it acts, so that a limit holds over
//! all of them together, and what was refused is known to the operator even when the component keeps it to itself.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use deputy_core::grant::{Host, Target};
use deputy_core::{Limit, Limits, Refusal};
use deputy_observe::{Actor, Audit, CallId, Event, Outcome, What};
use tokio::sync::Notify;

use crate::clock;
use crate::redact::Redactor;

/// The account of one call.
pub(crate) struct Account {
    actor: Actor,
    call: CallId,
    limits: Limits,
    audit: Arc<Audit>,
    requests: AtomicU32,
    secret_operations: AtomicU32,
    sent: AtomicU64,
    received: AtomicU64,
    output_files: AtomicU32,
    output_bytes: AtomicU64,
    events: AtomicU64,
    /// Records that are begun and not yet written.
    open: AtomicU32,
    written: Notify,
    redactor: OnceLock<Arc<Redactor>>,
    refusals: Mutex<Vec<Refusal>>,
}

/// What a call has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// HTTP requests and TCP connections.
    pub requests: u32,
    /// Operations on secrets.
    pub secret_operations: u32,
    /// Bytes that left.
    pub sent: u64,
    /// Bytes that came in.
    pub received: u64,
    /// Files that were put.
    pub output_files: u32,
    /// Bytes of these files.
    pub output_bytes: u64,
}

/// More refusals than these are in the audit log only.
const REFUSALS: usize = 100;

/// The longest text of a component's own that is recorded, in bytes.
const RECORDED_TEXT: usize = 1024;

/// More audit events than these are counted: a component that is refused in a loop must not fill the operator's disk.
const EVENTS: u64 = 1000;

impl Account {
    pub(crate) fn new(actor: Actor, call: CallId, limits: Limits, audit: Arc<Audit>) -> Self {
        Self {
            actor,
            call,
            limits,
            audit,
            requests: AtomicU32::new(0),
            secret_operations: AtomicU32::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            output_files: AtomicU32::new(0),
            output_bytes: AtomicU64::new(0),
            events: AtomicU64::new(0),
            open: AtomicU32::new(0),
            written: Notify::new(),
            redactor: OnceLock::new(),
            refusals: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Has the values that this redactor knows blanked in what is recorded: a component may read one secret and ask for
    /// a path that holds it.
    pub(crate) fn blank_with(&self, redactor: Arc<Redactor>) {
        self.redactor.get_or_init(|| redactor);
    }

    /// Waits until every record that was begun is written; what is aborted is dropped a little later by its thread.
    pub(crate) async fn settle(&self) {
        loop {
            let written = self.written.notified();
            if self.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            written.await;
        }
    }

    /// A text of the component's own without the values of secrets, also where it made capitals of one.
    fn clean(&self, text: &str) -> String {
        let Some(redactor) = self.redactor.get() else { return text.to_owned() };
        let (cleaned, lower) =
            (redactor.clean(text, RECORDED_TEXT), redactor.clean(&text.to_lowercase(), RECORDED_TEXT));
        let hidden = lower.contains("[secret ") && !cleaned.contains("[secret ");
        if hidden { "[secret]".to_owned() } else { cleaned }
    }

    /// A refusal without the values of secrets: a component may read one and ask for a host of that name.
    fn blanked(&self, refusal: Refusal) -> Refusal {
        let host = |host: &Host| {
            let text = host.to_string();
            if self.clean(&text) == text { host.clone() } else { Host::Name("blanked.invalid".to_owned()) }
        };
        let at = |target: &Target| Target::new(target.scheme(), host(target.host()), target.port());
        match refusal {
            Refusal::Address { target, address, class } => Refusal::Address { target: at(&target), address, class },
            Refusal::Host { target } => Refusal::Host { target: at(&target) },
            Refusal::Method { target, method } => {
                let text = method.to_string();
                let method = if self.clean(&text) == text { method } else { "BLANKED".parse().unwrap_or(method) };
                Refusal::Method { target: at(&target), method }
            }
            Refusal::Name { host: name } => Refusal::Name { host: host(&name) },
            Refusal::OutputPath { path } => Refusal::OutputPath { path: self.clean(&path) },
            Refusal::OutputTaken { path } => Refusal::OutputTaken { path: self.clean(&path) },
            Refusal::Path { target, path } => Refusal::Path { target: at(&target), path: self.clean(&path) },
            Refusal::Port { target } => Refusal::Port { target: at(&target) },
            Refusal::Scheme { target } => Refusal::Scheme { target: at(&target) },
            other => other,
        }
    }

    /// Takes one HTTP request or TCP connection.
    pub(crate) fn take_request(&self) -> Result<(), Refusal> {
        let used = self.requests.fetch_add(1, Ordering::Relaxed);
        if used < self.limits.requests { Ok(()) } else { Err(Refusal::Limit(Limit::Requests)) }
    }

    /// Takes one operation on a secret.
    pub(crate) fn take_secret_operation(&self) -> Result<(), Refusal> {
        let used = self.secret_operations.fetch_add(1, Ordering::Relaxed);
        if used < self.limits.secret_operations { Ok(()) } else { Err(Refusal::Limit(Limit::SecretOperations)) }
    }

    /// Takes bytes that are about to leave.
    pub(crate) fn take_sent(&self, bytes: usize) -> Result<(), Refusal> {
        take(&self.sent, bytes, self.limits.sent.as_u64(), Limit::Sent)
    }

    /// Takes bytes that have come in and are about to be handed to the component.
    pub(crate) fn take_received(&self, bytes: usize) -> Result<(), Refusal> {
        take(&self.received, bytes, self.limits.received.as_u64(), Limit::Received)
    }

    /// Takes one file of so many bytes, if both limits have room for it. Unlike what leaves by the network, a file that
    /// is refused was not used: a smaller one may follow.
    pub(crate) fn take_output(&self, bytes: usize) -> Result<(), Refusal> {
        if self.output_files.load(Ordering::Relaxed) >= self.limits.output_files {
            return Err(Refusal::Limit(Limit::OutputFiles));
        }
        let most = self.limits.output_bytes.as_u64();
        let more = |used: u64| used.checked_add(bytes as u64).filter(|all| *all <= most);
        (self.output_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more))
            .map_err(|_| Refusal::Limit(Limit::OutputBytes))?;
        self.output_files.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Notes a refusal for the operator's report and hands it back. Does not write an audit event: the capability's own
    /// event says that it was refused.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Refusal {
        let noted = self.blanked(refusal.clone());
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() < REFUSALS && !refusals.contains(&noted) {
            refusals.push(noted);
        }
        refusal
    }

    /// What was refused, once each, in order.
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            requests: self.requests.load(Ordering::Relaxed),
            secret_operations: self.secret_operations.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            output_files: self.output_files.load(Ordering::Relaxed),
            output_bytes: self.output_bytes.load(Ordering::Relaxed),
        }
    }

    /// Writes an audit event. A log that can't be written is itself logged: it must not stop a renewal.
    pub(crate) fn record(&self, what: What, outcome: Outcome, code: Option<&str>) {
        if self.events.fetch_add(1, Ordering::Relaxed) < EVENTS {
            self.write(what, outcome, code);
        }
    }

    /// Writes the call's own event, which is never dropped, after one that says how many others were.
    pub(crate) fn close(&self, what: What, outcome: Outcome, code: Option<&str>) {
        let events = self.events.load(Ordering::Relaxed).saturating_sub(EVENTS);
        if events > 0 {
            self.write(What::Dropped { events }, Outcome::Refused, None);
        }
        self.write(what, outcome, code);
    }

    fn write(&self, mut what: What, outcome: Outcome, code: Option<&str>) {
        match &mut what {
            What::Http { method, target, path, .. } => {
                for text in [method, target, path] {
                    *text = self.clean(text);
                }
            }
            What::Name { host } => *host = self.clean(host),
            What::Output { path, .. } => *path = self.clean(path),
            _ => {}
        }
        let event = Event {
            time: clock::now().to_string(),
            actor: self.actor.clone(),
            call: self.call,
            what,
            outcome,
            code: code.map(str::to_owned),
        };
        if let Err(error) = self.audit.record(event) {
            tracing::error!(actor = %self.actor, %error, "an audit event could not be written");
        }
    }
}

fn take(used: &AtomicU64, bytes: usize, limit: u64, name: Limit) -> Result<(), Refusal> {
    let bytes = bytes as u64;
    let before = used.fetch_add(bytes, Ordering::Relaxed);
    if before.saturating_add(bytes) <= limit { Ok(()) } else { Err(Refusal::Limit(name)) }
}

/// An audit event that is written when it is dropped, as cancelled unless something better is known: what a killed call
/// was about to do is recorded too.
pub(crate) struct Record {
    account: Arc<Account>,
    what: Option<What>,
    outcome: Outcome,
    code: Option<String>,
}

impl Record {
    pub(crate) fn begin(account: &Arc<Account>, what: What) -> Self {
        account.open.fetch_add(1, Ordering::SeqCst);
        Self { account: Arc::clone(account), what: Some(what), outcome: Outcome::Cancelled, code: None }
    }

    /// What will be written, to add what became known.
    pub(crate) fn what(&mut self) -> Option<&mut What> {
        self.what.as_mut()
    }

    pub(crate) fn done(&mut self) {
        self.outcome = Outcome::Done;
    }

    pub(crate) fn failed(&mut self, code: impl Into<String>) {
        self.outcome = Outcome::Failed;
        self.code = Some(code.into());
    }

    /// Notes the refusal in the account, too, and hands it back.
    pub(crate) fn refused(&mut self, refusal: Refusal) -> Refusal {
        self.outcome = Outcome::Refused;
        self.code = Some(match &refusal {
            Refusal::Limit(limit) => format!("over-limit:{limit}"),
            other => other.code().to_owned(),
        });
        self.account.refuse(refusal)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(what) = self.what.take() {
            self.account.record(what, self.outcome, self.code.as_deref());
        }
        self.account.open.fetch_sub(1, Ordering::SeqCst);
        self.account.written.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor() -> Actor {
        Actor::Instance("s3".parse().unwrap())
    }

    #[test]
    fn a_call_that_does_too_much_is_counted_and_its_own_event_is_kept() {
        let audit = Arc::new(Audit::memory());
        let account = Account::new(actor(), CallId(1), Limits::default(), Arc::clone(&audit));
        for _ in 0..EVENTS + 7 {
            account.record(What::Wasi { operation: "udp" }, Outcome::Refused, Some("udp-not-allowed"));
        }
        account.close(What::Call { function: "obtain", millis: 1 }, Outcome::Done, None);
        let events = audit.take();
        assert_eq!(events.len() as u64, EVENTS + 2);
        let [.., dropped, call] = events.as_slice() else { panic!("two at least") };
        assert_eq!(dropped.what, What::Dropped { events: 7 });
        assert_eq!(call.what, What::Call { function: "obtain", millis: 1 });
    }

    #[test]
    fn what_is_taken_is_taken_over_all_capabilities_together() {
        let limits = Limits { requests: 2, sent: deputy_core::ByteSize::bytes(10), ..Limits::default() };
        let account = Account::new(actor(), CallId(1), limits, Arc::new(Audit::memory()));
        assert_eq!([(); 3].map(|()| account.take_request().is_ok()), [true, true, false]);
        assert_eq!([4, 6, 1].map(|bytes| account.take_sent(bytes).is_ok()), [true, true, false]);
        assert_eq!(account.take_sent(1), Err(Refusal::Limit(Limit::Sent)));
    }

    #[test]
    fn a_file_that_does_not_fit_takes_nothing_from_what_is_left() {
        let limits = Limits { output_files: 2, output_bytes: deputy_core::ByteSize::bytes(10), ..Limits::default() };
        let account = Account::new(actor(), CallId(1), limits, Arc::new(Audit::memory()));
        let over = |limit| Err(Refusal::Limit(limit));
        assert_eq!([6, 5, usize::MAX].map(|bytes| account.take_output(bytes).is_ok()), [true, false, false]);
        assert_eq!(account.take_output(5), over(Limit::OutputBytes));
        assert_eq!([4, 0].map(|bytes| account.take_output(bytes)), [Ok(()), over(Limit::OutputFiles)]);
        assert_eq!((account.usage().output_files, account.usage().output_bytes), (2, 10));
    }

    #[test]
    fn a_record_that_is_dropped_is_written_as_cancelled() {
        let audit = Arc::new(Audit::memory());
        let account = Account::new(actor(), CallId(1), Limits::default(), Arc::clone(&audit));
        drop(Record::begin(&Arc::new(account), What::Wasi { operation: "udp" }));
        assert_eq!(audit.take().first().map(|event| event.outcome), Some(Outcome::Cancelled));
    }
}
