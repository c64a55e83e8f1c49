//! What the next coordinator on a state knows of what the last one could not finish.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use deputy_core::failure::FailureKind;
use deputy_core::{CallFailure, SecretBytes};
use deputy_etcd::EtcdError;
use deputy_store::{ExpectedVersion, KeyPrefix, Namespace, StoreError, Version, WriteRight};
use deputy_support::{LockUnpoisoned as _, pause};
use deputy_test_stores::{LayeredStore, StoreLayer};
use tokio::sync::watch;

use super::lock::LosableStore;
use super::*;
use crate::testing::SetClock;

/// What becomes of the writes of leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeaseWrites {
    Good,
    /// They fail, and none takes place.
    Refused,
    /// They take place, and their answers are lost.
    Unanswered,
}

/// A store that loses its lock, and answers, when the test says so.
struct UnreliableStore {
    store: LayeredStore<LosableStore>,
    writes: watch::Receiver<LeaseWrites>,
}

#[async_trait]
impl StoreLayer for UnreliableStore {
    fn inner(&self) -> &dyn Store {
        &self.store
    }

    async fn put(
        &self,
        key: &StoreKey,
        value: &SecretBytes,
        expected: ExpectedVersion,
        by: WriteRight<'_>,
    ) -> Result<Version, StoreError> {
        let writes = *self.writes.borrow();
        if key.namespace().as_str() != "lease" && writes == LeaseWrites::Unanswered {
            return self.store.put(key, value, expected, by).await;
        }
        match writes {
            LeaseWrites::Good => self.store.put(key, value, expected, by).await,
            LeaseWrites::Refused => Err(StoreError::Etcd(EtcdError::Unreachable)),
            LeaseWrites::Unanswered => {
                self.store.put(key, value, expected, by).await?;
                Err(StoreError::Etcd(EtcdError::Unreachable))
            }
        }
    }
}

/// A service that remembers what it was asked for, and issues another payload each time.
#[derive(Default)]
struct Service {
    calls: Mutex<Vec<String>>,
    called: watch::Sender<usize>,
    /// Asks for this delay instead.
    retry_after: Option<Span>,
}

impl Service {
    fn calls(&self) -> Vec<String> {
        self.calls.lock_unpoisoned().clone()
    }

    async fn wait_for(&self, calls: usize) {
        let mut called = self.called.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(30), called.wait_for(|count| *count >= calls)).await;
        assert!(waited.is_ok(), "called {:?}, and no more for half a minute", self.calls());
    }
}

#[async_trait]
impl ConfiguredProvider for Service {
    async fn call(&self, call: &ProviderCall, _: &deputy_traces::OpenSpan) -> CallOutcome {
        let number = {
            let mut calls = self.calls.lock_unpoisoned();
            let text = match call {
                ProviderCall::Obtain => "obtain".to_owned(),
                ProviderCall::Renew(lease) | ProviderCall::Revoke(lease) => {
                    format!("{} {}", call.word(), String::from_utf8_lossy(lease.payload.expose()))
                }
            };
            calls.push(text);
            calls.len()
        };
        self.called.send_replace(number);
        if matches!(call, ProviderCall::Revoke(_)) {
            return CallOutcome::Revoked;
        }
        if let Some(retry_after) = self.retry_after {
            let failure = CallFailure::new(FailureKind::Throttled, "later");
            return CallOutcome::Failed(CallFailure { retry_after: Some(retry_after), ..failure });
        }
        let payload = SecretBytes::new(format!("payload-{number}").into_bytes());
        let expiry = TokenExpiry::At(SystemClock::default().now().wall.plus(Span::secs(3600)));
        CallOutcome::Obtained(Tokens { expiry, ..Tokens::new("test/1".parse().unwrap(), payload) })
    }
}

fn config_with(service: &Arc<Service>) -> CoordinatorConfig {
    let mut config = config_of("s3");
    for plan in config.configuration.plans.values_mut() {
        plan.component = Some(OptionalExports { renews: false, revokes: true });
    }
    config.providers.insert("s3".parse().unwrap(), Arc::clone(service) as Arc<dyn ConfiguredProvider>);
    config
}

async fn eventually(is_so: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        pause(Duration::from_millis(50)).await;
    }
    panic!("it has not happened for half a minute");
}

async fn keys(store: &dyn Store, namespace: &'static str) -> Vec<StoreKey> {
    store.list(&KeyPrefix::Namespace(Namespace::new(namespace))).await.unwrap()
}

/// One coordinator obtains a lease, does not learn whether it was saved, and loses the lock, while its clock is ahead by some
/// seconds; another one takes over. Returns what the service was asked for, and what is published then.
async fn lose_lock_while(writes: LeaseWrites, settled: usize, ahead: u64) -> (Vec<String>, String) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let service = Arc::new(Service::default());
    let clock = Arc::new(SetClock::default());
    {
        let (lose, lost) = watch::channel(false);
        let (change, changes) = watch::channel(writes);
        let store = DirectoryStore::open(&state, test_key(), random()).await.unwrap();
        let store = LayeredStore(LosableStore { store, lost });
        let store = Arc::new(LayeredStore(UnreliableStore { store, writes: changes }));
        let options = options(Arc::clone(&store) as _, Arc::default(), &[]);
        let options = CoordinatorOptions { is_shared: true, clock: Arc::clone(&clock) as _, ..options };
        let (coordinator, handle) = Coordinator::open(options).await.unwrap();
        let lose_lock = async {
            handle.configure(config_with(&service)).await.unwrap();
            service.wait_for(1).await;
            eventually(async || handle.instance("s3").await.unwrap().state.contains("sav")).await;
            let is_written = async || !keys(&*store, "lease").await.is_empty();
            eventually(async || writes == LeaseWrites::Refused || is_written().await).await;
            clock.set_ahead(ahead);
            lose.send_replace(true);
        };
        let ((replica, ended), ()) = tokio::join!(coordinator.run_term(), lose_lock);
        ended.unwrap_err();
        // Without the lock it may call no service, and it leaves what it has as soon as the state can be written.
        assert!(writes == LeaseWrites::Unanswered || keys(&*store, "unsaved").await.is_empty());
        change.send_replace(LeaseWrites::Good);
        eventually(async || !keys(&*store, "unsaved").await.is_empty()).await;
        assert_eq!(service.calls(), ["obtain"]);
        drop(replica);
    }
    let board = Arc::new(LeaseBoard::default());
    let (coordinator, handle) = open_with(&state, Arc::clone(&board), &[]).await;
    let store = Arc::clone(&coordinator.replica.options.store);
    let name: InstanceName = "s3".parse().unwrap();
    let take_over = async {
        handle.configure(config_with(&service)).await.unwrap();
        service.wait_for(settled).await;
        eventually(async || board.lease(&name).is_some() && keys(&*store, "unsaved").await.is_empty()).await;
        handle.stop().await.unwrap();
    };
    run_while(coordinator, take_over).await;
    let published = board.lease(&name).unwrap();
    (service.calls(), String::from_utf8_lossy(published.payload.expose()).into_owned())
}

#[tokio::test]
async fn takeover_revokes_a_lease_that_was_not_saved() {
    // Also if the clock is two days ahead for a moment.
    for ahead in [0, 172_800] {
        let (mut calls, published) = lose_lock_while(LeaseWrites::Refused, 3, ahead).await;
        let revoked = calls.iter().position(|call| call == "revoke payload-1").unwrap_or_else(|| panic!("{calls:?}"));
        calls.remove(revoked);
        assert_eq!(calls, ["obtain", "obtain"]);
        assert!(["payload-2", "payload-3"].contains(&published.as_str()), "{published}");
    }
}

#[tokio::test]
async fn takeover_keeps_a_lease_whose_write_was_not_answered() {
    let (calls, published) = lose_lock_while(LeaseWrites::Unanswered, 1, 0).await;
    assert_eq!((calls.as_slice(), published.as_str()), (["obtain".to_owned()].as_slice(), "payload-1"));
}

#[tokio::test]
async fn takeover_leaves_a_service_alone_that_asked_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let service = Arc::new(Service { retry_after: Some(Span::secs(3000)), ..Service::default() });
    let (coordinator, handle) = open(&state).await;
    let ask = async {
        handle.configure(config_with(&service)).await.unwrap();
        service.wait_for(1).await;
        // The call has ended, and what it brought is saved before the coordinator has stopped.
        eventually(async || handle.instance("s3").await.unwrap().failures > 0).await;
        handle.stop().await.unwrap();
    };
    run_while(coordinator, ask).await;
    let (coordinator, handle) = open(&state).await;
    let ask = async {
        handle.configure(config_with(&service)).await.unwrap();
        // It would be called as soon as there is budget, ten times a second.
        pause(Duration::from_millis(1500)).await;
        assert_eq!(service.calls(), ["obtain"]);
        handle.stop().await.unwrap();
    };
    run_while(coordinator, ask).await;
}
