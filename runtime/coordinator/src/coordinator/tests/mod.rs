//! The loop from outside: configurations, restarts and the control socket.

mod lock;
mod takeover;

use deputy_audit::Audit;
use deputy_core::time::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use deputy_core::schedule::{
    Budget, CallOutcome, ConfigFingerprint, InstancePlan, OptionalExports, Policy, ProviderCall, ScheduleConfig,
    UpstreamName,
};
use deputy_core::{InstanceName, Span, TokenExpiry, Tokens};
use deputy_http_server::{HealthCheck, HttpHandler};
use deputy_local::ControlError;
use deputy_sources::SourceContext;
use deputy_store::{DirectoryStore, MasterKey, Store, StoreKey};
use deputy_support::SystemClock;
use http::{Request, StatusCode};

use super::{Coordinator, CoordinatorError, CoordinatorOptions};
use crate::configuration::{CoordinatorConfig, FilePlan, LoadedInstances};
use crate::control::Control;
use crate::deliveries::Deliveries;
use crate::handle::CoordinatorHandle;
use crate::health::CoordinatorHealth;
use crate::lease_board::LeaseBoard;
use crate::provider::ConfiguredProvider;
use crate::reload::{Reload, ReloadReply, Removals};
use crate::request_error::ControlRequestError;
use crate::status::{CoordinatorStatus, StatusQuery};

/// A coordinator with state of its own.
async fn open(folder: &std::path::Path) -> (Coordinator, CoordinatorHandle) {
    open_with(folder, Arc::default(), &[]).await
}

/// The same with a board to look at, and with instances that its configuration will have.
async fn open_with(
    folder: &std::path::Path,
    board: Arc<LeaseBoard>,
    known: &[&str],
) -> (Coordinator, CoordinatorHandle) {
    try_open(folder, board, known).await.unwrap()
}

async fn try_open(
    folder: &std::path::Path,
    board: Arc<LeaseBoard>,
    known: &[&str],
) -> Result<(Coordinator, CoordinatorHandle), CoordinatorError> {
    let store = DirectoryStore::open(folder, test_key(), random()).await.unwrap();
    Coordinator::open(options(Arc::new(store), board, known)).await
}

fn test_key() -> MasterKey {
    let key: Vec<u8> = (0..32).map(|byte| byte * 7).collect();
    MasterKey::parse(&key).unwrap()
}

fn options(store: Arc<dyn Store>, board: Arc<LeaseBoard>, known: &[&str]) -> CoordinatorOptions {
    CoordinatorOptions {
        name: String::new(),
        store,
        metrics: Arc::default(),
        traces: Arc::default(),
        board,
        clock: Arc::new(SystemClock::default()),
        surroundings: Arc::new(SourceContext::of_process()),
        seed: 1,
        shutdown: Span::secs(1),
        known: known.iter().map(|name| name.parse().unwrap()).collect(),
        is_shared: false,
    }
}

#[expect(clippy::disallowed_methods, reason = "a test brings its own randomness")]
fn random() -> deputy_store::Random {
    Arc::new(SystemRandom::new())
}

/// Runs the coordinator until the task has stopped it.
async fn run_while(coordinator: Coordinator, task: impl Future<Output = ()>) {
    let (ended, ()) = tokio::join!(coordinator.run(), task);
    ended.unwrap();
}

/// One instance, whose component can't be called.
fn config_of(name: &str) -> CoordinatorConfig {
    let plan = InstancePlan {
        policy: Policy::default(),
        upstream: UpstreamName::derived("test", "here"),
        account: None,
        service: None,
        file_kind: None,
        component: Some(OptionalExports::default()),
        fingerprint: ConfigFingerprint::default(),
        keeps_state: false,
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
struct NoReload;

#[async_trait::async_trait]
impl Reload for NoReload {
    async fn reload(&self, _: Removals) -> Result<ReloadReply, ControlError> {
        Err(ControlError::new("misconfigured", "a test has no file"))
    }
}

/// Brings a payload that is good for an hour.
struct HourProvider;

#[async_trait::async_trait]
impl ConfiguredProvider for HourProvider {
    async fn call(&self, _: &ProviderCall, _: &deputy_traces::OpenSpan) -> CallOutcome {
        let payload = deputy_core::SecretBytes::new(b"the payload".to_vec());
        let expiry = TokenExpiry::At(SystemClock::default().now().wall.plus(Span::secs(3600)));
        CallOutcome::Obtained(Tokens { expiry, ..Tokens::new("test/1".parse().unwrap(), payload) })
    }
}

/// Has leases of these instances saved, as an earlier process did.
async fn save_leases(folder: &std::path::Path, names: &[&str]) {
    let board = Arc::new(LeaseBoard::default());
    let (coordinator, handle) = open_with(folder, Arc::clone(&board), &[]).await;
    let mut all = config_of("s3");
    let plan = all.configuration.plans.values().next().cloned().unwrap();
    all.configuration.plans = names.iter().map(|name| (name.parse().unwrap(), plan.clone())).collect();
    all.providers = names
        .iter()
        .map(|name| (name.parse().unwrap(), Arc::new(HourProvider) as Arc<dyn ConfiguredProvider>))
        .collect();
    let wait = async {
        handle.configure(all).await.unwrap();
        let mut changes = board.changes();
        while names.iter().any(|name| board.lease(&name.parse().unwrap()).is_none()) {
            changes.changed().await.unwrap();
        }
        handle.stop().await.unwrap();
    };
    run_while(coordinator, wait).await;
}

#[tokio::test]
async fn restart_publishes_saved_leases_while_components_load() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    save_leases(&state, &["kept", "gone"]).await;
    let board = Arc::new(LeaseBoard::default());
    // `gone` is no longer configured.
    let (coordinator, handle) = open_with(&state, Arc::clone(&board), &["kept"]).await;
    let control =
        Control::new(handle.clone(), Arc::clone(&board), Arc::new(SystemClock::default()), Arc::new(NoReload));
    let status = async |name: &str| {
        let request = Request::get(format!("/v1/instances/{name}/lease")).body(()).unwrap();
        control.answer(request).await.status()
    };
    let ask = async {
        assert_eq!(status("kept").await, StatusCode::OK);
        assert_eq!(status("gone").await, StatusCode::SERVICE_UNAVAILABLE);
        // Another configuration comes first, without it.
        handle.configure(config_of("other")).await.unwrap();
        assert_eq!(status("kept").await, StatusCode::NOT_FOUND);
        assert!(board.lease(&"kept".parse().unwrap()).is_none());
        handle.stop().await.unwrap();
    };
    run_while(coordinator, ask).await;
}

#[tokio::test]
async fn restart_refuses_records_of_a_later_version_and_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let key = StoreKey::of_instance(&deputy_store::Namespace::new("lease"), &"s3".parse().unwrap());
    let head = br#"{"format":2}"#;
    let record = [&u32::try_from(head.len()).unwrap().to_be_bytes()[..], head].concat();
    let written = {
        let store = DirectoryStore::open(&state, test_key(), random()).await.unwrap();
        let value = deputy_core::SecretBytes::new(record.clone());
        let by = deputy_store::WriteRight::shared(store.write_id().unwrap());
        store.put(&key, &value, deputy_store::ExpectedVersion::Absent, by).await.unwrap()
    };
    for _ in 0..2 {
        let Err(CoordinatorError::Restore(error)) = try_open(&state, Arc::default(), &[]).await else {
            panic!("it starts")
        };
        assert!(error.to_string().contains("format 2") && error.to_string().contains("newer"), "{error}");
    }
    let store = DirectoryStore::open(&state, test_key(), random()).await.unwrap();
    let entry = store.get(&key).await.unwrap().unwrap();
    assert_eq!((entry.version, entry.value.expose()), (written, record.as_slice()));
}

#[tokio::test]
async fn coordinator_answers_and_stops_before_it_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, handle) = open(&folder.path().join("state")).await;
    let ask = async {
        let status = handle.status(StatusQuery::default()).await.unwrap();
        assert!(status.starting && !status.ready && status.instances.is_empty());
        assert_eq!(handle.instance("s3").await, Err(ControlRequestError::Starting));
        assert_eq!(handle.renew("s3").await, Err(ControlRequestError::Starting));
        handle.stop().await.unwrap();
    };
    run_while(coordinator, ask).await;
    assert_eq!(handle.status(StatusQuery::default()).await, Err(ControlRequestError::Stopping));
}

#[tokio::test]
async fn lease_request_waits_until_the_coordinator_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, handle) = open(&folder.path().join("state")).await;
    let control = Control::new(handle.clone(), Arc::default(), Arc::new(SystemClock::default()), Arc::new(NoReload));
    let status = async |wait: &str| {
        let request = Request::get(format!("/v1/instances/s4/lease?wait={wait}")).body(()).unwrap();
        control.answer(request).await.status()
    };
    let ask = async {
        assert_eq!(status("0s").await, StatusCode::SERVICE_UNAVAILABLE);
        let (found, configured) = tokio::join!(status("60s"), handle.configure(config_of("s3")));
        configured.unwrap();
        assert_eq!(found, StatusCode::NOT_FOUND, "the answer distinguishes known from unknown instances");
        handle.stop().await.unwrap();
    };
    run_while(coordinator, ask).await;
}

/// The same, being loaded.
fn loading_config(name: &str) -> CoordinatorConfig {
    let mut config = config_of(name);
    config.configuration.plans.clear();
    config.loading.insert(name.parse().unwrap());
    config
}

/// What is loaded for an instance.
fn loaded_instance(name: &str) -> LoadedInstances {
    let name: InstanceName = name.parse().unwrap();
    let plans = config_of(name.as_str()).configuration.plans;
    LoadedInstances {
        plans,
        providers: BTreeMap::from([(name, Arc::new(HourProvider) as Arc<dyn ConfiguredProvider>)]),
        deliveries: None,
    }
}

#[tokio::test]
async fn loading_for_an_older_configuration_is_discarded() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, handle) = open(&folder.path().join("state")).await;
    let ask = async {
        let old = handle.configure(loading_config("old")).await.unwrap();
        let changed = handle.configure(config_of("new")).await.unwrap();
        assert_eq!(changed.added, ["new".parse().unwrap()]);
        assert!(!handle.loaded(old.generation, loaded_instance("old")).await.unwrap());
        let status = handle.status(StatusQuery::default()).await.unwrap();
        assert_eq!((status.starting, status.instances.len()), (false, 1));
        assert_eq!(handle.instance("old").await, Err(ControlRequestError::Unknown("old".to_owned())));
        handle.stop().await.unwrap();
    };
    run_while(coordinator, ask).await;
}

#[tokio::test]
async fn loading_one_instance_delays_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    save_leases(&state, &["kept", "other"]).await;
    let board = Arc::new(LeaseBoard::default());
    let (coordinator, handle) = open_with(&state, Arc::clone(&board), &["kept", "slow", "other"]).await;
    let ask = async {
        let mut first = loading_config("slow");
        first.loading.extend(["kept".parse().unwrap(), "quick".parse().unwrap()]);
        first.configuration.plans = config_of("other").configuration.plans;
        let generation = handle.configure(first).await.unwrap().generation;
        // What an earlier process saved is given out, and what was not loaded is neither called nor lost.
        let kept = handle.instance("kept").await.unwrap();
        assert!(kept.is_loading() && kept.ready && kept.lease.is_some(), "{kept:?}");
        assert!(handle.instance("other").await.unwrap().ready);
        let slow = handle.instance("slow").await.unwrap();
        assert!(slow.is_loading() && !slow.ready, "{slow:?}");
        assert!(!handle.status(StatusQuery::default()).await.unwrap().ready);
        assert_eq!(handle.renew("slow").await, Err(ControlRequestError::Loading("slow".parse().unwrap())));

        let mut changes = board.changes();
        assert!(handle.loaded(generation, loaded_instance("quick")).await.unwrap());
        while board.lease(&"quick".parse().unwrap()).is_none() {
            changes.changed().await.unwrap();
        }
        assert!(handle.loaded(generation, loaded_instance("kept")).await.unwrap());
        let kept = handle.instance("kept").await.unwrap();
        assert!(!kept.is_loading() && kept.ready, "{kept:?}");
        assert_eq!(kept.lease.map(|lease| lease.revision), Some(1), "it was obtained again");
        handle.stop().await.unwrap();
    };
    run_while(coordinator, ask).await;

    // The record of one that was never loaded is still there.
    let (coordinator, handle) = open_with(&state, Arc::clone(&board), &["kept"]).await;
    let ask = async {
        handle.configure(loading_config("kept")).await.unwrap();
        assert!(handle.instance("kept").await.unwrap().lease.is_some());
        handle.stop().await.unwrap();
    };
    run_while(coordinator, ask).await;
    let (coordinator, handle) = open_with(&state, board, &["kept"]).await;
    let ask = async {
        handle.configure(loading_config("kept")).await.unwrap();
        assert!(handle.instance("kept").await.unwrap().lease.is_some());
        // A configuration without it withdraws it.
        handle.configure(config_of("other")).await.unwrap();
        assert_eq!(handle.instance("kept").await, Err(ControlRequestError::Unknown("kept".to_owned())));
        handle.stop().await.unwrap();
    };
    run_while(coordinator, ask).await;
}

#[tokio::test]
async fn status_reply_is_bounded_and_readiness_lists_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    save_leases(&state, &["kept"]).await;
    let (coordinator, handle) = open_with(&state, Arc::default(), &["kept"]).await;
    let control = Control::new(handle.clone(), Arc::default(), Arc::new(SystemClock::default()), Arc::new(NoReload));
    let page = async |query: &str| -> CoordinatorStatus {
        let request = Request::get(format!("/v1/status?{query}")).body(()).unwrap();
        serde_json::from_slice(control.answer(request).await.body()).unwrap()
    };
    let ask = async {
        let mut config = loading_config("kept");
        config.loading.extend((0..2500).map(|number| format!("many-{number:04}").parse().unwrap()));
        handle.configure(config).await.unwrap();
        let first = page("").await;
        assert_eq!((first.instance_count, first.ready_count, first.instances.len()), (2501, 1, 1000));
        assert_eq!(first.next.as_deref(), Some("many-0998"));
        let last = page("after=many-1998&limit=100000").await;
        assert_eq!((last.instances.len(), last.next), (501, None));
        let ready = page("ready=true").await;
        assert_eq!((ready.instances.len(), ready.next, ready.ready), (1, None, false));
        assert_eq!(page("prefix=many-24").await.instances.len(), 100);

        let health = CoordinatorHealth::new(handle.clone(), Arc::default(), Arc::new(Audit::nowhere()));
        let lines = health.ready().await.unwrap_err();
        assert_eq!(lines.lines().count(), 1001, "{lines}");
        assert!(!lines.contains("kept ") && lines.ends_with("1 of 2501 instances are ready\n"), "{lines}");
        handle.stop().await.unwrap();
    };
    run_while(coordinator, ask).await;
}

#[tokio::test]
async fn loading_remembers_a_lease_request() {
    let folder = tempfile::tempdir().unwrap();
    let board = Arc::new(LeaseBoard::default());
    let (coordinator, handle) = open_with(&folder.path().join("state"), Arc::clone(&board), &[]).await;
    let ask = async {
        let generation = handle.configure(loading_config("lazy")).await.unwrap().generation;
        handle.request_lease("lazy").await.unwrap();
        let mut loaded = loaded_instance("lazy");
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
    run_while(coordinator, ask).await;
}

#[tokio::test]
async fn fencing_number_is_one_only_at_the_first_start() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    for fencing in [true, false, false] {
        let (coordinator, _) = open(&state).await;
        assert_eq!(coordinator.lock.fencing() == 1, fencing);
    }
}
