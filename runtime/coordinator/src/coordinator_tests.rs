use std::collections::BTreeMap;

use deputy_core::Span;
use deputy_core::schedule::{Abilities, Budget, Fingerprint, Plan, Policy, UpstreamName};
use deputy_observe::Handler;
use deputy_store::{Directory, MasterKey};
use http::{Request, StatusCode};
use ring::rand::SystemRandom;
use tokio::sync::oneshot;

use super::*;
use crate::clock::SystemClock;
use crate::control::{Control, ControlError, Reload};

/// A coordinator with state of its own.
async fn open(folder: &std::path::Path) -> (Coordinator, Handle) {
    let key: Vec<u8> = (0..32).map(|byte| byte * 7).collect();
    let store = Directory::open(folder, MasterKey::parse(&key).unwrap(), random()).await.unwrap();
    let options = Options {
        store: Arc::new(store),
        metrics: Arc::default(),
        board: Arc::default(),
        clock: Arc::new(SystemClock::default()),
        surroundings: Arc::new(Surroundings::of_process()),
        seed: 1,
        shutdown: Span::secs(1),
    };
    Coordinator::open(options).await.unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test brings its own randomness")]
fn random() -> deputy_store::Random {
    Arc::new(SystemRandom::new())
}

/// One instance, whose component can't be called.
fn setup(name: &str) -> Setup {
    let plan = Plan {
        policy: Policy::default(),
        upstream: UpstreamName::derived("test", "here"),
        service: None,
        component: Some(Abilities::default()),
        fingerprint: Fingerprint::default(),
    };
    let plans = BTreeMap::from([(name.parse().unwrap(), plan)]);
    let configuration = Configuration { plans, default_budget: Budget::DEFAULT, budgets: BTreeMap::new(), calls: 1 };
    Setup { configuration, providers: BTreeMap::new(), files: FilePlan::new() }
}

#[tokio::test]
async fn it_answers_and_stops_while_its_configuration_is_being_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, handle) = open(&folder.path().join("state")).await;
    let (_prepared, setup) = oneshot::channel::<Setup>();
    let ask = async {
        let status = handle.status().await.unwrap();
        assert!(status.starting && !status.ready && status.instances.is_empty());
        assert_eq!(handle.instance("s3").await, Err(AskError::Starting));
        assert_eq!(handle.renew("s3").await, Err(AskError::Starting));
        handle.stop().await.unwrap();
    };
    tokio::join!(coordinator.run(async { setup.await.unwrap() }), ask);
    assert_eq!(handle.status().await, Err(AskError::Stopping));
}

#[tokio::test]
async fn who_wants_a_lease_waits_for_the_end_of_the_start() {
    struct Never;

    #[async_trait::async_trait]
    impl Reload for Never {
        async fn reload(&self) -> Result<(Setup, Vec<String>), ControlError> {
            Err(ControlError::new("misconfigured", "a test has no file"))
        }

        async fn again(&self) -> Option<Setup> {
            None
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let (coordinator, handle) = open(&folder.path().join("state")).await;
    let control = Control::new(handle.clone(), Arc::default(), Arc::new(SystemClock::default()), Arc::new(Never));
    let status = async |wait: &str| {
        let request = Request::get(format!("/v1/instances/s4/lease?wait={wait}")).body(()).unwrap();
        control.answer(request).await.status()
    };
    let (prepared, first) = oneshot::channel();
    let ask = async {
        assert_eq!(status("0s").await, StatusCode::SERVICE_UNAVAILABLE);
        let (found, _) = tokio::join!(status("60s"), async { drop(prepared.send(setup("s3"))) });
        assert_eq!(found, StatusCode::NOT_FOUND, "it is known who there is, and who is not");
        handle.stop().await.unwrap();
    };
    tokio::join!(coordinator.run(async { first.await.unwrap() }), ask);
}

#[tokio::test]
async fn a_configuration_that_was_overtaken_by_another_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, handle) = open(&folder.path().join("state")).await;
    let (prepared, first) = oneshot::channel();
    let ask = async {
        let changed = handle.configure(setup("new")).await.unwrap();
        assert_eq!(changed.added, ["new".parse().unwrap()]);
        // Whoever prepares it may be gone already.
        drop(prepared.send(setup("old")));
        let status = handle.status().await.unwrap();
        assert_eq!((status.starting, status.instances.len()), (false, 1));
        assert_eq!(handle.instance("old").await, Err(AskError::Unknown("old".to_owned())));
        handle.stop().await.unwrap();
    };
    tokio::join!(coordinator.run(async { first.await.unwrap() }), ask);
}

#[tokio::test]
async fn only_the_first_start_on_a_state_has_no_predecessor() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    for fencing in [true, false, false] {
        let (coordinator, _) = open(&state).await;
        assert_eq!(coordinator._lock.fencing() == 1, fencing);
    }
}
