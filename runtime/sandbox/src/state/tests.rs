use std::io::{self, Write};
use std::sync::Mutex;

use async_trait::async_trait;
use deputy_audit::{Audit, AuditSubject, CallId};
use deputy_core::{ByteSize, Digest, Limits, Span, StateIdentity};
use tokio::sync::{Mutex as TurnMutex, OwnedMutexGuard};

use super::*;
use crate::bindings::delegation::tokens::state::Host;
use crate::testing::AuditedBudget;

#[derive(Default)]
struct MemoryState {
    value: Mutex<Option<Arc<SecretBytes>>>,
    turn: Arc<TurnMutex<()>>,
    denied: Option<StateIdentity>,
}

struct MemoryTurn {
    store: Arc<MemoryState>,
    _turn: OwnedMutexGuard<()>,
}

#[async_trait]
impl StateStore for Arc<MemoryState> {
    async fn turn(&self) -> Box<dyn StateTurn> {
        Box::new(MemoryTurn { store: Self::clone(self), _turn: Arc::clone(&self.turn).lock_owned().await })
    }
}

#[async_trait]
impl StateTurn for MemoryTurn {
    async fn load(&mut self) -> Result<Option<Arc<SecretBytes>>, StateStoreError> {
        match self.store.denied {
            Some(kept_for) => Err(StateStoreError::Denied(PolicyDenial::StateOfAnother { kept_for })),
            None => Ok(self.store.value.lock().unwrap().clone()),
        }
    }

    async fn save(&mut self, value: &SecretBytes) -> Result<(), StateStoreError> {
        if value.expose() == b"disk full" {
            return Err(StateStoreError::Unavailable("no space left in /var/lib/deputy".to_owned()));
        }
        *self.store.value.lock().unwrap() = Some(Arc::new(SecretBytes::new(value.expose().to_vec())));
        Ok(())
    }
}

/// The access of one call, and what is seen of it.
struct TestAccess {
    access: StateAccess,
    audited: AuditedBudget,
    redactor: Arc<Redactor>,
}

impl TestAccess {
    fn new(source: StateSource, limits: Limits) -> Self {
        let audited = AuditedBudget::new(limits);
        let redactor = Arc::new(Redactor::new(Vec::new()));
        let access = StateAccess::new(source, Arc::clone(&audited.budget), Arc::clone(&redactor));
        Self { access, audited, redactor }
    }

    fn of(store: &Arc<MemoryState>) -> Self {
        Self::new(source(store), Limits::default())
    }

    /// What the component gets, as text.
    async fn load(&mut self) -> String {
        match Host::load(&mut self.access).await.unwrap() {
            Ok(value) => value.map_or_else(|| "nothing".to_owned(), |value| String::from_utf8(value).unwrap()),
            Err(error) => format!("{error:?}"),
        }
    }

    async fn save(&mut self, value: &str) -> String {
        match Host::save(&mut self.access, value.as_bytes().to_vec()).await.unwrap() {
            Ok(()) => "saved".to_owned(),
            Err(error) => format!("{error:?}"),
        }
    }

    /// The events since the last look, as `operation outcome code`.
    fn events(&self) -> Vec<String> {
        let line = |event: deputy_audit::AuditEvent| {
            let AuditAction::State { operation } = event.action else { panic!("{event:?}") };
            format!("{operation} {} {}", event.outcome.as_str(), event.code.unwrap_or_default())
        };
        self.audited.all_events().into_iter().map(line).collect()
    }
}

fn source(store: &Arc<MemoryState>) -> StateSource {
    StateSource::Store(Arc::new(Arc::clone(store)))
}

#[tokio::test]
async fn state_is_kept_and_recorded_without_its_value() {
    let store = Arc::default();
    let mut first = TestAccess::of(&store);
    assert_eq!([first.load().await, first.save("hunter2").await], ["nothing", "saved"]);
    assert_eq!(first.events(), ["load done ", "save begun ", "save done "]);
    assert_eq!(first.redactor.clean("it is hunter2", 100), "it is [secret state]");
    drop(first);
    let mut next = TestAccess::of(&store);
    assert_eq!(next.redactor.clean("it is hunter2", 100), "it is hunter2", "this call knows nothing of it yet");
    assert_eq!(next.load().await, "hunter2");
    assert_eq!(next.redactor.clean("it is hunter2", 100), "it is [secret state]");
}

#[tokio::test]
async fn state_that_is_not_granted_is_denied() {
    let mut call = TestAccess::new(StateSource::Denied, Limits::default());
    for outcome in [call.load().await, call.save("x").await, call.save(&"x".repeat(1 << 20)).await] {
        assert!(outcome.starts_with("StateError::Denied(\"state is for `obtain`"), "{outcome}");
    }
    assert_eq!(call.audited.budget.findings.denials(), [PolicyDenial::State]);
    assert_eq!(call.events()[..2], ["load refused state-not-granted", "save refused state-not-granted"]);
}

#[tokio::test]
async fn state_of_another_identity_is_denied_without_its_name() {
    let kept_for = StateIdentity::new(Digest::new([7; 32]));
    let mut call = TestAccess::of(&Arc::new(MemoryState { denied: Some(kept_for), ..MemoryState::default() }));
    let told = call.load().await;
    assert!(told.starts_with("StateError::Denied") && !told.contains(&kept_for.to_string()), "{told}");
    assert_eq!(call.audited.budget.findings.denials(), [PolicyDenial::StateOfAnother { kept_for }]);
    assert_eq!(call.events(), ["load refused state-of-another"]);
}

#[tokio::test]
async fn state_without_a_store_is_unavailable() {
    let mut call = TestAccess::new(StateSource::Nowhere, Limits::default());
    let unavailable = "StateError::Unavailable(\"the state is not available\")";
    assert_eq!([call.load().await, call.save("x").await], [unavailable, unavailable]);
    let faults = call.audited.budget.findings.faults();
    assert!(matches!(&faults[..], [SecretFault::Source(text)] if text.contains("`deputy run` alone")), "{faults:?}");
    assert_eq!(call.events(), ["load failed unavailable", "save failed unavailable"]);
}

#[tokio::test]
async fn state_save_that_fails_keeps_the_value_and_is_reported() {
    let mut call = TestAccess::of(&Arc::default());
    assert_eq!(call.save("first").await, "saved");
    assert_eq!(call.save("disk full").await, "StateError::Unavailable(\"the state is not available\")");
    assert_eq!(call.load().await, "first");
    let faults = call.audited.budget.findings.faults();
    assert_eq!(faults, [SecretFault::Source("state: no space left in /var/lib/deputy".to_owned())]);
}

#[tokio::test]
async fn state_larger_than_its_limit_is_not_kept() {
    let limits = Limits { state: ByteSize::bytes(8), ..Limits::default() };
    let mut call = TestAccess::new(source(&Arc::default()), limits);
    assert_eq!([call.save("12345678").await, call.save("").await], ["saved", "saved"]);
    assert_eq!(call.save("123456789").await, "StateError::TooLarge(\"over the limit `state`\")");
    assert_eq!(call.audited.budget.findings.denials(), [PolicyDenial::Limit(Limit::State)]);
    assert_eq!(call.events().last().unwrap(), "save refused over-limit:state");
}

#[tokio::test]
async fn state_operations_are_limited_and_so_is_their_record() {
    let limits = Limits { state_operations: 2, ..Limits::default() };
    let mut call = TestAccess::new(source(&Arc::default()), limits);
    assert_eq!([call.save("a").await, call.load().await], ["saved", "a"]);
    for _ in 0..100 {
        assert_eq!(call.save("b").await, "StateError::Denied(\"over the limit `state-operations`\")");
    }
    let events = call.events();
    assert_eq!((events.len(), events.last().unwrap().as_str()), (4, "save refused over-limit:state-operations"));
}

#[tokio::test]
async fn state_is_held_by_one_call_until_its_end() {
    let store = Arc::default();
    let mut first = TestAccess::of(&store);
    assert_eq!(first.load().await, "nothing");
    let mut second = TestAccess::of(&store);
    let own = async {
        tokio::task::yield_now().await;
        assert_eq!(first.save("of the first").await, "saved");
        drop(first);
    };
    assert_eq!(tokio::join!(second.load(), own).0, "of the first");
}

#[tokio::test]
async fn state_turn_is_waited_for_within_the_call_limit() {
    let store = Arc::default();
    let mut first = TestAccess::of(&store);
    assert_eq!(first.load().await, "nothing");
    let limits = Limits { wall: Span::millis(100), ..Limits::default() };
    let mut second = TestAccess::new(source(&store), limits);
    assert_eq!(second.load().await, "StateError::Unavailable(\"the state is not available\")");
    assert!(timer_now() < second.audited.budget.time().ends(), "there is time to say so");
    let faults = second.audited.budget.findings.faults();
    assert_eq!(faults, [SecretFault::Source("state: another call of the instance has it".to_owned())]);
    drop(first);
    let mut third = TestAccess::of(&store);
    assert_eq!(third.load().await, "nothing", "a call that gave up holds nothing");
}

/// A disk that is full.
struct FullDisk;

impl Write for FullDisk {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn state_use_that_cannot_be_recorded_does_not_happen() {
    let store: Arc<MemoryState> = Arc::new(MemoryState {
        value: Mutex::new(Some(Arc::new(SecretBytes::new(b"kept".to_vec())))),
        ..MemoryState::default()
    });
    let subject = AuditSubject::Instance("lab".parse().unwrap());
    let audit = Arc::new(Audit::stream(FullDisk).unwrap());
    let budget = Arc::new(CallBudget::new(subject, CallId(1), Limits::default(), audit));
    let mut access = StateAccess::new(source(&store), budget, Arc::new(Redactor::new(Vec::new())));
    assert!(matches!(Host::load(&mut access).await.unwrap(), Err(StateError::Unavailable(_))));
    assert!(matches!(Host::save(&mut access, b"new".to_vec()).await.unwrap(), Err(StateError::Unavailable(_))));
    assert_eq!(store.value.lock().unwrap().as_ref().unwrap().expose(), b"kept");
}
