use std::time::Instant;

use deputy_audit::{Audit, AuditAction, AuditEvent, AuditOutcome};
use deputy_core::{Limits, Span};
use futures::FutureExt;

use super::*;
use crate::compile::Compiler;
use crate::component_folders::ComponentFolders;
use crate::outputs::OutputMode;
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::secrets::SecretStore;
use crate::testing::{eventually, names, pause};

/// A sandbox without components, whose calls are closures.
struct TestSandbox {
    sandbox: Sandbox,
    audit: Arc<Audit>,
    invoker: Invoker,
    context: InstanceContext,
}

impl TestSandbox {
    fn new(limits: Limits) -> Self {
        let audit = Arc::new(Audit::memory());
        let sandbox = Sandbox::new(SandboxOptions {
            cache: None,
            compiler: Compiler::new("/bin/false".into(), Vec::new()),
            audit: Arc::clone(&audit),
            resolver: names(),
            folders: ComponentFolders::default(),
            stand_in: None,
        });
        let sandbox = sandbox.unwrap();
        let shared = Arc::clone(sandbox.shared());
        let subject = AuditSubject::Instance("lab".parse().unwrap());
        let invoker = Invoker::new(Arc::clone(&shared), subject, &BTreeMap::new(), limits);
        let secrets = Arc::new(SecretStore::new(&BTreeMap::new()));
        let context = InstanceContext::ungranted(&shared, &secrets, OutputMode::Denied);
        Self { sandbox, audit, invoker, context }
    }

    async fn call(&self, run: GuestCall<()>) -> crate::call::Call<()> {
        let (function, redactor) = (CalledFunction::Named("obtain"), Redactor::new(Vec::new()));
        self.invoker.call(function, &self.context, redactor, run).await.finish(|(), _| Ok(())).await
    }

    fn calls(&self) -> Vec<AuditEvent> {
        self.audit.take().into_iter().filter(|event| matches!(event.action, AuditAction::Call { .. })).collect()
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
async fn call_that_never_returns_is_abandoned_and_reported() {
    let test = TestSandbox::new(limits(Span::millis(100)));
    #[expect(clippy::disallowed_methods, reason = "a test of time")]
    let begun = Instant::now();
    let call = test.call(blocking(8)).await;
    assert_eq!(call.result, Err(CallError::Limit(Limit::Wall)));
    #[expect(clippy::disallowed_methods, reason = "a test of time")]
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(test.calls().first().map(|event| event.outcome), Some(AuditOutcome::Refused));
    // It runs on, and is reported; others are called meanwhile.
    eventually(|| test.sandbox.shared().watchdog.overdue() == 1).await;
    assert_eq!(test.call(Box::new(|_| async { Ok(Ok(())) }.boxed())).await.result, Ok(()));
}

#[tokio::test]
async fn call_that_is_abandoned_is_recorded_before_the_end() {
    let test = TestSandbox::new(Limits::default());
    tokio::time::timeout(Duration::from_millis(200), test.call(waiting())).await.unwrap_err();
    test.sandbox.settle().await;
    let calls = test.calls();
    assert_eq!(calls.iter().map(|event| event.outcome).collect::<Vec<_>>(), [AuditOutcome::Cancelled]);
}

#[tokio::test]
async fn call_that_waits_past_its_time_is_over_its_limit() {
    let test = TestSandbox::new(limits(Span::millis(50)));
    assert_eq!(test.call(waiting()).await.result, Err(CallError::Limit(Limit::Wall)));
}

#[tokio::test]
async fn call_does_not_run_on_the_thread_of_its_invoker() {
    let test = TestSandbox::new(Limits::default());
    let here = std::thread::current().id();
    let elsewhere: GuestCall<()> = Box::new(move |_| {
        async move {
            assert_ne!(std::thread::current().id(), here);
            Ok(Ok(()))
        }
        .boxed()
    });
    assert_eq!(test.call(elsewhere).await.result, Ok(()));
    pause(1).await;
}

#[tokio::test]
async fn call_that_panics_is_internal_and_recorded() {
    let test = TestSandbox::new(Limits::default());
    let panicking: GuestCall<()> = Box::new(|_| async { panic!("on purpose") }.boxed());
    assert!(matches!(test.call(panicking).await.result, Err(CallError::Internal(_))));
    assert_eq!(test.calls().first().map(|event| event.outcome), Some(AuditOutcome::Failed));
}
