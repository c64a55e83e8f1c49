use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use deputy_core::Span;
use deputy_core::schedule::{Budget, ConfigFingerprint, InstancePlan, OptionalExports, Policy, UpstreamName};
use deputy_http_server::HttpHandler;
use deputy_store::{DirectoryStore, MasterKey};
use deputy_support::SystemClock;
use http::{Request, StatusCode};

use super::*;
use crate::control::{Control, Reload, ReloadReply};
use crate::loading::Loaded;
use deputy_local::ControlError;

/// A coordinator with state of its own.
async fn open(folder: &std::path::Path) -> (Coordinator, CoordinatorHandle) {
    open_knowing(folder, Arc::default(), &[]).await
}

/// The same with a board to look at, and with instances that its configuration will have.
async fn open_knowing(
    folder: &std::path::Path,
    board: Arc<LeaseBoard>,
    known: &[&str],
) -> (Coordinator, CoordinatorHandle) {
    let store = DirectoryStore::open(folder, key_of_tests(), random()).await.unwrap();
    Coordinator::open(options(store, board, known)).await.unwrap()
}

async fn try_open(folder: &std::path::Path) -> Result<(Coordinator, CoordinatorHandle), CoordinatorError> {
    let store = DirectoryStore::open(folder, key_of_tests(), random()).await.unwrap();
    Coordinator::open(options(store, Arc::default(), &[])).await
}

fn key_of_tests() -> MasterKey {
    let key: Vec<u8> = (0..32).map(|byte| byte * 7).collect();
    MasterKey::parse(&key).unwrap()
}

fn options(store: DirectoryStore, board: Arc<LeaseBoard>, known: &[&str]) -> CoordinatorOptions {
    CoordinatorOptions {
        store: Arc::new(store),
        metrics: Arc::default(),
        board,
        clock: Arc::new(SystemClock::default()),
        surroundings: Arc::new(SourceContext::of_process()),
        seed: 1,
        shutdown: Span::secs(1),
        known: known.iter().map(|name| name.parse().unwrap()).collect(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test brings its own randomness")]
fn random() -> deputy_store::Random {
    Arc::new(SystemRandom::new())
}

/// One instance, whose component can't be called.
fn setup(name: &str) -> CoordinatorConfig {
    let plan = InstancePlan {
        policy: Policy::default(),
        upstream: UpstreamName::derived("test", "here"),
        account: None,
        service: None,
        component: Some(OptionalExports::default()),
        fingerprint: ConfigFingerprint::default(),
    };
    let plans = BTreeMap::from([(name.parse().unwrap(), plan)]);
    let configuration = ScheduleConfig { plans, default_budget: Budget::DEFAULT, budgets: BTreeMap::new(), calls: 1 };
    CoordinatorConfig {
        configuration,
        providers: BTreeMap::new(),
        files: FilePlan::new(),
        loading: BTreeSet::new(),
        deliveries: Deliveries::default(),
    }
}

/// No file to read again.
struct Never;

#[async_trait::async_trait]
impl Reload for Never {
    async fn reload(&self, _: crate::Removals) -> Result<ReloadReply, ControlError> {
        Err(ControlError::new("misconfigured", "a test has no file"))
    }
}

/// Brings a payload that is good for an hour.
struct Hour;

#[async_trait::async_trait]
impl Provider for Hour {
    async fn call(&self, _: &ProviderCall) -> CallOutcome {
        let payload = deputy_core::SecretBytes::new(b"the payload".to_vec());
        let valid_until = Some(SystemClock::default().now().wall.plus(Span::secs(3600)));
        CallOutcome::Obtained(deputy_core::Tokens { payload, valid_until })
    }
}

/// Has leases of these instances saved, as an earlier process did.
async fn saved(folder: &std::path::Path, names: &[&str]) {
    let board = Arc::new(LeaseBoard::default());
    let (coordinator, handle) = open_knowing(folder, Arc::clone(&board), &[]).await;
    let mut all = setup("s3");
    let plan = all.configuration.plans.values().next().cloned().unwrap();
    all.configuration.plans = names.iter().map(|name| (name.parse().unwrap(), plan.clone())).collect();
    all.providers = names.iter().map(|name| (name.parse().unwrap(), Arc::new(Hour) as Arc<dyn Provider>)).collect();
    let wait = async {
        handle.configure(all).await.unwrap();
        let mut changes = board.changes();
        while names.iter().any(|name| board.lease(&name.parse().unwrap()).is_none()) {
            changes.changed().await.unwrap();
        }
        handle.stop().await.unwrap();
    };
    tokio::join!(coordinator.run(), wait);
}

#[tokio::test]
async fn what_was_good_before_a_restart_is_given_out_while_components_are_being_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    saved(&state, &["kept", "gone"]).await;
    let board = Arc::new(LeaseBoard::default());
    // `gone` is no longer configured.
    let (coordinator, handle) = open_knowing(&state, Arc::clone(&board), &["kept"]).await;
    let control = Control::new(handle.clone(), Arc::clone(&board), Arc::new(SystemClock::default()), Arc::new(Never));
    let status = async |name: &str| {
        let request = Request::get(format!("/v1/instances/{name}/lease")).body(()).unwrap();
        control.answer(request).await.status()
    };
    let ask = async {
        assert_eq!(status("kept").await, StatusCode::OK);
        assert_eq!(status("gone").await, StatusCode::SERVICE_UNAVAILABLE);
        // Another configuration comes first, without it.
        handle.configure(setup("other")).await.unwrap();
        assert_eq!(status("kept").await, StatusCode::NOT_FOUND);
        assert!(board.lease(&"kept".parse().unwrap()).is_none());
        handle.stop().await.unwrap();
    };
    tokio::join!(coordinator.run(), ask);
}

#[tokio::test]
async fn what_a_later_version_saved_is_neither_used_nor_lost() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let key = StoreKey::of_instance(&deputy_store::Namespace::new("lease"), &"s3".parse().unwrap());
    let head = br#"{"format":2}"#;
    let record = [&u32::try_from(head.len()).unwrap().to_be_bytes()[..], head].concat();
    let written = {
        let store = DirectoryStore::open(&state, key_of_tests(), random()).await.unwrap();
        let value = deputy_core::SecretBytes::new(record.clone());
        store.put(&key, &value, deputy_store::ExpectedVersion::Absent).await.unwrap()
    };
    for _ in 0..2 {
        let Err(CoordinatorError::Restore(error)) = try_open(&state).await else { panic!("it starts") };
        assert!(error.to_string().contains("format 2") && error.to_string().contains("newer"), "{error}");
    }
    let store = DirectoryStore::open(&state, key_of_tests(), random()).await.unwrap();
    let entry = store.get(&key).await.unwrap().unwrap();
    assert_eq!((entry.version, entry.value.expose()), (written, record.as_slice()));
}

#[tokio::test]
async fn it_answers_and_stops_while_its_configuration_is_being_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, handle) = open(&folder.path().join("state")).await;
    let ask = async {
        let status = handle.status().await.unwrap();
        assert!(status.starting && !status.ready && status.instances.is_empty());
        assert_eq!(handle.instance("s3").await, Err(RequestError::Starting));
        assert_eq!(handle.renew("s3").await, Err(RequestError::Starting));
        handle.stop().await.unwrap();
    };
    tokio::join!(coordinator.run(), ask);
    assert_eq!(handle.status().await, Err(RequestError::Stopping));
}

#[tokio::test]
async fn who_wants_a_lease_waits_for_the_end_of_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, handle) = open(&folder.path().join("state")).await;
    let control = Control::new(handle.clone(), Arc::default(), Arc::new(SystemClock::default()), Arc::new(Never));
    let status = async |wait: &str| {
        let request = Request::get(format!("/v1/instances/s4/lease?wait={wait}")).body(()).unwrap();
        control.answer(request).await.status()
    };
    let ask = async {
        assert_eq!(status("0s").await, StatusCode::SERVICE_UNAVAILABLE);
        let (found, configured) = tokio::join!(status("60s"), handle.configure(setup("s3")));
        configured.unwrap();
        assert_eq!(found, StatusCode::NOT_FOUND, "it is known who there is, and who is not");
        handle.stop().await.unwrap();
    };
    tokio::join!(coordinator.run(), ask);
}

/// The same, being loaded.
fn loading(name: &str) -> CoordinatorConfig {
    let mut setup = setup(name);
    setup.configuration.plans.clear();
    setup.loading.insert(name.parse().unwrap());
    setup
}

/// What is loaded for an instance.
fn loaded(name: &str) -> Loaded {
    let name: InstanceName = name.parse().unwrap();
    let plans = setup(name.as_str()).configuration.plans;
    Loaded { plans, providers: BTreeMap::from([(name, Arc::new(Hour) as Arc<dyn Provider>)]), deliveries: None }
}

#[tokio::test]
async fn loading_for_an_older_configuration_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, handle) = open(&folder.path().join("state")).await;
    let ask = async {
        let old = handle.configure(loading("old")).await.unwrap();
        let changed = handle.configure(setup("new")).await.unwrap();
        assert_eq!(changed.added, ["new".parse().unwrap()]);
        assert!(!handle.loaded(old.generation, loaded("old")).await.unwrap());
        let status = handle.status().await.unwrap();
        assert_eq!((status.starting, status.instances.len()), (false, 1));
        assert_eq!(handle.instance("old").await, Err(RequestError::Unknown("old".to_owned())));
        handle.stop().await.unwrap();
    };
    tokio::join!(coordinator.run(), ask);
}

#[tokio::test]
async fn loading_one_instance_keeps_no_other_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    saved(&state, &["kept", "other"]).await;
    let board = Arc::new(LeaseBoard::default());
    let (coordinator, handle) = open_knowing(&state, Arc::clone(&board), &["kept", "slow", "other"]).await;
    let ask = async {
        let mut first = loading("slow");
        first.loading.extend(["kept".parse().unwrap(), "quick".parse().unwrap()]);
        first.configuration.plans = setup("other").configuration.plans;
        let generation = handle.configure(first).await.unwrap().generation;
        // What an earlier process saved is given out, and what was not loaded is neither called nor lost.
        let kept = handle.instance("kept").await.unwrap();
        assert!(kept.is_loading() && kept.ready && kept.lease.is_some(), "{kept:?}");
        assert!(handle.instance("other").await.unwrap().ready);
        let slow = handle.instance("slow").await.unwrap();
        assert!(slow.is_loading() && !slow.ready, "{slow:?}");
        assert!(!handle.status().await.unwrap().ready);
        assert_eq!(handle.renew("slow").await, Err(RequestError::Loading("slow".parse().unwrap())));

        let mut changes = board.changes();
        assert!(handle.loaded(generation, loaded("quick")).await.unwrap());
        while board.lease(&"quick".parse().unwrap()).is_none() {
            changes.changed().await.unwrap();
        }
        assert!(handle.loaded(generation, loaded("kept")).await.unwrap());
        let kept = handle.instance("kept").await.unwrap();
        assert!(!kept.is_loading() && kept.ready, "{kept:?}");
        assert_eq!(kept.lease.map(|lease| lease.revision), Some(1), "it was obtained again");
        handle.stop().await.unwrap();
    };
    tokio::join!(coordinator.run(), ask);

    // The record of one that was never loaded is still there.
    let (coordinator, handle) = open_knowing(&state, Arc::clone(&board), &["kept"]).await;
    let ask = async {
        handle.configure(loading("kept")).await.unwrap();
        assert!(handle.instance("kept").await.unwrap().lease.is_some());
        handle.stop().await.unwrap();
    };
    tokio::join!(coordinator.run(), ask);
    let (coordinator, handle) = open_knowing(&state, board, &["kept"]).await;
    let ask = async {
        handle.configure(loading("kept")).await.unwrap();
        assert!(handle.instance("kept").await.unwrap().lease.is_some());
        // A configuration without it withdraws it.
        handle.configure(setup("other")).await.unwrap();
        assert_eq!(handle.instance("kept").await, Err(RequestError::Unknown("kept".to_owned())));
        handle.stop().await.unwrap();
    };
    tokio::join!(coordinator.run(), ask);
}

#[tokio::test]
async fn loading_remembers_that_a_lease_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let board = Arc::new(LeaseBoard::default());
    let (coordinator, handle) = open_knowing(&folder.path().join("state"), Arc::clone(&board), &[]).await;
    let ask = async {
        let generation = handle.configure(loading("lazy")).await.unwrap().generation;
        handle.asked("lazy").await.unwrap();
        let mut loaded = loaded("lazy");
        for plan in loaded.plans.values_mut() {
            plan.policy.mode = deputy_core::schedule::ObtainMode::OnDemand(Span::secs(60));
        }
        let mut changes = board.changes();
        assert!(handle.loaded(generation, loaded).await.unwrap());
        while board.lease(&"lazy".parse().unwrap()).is_none() {
            changes.changed().await.unwrap();
        }
        handle.stop().await.unwrap();
    };
    tokio::join!(coordinator.run(), ask);
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
