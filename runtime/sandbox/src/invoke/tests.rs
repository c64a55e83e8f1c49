use std::time::Instant;

use deputy_core::{Limits, Span};
use deputy_observe::{Audit, AuditAction, AuditEvent, AuditOutcome};
use futures::FutureExt;

use super::*;
use crate::compile::Compiler;
use crate::http::HttpPolicy;
use crate::outputs::OutputMode;
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::secrets::SecretStore;
use crate::testing::{eventually, names, pause};

/// A sandbox without components, whose calls are closures.
struct Lab {
    sandbox: Sandbox,
    audit: Arc<Audit>,
    invoker: Invoker,
    context: InstanceContext,
}

impl Lab {
    fn new(limits: Limits) -> Self {
        let audit = Arc::new(Audit::memory());
        let sandbox = Sandbox::new(SandboxOptions {
            cache: None,
            compiler: Compiler::new("/bin/false".into(), Vec::new()),
            audit: Arc::clone(&audit),
            resolver: names(),
        });
        let sandbox = sandbox.unwrap();
        let shared = Arc::clone(sandbox.shared());
        let subject = AuditSubject::Instance("lab".parse().unwrap());
        let invoker = Invoker::new(shared, subject, &BTreeMap::new(), limits);
        let secrets = Arc::new(SecretStore::new(&BTreeMap::new()));
        let http = HttpPolicy::nothing(Arc::clone(&secrets) as _);
        let context = InstanceContext { http, outputs: OutputMode::Denied, resolver: names(), secrets };
        Self { sandbox, audit, invoker, context }
    }

    async fn call(&self, run: GuestCall<()>) -> crate::call::Call<()> {
        let (function, redactor) = (CalledFunction::Named("obtain"), Redactor::new(Vec::new()));
        self.invoker.call(function, &self.context, redactor, run).await.finish(|(), _| Ok(())).await
    }

    fn calls(&self) -> Vec<AuditEvent> {
        self.audit.take().into_iter().filter(|event| matches!(event.what, AuditAction::Call { .. })).collect()
    }
}

fn limits(wall: Span) -> Limits {
    Limits { wall, ..Limits::default() }
}

/// A host function that does not return, for so long.
fn blocking(seconds: u64) -> GuestCall<()> {
    Box::new(move |_| {
        async move {
            #[expect(clippy::disallowed_methods, reason = "stands for a host function that never returns")]
            std::thread::sleep(Duration::from_secs(seconds));
            Ok(Ok(()))
        }
        .boxed()
    })
}

fn waiting() -> GuestCall<()> {
    Box::new(|_| std::future::pending().boxed())
}

#[tokio::test]
async fn call_that_never_returns_is_given_up_and_reported() {
    let lab = Lab::new(limits(Span::millis(100)));
    #[expect(clippy::disallowed_methods, reason = "a test of time")]
    let begun = Instant::now();
    let call = lab.call(blocking(8)).await;
    assert_eq!(call.result, Err(CallError::Limit(Limit::Wall)));
    #[expect(clippy::disallowed_methods, reason = "a test of time")]
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(lab.calls().first().map(|event| event.outcome), Some(AuditOutcome::Refused));
    // It runs on, and is reported; others are called meanwhile.
    eventually(|| lab.sandbox.shared().watchdog.overdue() == 1).await;
    assert_eq!(lab.call(Box::new(|_| async { Ok(Ok(())) }.boxed())).await.result, Ok(()));
}

#[tokio::test]
async fn call_that_nobody_waits_for_is_recorded_before_the_end() {
    let lab = Lab::new(Limits::default());
    tokio::time::timeout(Duration::from_millis(200), lab.call(waiting())).await.unwrap_err();
    lab.sandbox.settle().await;
    let calls = lab.calls();
    assert_eq!(calls.iter().map(|event| event.outcome).collect::<Vec<_>>(), [AuditOutcome::Cancelled]);
}

#[tokio::test]
async fn call_that_waits_past_its_time_is_over_its_limit() {
    let lab = Lab::new(limits(Span::millis(50)));
    assert_eq!(lab.call(waiting()).await.result, Err(CallError::Limit(Limit::Wall)));
}

#[tokio::test]
async fn call_does_not_run_on_the_thread_of_its_invoker() {
    let lab = Lab::new(Limits::default());
    let here = std::thread::current().id();
    let elsewhere: GuestCall<()> = Box::new(move |_| {
        async move {
            assert_ne!(std::thread::current().id(), here);
            Ok(Ok(()))
        }
        .boxed()
    });
    assert_eq!(lab.call(elsewhere).await.result, Ok(()));
    pause(1).await;
}

#[tokio::test]
async fn call_that_panics_is_internal_and_recorded() {
    let lab = Lab::new(Limits::default());
    let panicking: GuestCall<()> = Box::new(|_| async { panic!("on purpose") }.boxed());
    assert!(matches!(lab.call(panicking).await.result, Err(CallError::Internal(_))));
    assert_eq!(lab.calls().first().map(|event| event.outcome), Some(AuditOutcome::Failed));
}
