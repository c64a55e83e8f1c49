//! The audit events of one call.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use deputy_audit::{Audit, AuditAction, AuditError, AuditEvent, AuditOutcome, AuditSubject, CallId, Receipt};
use deputy_core::grant::{Host, Target};
use deputy_core::{DeniedRequest, KerberosPrincipal, PolicyDenial, in_one_line};
use deputy_support::{LockUnpoisoned as _, SystemClock};
use tokio::sync::Notify;

use crate::denial_budget::{DENIALS_PER_CALL, DenialBudget};
use crate::made_request::{MOST_REQUESTS, MadeRequest};
use crate::redact::{Redactor, bounded};
use crate::secret_fault::SecretFault;

/// Writes the audit events of one call, with the values of its secrets blanked.
pub(crate) struct CallAudit {
    subject: AuditSubject,
    call: CallId,
    audit: Arc<Audit>,
    denials: Arc<DenialBudget>,
    /// Whether an event of the call was recorded, or should have been.
    used: AtomicBool,
    /// Denials to be recorded, whether they were or not.
    denied: AtomicU64,
    /// Denials that were not recorded.
    suppressed: AtomicU64,
    /// Whether an event could not be written.
    unrecorded: AtomicBool,
    /// Records begun and not yet written.
    open: AtomicU32,
    written: Notify,
    redactor: OnceLock<Arc<Redactor>>,
    requests: Mutex<Vec<MadeRequest>>,
}

/// An event could not be written, so what it would have recorded may not be done. The log says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written")]
pub(crate) struct Unrecorded;

/// The longest text of the component that is recorded, in bytes.
pub(crate) const MAX_TEXT: usize = 1024;

/// The same for a denied use, which costs a component nothing.
const MAX_DENIED_TEXT: usize = 256;

impl CallAudit {
    pub(crate) fn new(subject: AuditSubject, call: CallId, audit: Arc<Audit>, denials: Arc<DenialBudget>) -> Self {
        Self {
            subject,
            call,
            audit,
            denials,
            used: AtomicBool::new(false),
            denied: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
            unrecorded: AtomicBool::new(false),
            open: AtomicU32::new(0),
            written: Notify::new(),
            redactor: OnceLock::new(),
            requests: Mutex::default(),
        }
    }

    pub(crate) fn subject(&self) -> &AuditSubject {
        &self.subject
    }

    pub(crate) fn call(&self) -> CallId {
        self.call
    }

    /// Blanks the values that this redactor knows in all events: a component may read one secret and request a path that
    /// holds it.
    pub(crate) fn redact_with(&self, redactor: Arc<Redactor>) {
        self.redactor.get_or_init(|| redactor);
    }

    /// Counts a record as open until [`end_record`](Self::end_record).
    pub(crate) fn begin_record(&self) {
        self.open.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn end_record(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
        self.written.notify_waiters();
    }

    /// Waits until every open record is written. An aborted task is dropped by its thread a little after the abort.
    pub(crate) async fn settle(&self) {
        loop {
            let written = self.written.notified();
            if self.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            written.await;
        }
    }

    /// Keeps a request that has ended, for the traces of the call.
    pub(crate) fn note_request(&self, request: MadeRequest) {
        let mut requests = self.requests.lock_unpoisoned();
        if requests.len() < MOST_REQUESTS {
            requests.push(request);
        }
    }

    /// The requests that have ended.
    pub(crate) fn take_requests(&self) -> Vec<MadeRequest> {
        std::mem::take(&mut self.requests.lock_unpoisoned())
    }

    /// Whether an event of the call could not be written.
    pub(crate) fn is_unrecorded(&self) -> bool {
        self.unrecorded.load(Ordering::SeqCst)
    }

    /// Records an event and blocks until it is written. Only a bounded number of denials is written; the rest is counted.
    pub(crate) fn record(
        &self,
        action: AuditAction,
        outcome: AuditOutcome,
        code: Option<&str>,
    ) -> Result<(), Unrecorded> {
        self.check_written(self.submit(action, outcome, code).wait())
    }

    /// The same without blocking the thread.
    pub(crate) async fn record_async(
        &self,
        action: AuditAction,
        outcome: AuditOutcome,
        code: Option<&str>,
    ) -> Result<(), Unrecorded> {
        let receipt = self.submit(action, outcome, code);
        self.check_written(receipt.written().await)
    }

    /// Hands an event to the audit log and does not wait: for what has happened already.
    pub(crate) fn note(&self, action: AuditAction, outcome: AuditOutcome, code: Option<&str>) {
        self.submit(action, outcome, code).detach();
    }

    /// Hands the call's own event, which is never suppressed, to the audit log, after an event with the number of those
    /// that were. Nothing depends on the event of a call that used no capability: it can have let nothing out.
    pub(crate) fn close(&self, action: AuditAction, outcome: AuditOutcome, code: Option<&str>) -> Receipt {
        let events = self.suppressed.load(Ordering::Relaxed);
        if events > 0 {
            self.audit.submit(self.event(AuditAction::Dropped { events }, AuditOutcome::Refused, None)).detach();
        }
        let event = self.event(action, outcome, code);
        if self.used.load(Ordering::SeqCst) { self.audit.submit(event) } else { self.audit.submit_unawaited(event) }
    }

    /// Remembers a failed write: what the event would have recorded must not happen, and the call ends as unavailable.
    pub(crate) fn check_written(&self, written: Result<(), AuditError>) -> Result<(), Unrecorded> {
        written.map_err(|error| {
            self.unrecorded.store(true, Ordering::SeqCst);
            let error = in_one_line(&error);
            tracing::error!(instance = %self.subject, call = %self.call, %error, "writing an audit event failed");
            Unrecorded
        })
    }

    /// A denial without the values of secrets: a component may read one and request a host of that name.
    pub(crate) fn redact_denial(&self, denial: PolicyDenial) -> PolicyDenial {
        match denial {
            PolicyDenial::Address { target, address, class } => {
                PolicyDenial::Address { target: self.redact_target(&target), address, class }
            }
            PolicyDenial::Echo { target, secret } => PolicyDenial::Echo { target: self.redact_target(&target), secret },
            PolicyDenial::Host { target } => PolicyDenial::Host { target: self.redact_target(&target) },
            PolicyDenial::KerberosConnection { target } => {
                PolicyDenial::KerberosConnection { target: self.redact_principal(target) }
            }
            PolicyDenial::KerberosHost { target } => {
                PolicyDenial::KerberosHost { target: self.redact_principal(target) }
            }
            PolicyDenial::KerberosTarget { target } => PolicyDenial::KerberosTarget { target: self.redact(&target) },
            PolicyDenial::Method { target, request } => {
                PolicyDenial::Method { target: self.redact_target(&target), request: self.redact_request(*request) }
            }
            PolicyDenial::Name { host } => PolicyDenial::Name { host: self.redact_host(&host) },
            PolicyDenial::OverrideHeader { target, mut request } => {
                request.path = self.redact(&request.path);
                request.header = self.redact(&request.header);
                PolicyDenial::OverrideHeader { target: self.redact_target(&target), request }
            }
            PolicyDenial::OutputPath { path } => PolicyDenial::OutputPath { path: self.redact(&path) },
            PolicyDenial::OutputTaken { path } => PolicyDenial::OutputTaken { path: self.redact(&path) },
            PolicyDenial::OwnAuthorization { target } => {
                PolicyDenial::OwnAuthorization { target: self.redact_target(&target) }
            }
            PolicyDenial::Path { target, request } => {
                PolicyDenial::Path { target: self.redact_target(&target), request: self.redact_request(*request) }
            }
            PolicyDenial::Port { target } => PolicyDenial::Port { target: self.redact_target(&target) },
            PolicyDenial::Scheme { target } => PolicyDenial::Scheme { target: self.redact_target(&target) },
            other => other,
        }
    }

    fn redact_request(&self, request: DeniedRequest) -> Box<DeniedRequest> {
        let DeniedRequest { method, path } = request;
        let text = method.to_string();
        let method = if self.redact(&text) == text { method } else { "BLANKED".parse().unwrap_or(method) };
        Box::new(DeniedRequest { method, path: self.redact(&path) })
    }

    fn redact_target(&self, target: &Target) -> Target {
        Target::new(target.scheme(), self.redact_host(target.host()), target.port())
    }

    fn redact_host(&self, host: &Host) -> Host {
        let text = host.to_string();
        if self.redact(&text) == text { host.clone() } else { Host::Name("blanked.invalid".to_owned()) }
    }

    fn redact_principal(&self, principal: KerberosPrincipal) -> KerberosPrincipal {
        let is_clean = self.redact(principal.as_str()) == principal.as_str();
        if is_clean { principal } else { "blanked/blanked.invalid@BLANKED".parse().unwrap_or(principal) }
    }

    /// A fault without the values of secrets: its text may have a host that the component chose.
    pub(crate) fn redact_fault(&self, fault: SecretFault) -> SecretFault {
        match fault {
            SecretFault::Source(text) => SecretFault::Source(self.redact(&text)),
            SecretFault::Value(text) => SecretFault::Value(self.redact(&text)),
        }
    }

    fn redact(&self, text: &str) -> String {
        self.redact_to(text, MAX_TEXT)
    }

    /// A text of the component without the values of secrets.
    fn redact_to(&self, text: &str, max: usize) -> String {
        match self.redactor.get() {
            Some(redactor) => redactor.clean(text, max),
            None => bounded(text.to_owned(), max, false),
        }
    }

    /// The part of a component's text that is worth keeping for a record which shows `max` bytes of it: so much more
    /// that a secret which begins in these is whole, and blanked as one.
    pub(crate) fn excerpt<'t>(&self, text: &'t str, max: usize) -> &'t str {
        let longest = self.redactor.get().map_or(0, |redactor| redactor.longest());
        text.get(..text.floor_char_boundary(max.saturating_add(longest))).unwrap_or(text)
    }

    fn submit(&self, action: AuditAction, outcome: AuditOutcome, code: Option<&str>) -> Receipt {
        self.used.store(true, Ordering::SeqCst);
        if outcome == AuditOutcome::Refused && !self.may_record_denial() {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            return Receipt::none();
        }
        self.audit.submit(self.event(action, outcome, code))
    }

    fn may_record_denial(&self) -> bool {
        self.denied.fetch_add(1, Ordering::Relaxed) < DENIALS_PER_CALL
            && self.denials.take(&self.subject, SystemClock::wall())
    }

    /// An event without the values of secrets.
    fn event(&self, mut action: AuditAction, outcome: AuditOutcome, code: Option<&str>) -> AuditEvent {
        let max = if outcome == AuditOutcome::Refused { MAX_DENIED_TEXT } else { MAX_TEXT };
        match &mut action {
            AuditAction::Http { method, target, path, .. } => {
                for text in [method, target, path] {
                    *text = self.redact_to(text, max);
                }
            }
            AuditAction::Kerberos { target, .. } => *target = self.redact_to(target, max),
            AuditAction::Name { host } => *host = self.redact_to(host, max),
            AuditAction::Output { path, .. } => *path = self.redact_to(path, max),
            AuditAction::Secret { signed, .. } => signed.shorten(max),
            _ => {}
        }
        AuditEvent {
            time: SystemClock::wall().to_string(),
            subject: self.subject.clone(),
            call: self.call,
            action,
            outcome,
            code: code.map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_audit::SignedContent;

    const UDP: AuditAction = AuditAction::Wasi { operation: "udp" };
    const OBTAIN: AuditAction = AuditAction::Call { function: "obtain", millis: 1 };

    fn call_audit(call: u64, audit: &Arc<Audit>, denials: &Arc<DenialBudget>) -> CallAudit {
        let subject = AuditSubject::Instance("s3".parse().unwrap());
        CallAudit::new(subject, CallId(call), Arc::clone(audit), Arc::clone(denials))
    }

    #[test]
    fn audit_counts_suppressed_denials_and_keeps_the_call_event() {
        let audit = Arc::new(Audit::memory());
        let call = call_audit(1, &audit, &Arc::default());
        for _ in 0..DENIALS_PER_CALL + 7 {
            call.record(UDP, AuditOutcome::Refused, Some("udp-not-allowed")).unwrap();
        }
        call.close(OBTAIN, AuditOutcome::Done, None).detach();
        let events = audit.take();
        assert_eq!(events.len() as u64, DENIALS_PER_CALL + 2);
        let [.., dropped, call] = events.as_slice() else { panic!("two at least") };
        assert_eq!(dropped.action, AuditAction::Dropped { events: 7 });
        assert_eq!(call.action, OBTAIN);
    }

    #[test]
    fn audit_keeps_every_success_whatever_was_denied_before() {
        let audit = Arc::new(Audit::memory());
        let call = call_audit(1, &audit, &Arc::default());
        let secret = AuditAction::Secret {
            secret: "key".into(),
            operation: "sigv4".into(),
            scope: String::new(),
            signed: SignedContent::default(),
        };
        for _ in 0..5_000 {
            call.record(secret.clone(), AuditOutcome::Refused, Some("secret-not-granted")).unwrap();
        }
        for _ in 0..5_000 {
            call.record(secret.clone(), AuditOutcome::Done, None).unwrap();
        }
        let done = audit.take().iter().filter(|event| event.outcome == AuditOutcome::Done).count();
        assert_eq!(done, 5_000);
    }

    #[test]
    fn audit_bounds_denials_of_an_instance_by_the_hour() {
        let audit = Arc::new(Audit::memory());
        let denials = Arc::default();
        for id in 0..50 {
            let call = call_audit(id, &audit, &denials);
            for _ in 0..DENIALS_PER_CALL {
                let action = AuditAction::Name { host: "x".repeat(5_000) };
                call.record(action, AuditOutcome::Refused, Some("name-not-granted")).unwrap();
            }
            call.close(OBTAIN, AuditOutcome::Done, None).detach();
        }
        let events = audit.take();
        let denied = events.iter().filter(|event| matches!(event.action, AuditAction::Name { .. })).count();
        // The budget refills evenly, so a slow run may see one or two more.
        assert!((1_000..1_010).contains(&denied), "{denied}");
        let suppressed = events.iter().filter_map(|event| match event.action {
            AuditAction::Dropped { events } => Some(events),
            _ => None,
        });
        assert_eq!(suppressed.sum::<u64>() + denied as u64, 5_000);
        let longest = events.iter().map(|event| serde_json::to_string(event).unwrap().len()).max();
        assert!(longest < Some(600), "{longest:?}");
    }

    /// A disk without room.
    struct Full;

    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn audit_event_of_a_call_is_awaited_after_a_use_or_a_failure() {
        let audit = Arc::new(Audit::stream(Full).unwrap());
        let used = call_audit(1, &audit, &Arc::default());
        used.note(UDP, AuditOutcome::Done, None);
        assert!(used.close(OBTAIN, AuditOutcome::Done, None).written().await.is_err());
        // Now it is known that nothing can be written.
        let unused = call_audit(2, &audit, &Arc::default());
        assert!(unused.close(OBTAIN, AuditOutcome::Done, None).written().await.is_err());
        let stuck = Arc::new(Audit::stream(Stuck).unwrap());
        let unused = call_audit(3, &stuck, &Arc::default());
        let queued = unused.close(OBTAIN, AuditOutcome::Done, None).written();
        assert!(tokio::time::timeout(std::time::Duration::from_secs(2), queued).await.unwrap().is_ok());
    }

    /// A disk that takes its time.
    struct Stuck;

    impl std::io::Write for Stuck {
        #[expect(clippy::disallowed_methods, reason = "the audit log's own thread waits")]
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            std::thread::sleep(std::time::Duration::from_secs(4));
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn knowing_a_secret() -> CallAudit {
        let call = call_audit(1, &Arc::new(Audit::memory()), &Arc::default());
        let value = Arc::new(deputy_core::SecretBytes::new(b"hunter2-hunter2".to_vec()));
        call.redact_with(Arc::new(Redactor::new(vec![("key".parse().unwrap(), value)])));
        call
    }

    #[test]
    fn audit_redacts_principals_and_faults() {
        let call = knowing_a_secret();
        let target: KerberosPrincipal = "hbase/hunter2-hunter2.example@R".parse().unwrap();
        for denial in [
            PolicyDenial::KerberosHost { target: target.clone() },
            PolicyDenial::KerberosConnection { target: target.clone() },
            PolicyDenial::KerberosTarget { target: target.to_string() },
        ] {
            let shown = format!("{:?}", call.redact_denial(denial));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let plain: KerberosPrincipal = "hbase/a.example@R".parse().unwrap();
        let denial = PolicyDenial::KerberosHost { target: plain };
        assert_eq!(call.redact_denial(denial.clone()), denial);
        let fault = call.redact_fault(SecretFault::Source("TLS with tcp://hunter2-hunter2.example:1: no".to_owned()));
        assert_eq!(fault.to_string(), "TLS with tcp://[secret key].example:1: no");
    }

    #[test]
    fn audit_redacts_a_header_that_holds_a_secret() {
        let call = knowing_a_secret();
        let target = Target::parse(deputy_core::grant::Scheme::Https, "hunter2-hunter2.example").unwrap();
        let request = deputy_core::OverriddenRequest {
            method: "GET".parse().unwrap(),
            path: "/hunter2-hunter2".to_owned(),
            header: "x-forwarded-hunter2-hunter2".to_owned(),
        };
        let denial = PolicyDenial::OverrideHeader { target, request: Box::new(request) };
        let shown = format!("{:?}", call.redact_denial(denial));
        assert!(!shown.contains("hunter2") && shown.contains("x-forwarded-[secret key]"), "{shown}");
    }

    #[test]
    fn audit_failure_is_an_error_and_is_remembered() {
        let call = call_audit(1, &Arc::new(Audit::stream(Full).unwrap()), &Arc::default());
        assert!(!call.is_unrecorded());
        assert_eq!(call.record(UDP, AuditOutcome::Done, None), Err(Unrecorded));
        assert!(call.is_unrecorded());
    }
}
