use deputy_core::Span;
use deputy_core::schedule::{
    Budget, ConfigFingerprint, InstancePlan, LeaseRecord, ObtainMode, OptionalExports, Policy, ScheduleConfig,
    UpstreamName,
};
use deputy_sources::SourceContext;
use deputy_store::{ExpectedVersion, Store, StoreKey, WriteRight};
use deputy_test_stores::LayeredStore;

use super::*;
use crate::configuration::{FilePlan, LoadedInstances};
use crate::deliveries::Deliveries;
use crate::handle::CoordinatorHandle;
use crate::leader::Leader;
use crate::lease_board::LeaseBoard;
use crate::lease_record;
use crate::replica::REQUEST;
use crate::testing::{FaultyStore, RecordFault, SetClock, test_lease, test_state};
use deputy_test_support::CapturedLog;

/// Much longer than requests wait for the state.
const SOON: Duration = Duration::from_secs(30);

struct FollowingReplica {
    replica: Replica,
    handle: CoordinatorHandle,
    store: Arc<LayeredStore<FaultyStore>>,
    clock: Arc<SetClock>,
    leader: watch::Sender<LeaderView>,
    _folder: tempfile::TempDir,
}

impl FollowingReplica {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FaultyStore::new(test_state(folder.path()).await));
        let clock = Arc::new(SetClock::default());
        let (replica, handle) = Replica::new(CoordinatorOptions {
            name: "here".to_owned(),
            store: Arc::clone(&store) as _,
            metrics: Arc::default(),
            traces: Arc::default(),
            board: Arc::default(),
            clock: Arc::clone(&clock) as _,
            surroundings: Arc::new(SourceContext::of_process()),
            seed: 1,
            shutdown: Span::secs(1),
            known: Default::default(),
            is_shared: true,
        });
        let leader = LeaderView { leader: Some(Leader::new("there", None)), trouble: None };
        Self { replica, handle, store, clock, leader: watch::Sender::new(leader), _folder: folder }
    }

    /// Follows while the test runs.
    async fn run_while(mut self, test: impl AsyncFnOnce(&CoordinatorHandle, &FaultyStore, &SetClock)) {
        let leader = self.leader.subscribe();
        tokio::select! {
            () = self.replica.follow(&leader) => panic!("it was stopped"),
            () = test(&self.handle, &self.store.0, &self.clock) => {}
        }
    }
}

fn plan(mode: ObtainMode) -> InstancePlan {
    InstancePlan {
        policy: Policy { mode, ..Policy::default() },
        upstream: UpstreamName::derived("test", "here"),
        account: None,
        service: None,
        file_kind: None,
        component: Some(OptionalExports { renews: false, revokes: true }),
        fingerprint: ConfigFingerprint([1; 16]),
        keeps_state: false,
    }
}

/// The instance `s3`, and `lazy`, which is obtained on demand.
fn config() -> CoordinatorConfig {
    let plans = BTreeMap::from([
        ("lazy".parse().unwrap(), plan(ObtainMode::OnDemand(Span::secs(60)))),
        ("s3".parse().unwrap(), plan(ObtainMode::Always)),
    ]);
    CoordinatorConfig {
        configuration: ScheduleConfig { plans, default_budget: Budget::DEFAULT, budgets: BTreeMap::new(), calls: 1 },
        providers: BTreeMap::new(),
        files: FilePlan::new(),
        loading: Default::default(),
        deliveries: Deliveries::default(),
    }
}

fn request_of(instance: &str) -> StoreKey {
    StoreKey::of_instance(&REQUEST, &instance.parse().unwrap())
}

fn break_requests(store: &FaultyStore, fault: RecordFault) {
    store.break_record(&request_of("lazy"), fault);
    store.break_record(&request_of("s3"), fault);
}

async fn is_asked(store: &FaultyStore, instance: &str) -> bool {
    store.store.get(&request_of(instance)).await.unwrap().is_some()
}

#[tokio::test]
async fn following_request_fails_while_the_state_does_not_answer() {
    let following = FollowingReplica::new().await;
    let test = async |handle: &CoordinatorHandle, store: &FaultyStore, _: &SetClock| {
        handle.configure(config()).await.unwrap();
        for fault in [RecordFault::Hanging, RecordFault::Unreadable] {
            break_requests(store, fault);
            let (renewed, revoked, requested) =
                tokio::join!(handle.renew("s3"), handle.revoke("s3"), handle.request_lease("lazy"));
            for failed in [renewed.err(), revoked.err(), requested.err()] {
                let Some(ControlRequestError::Unasked(why)) = &failed else { panic!("{failed:?}") };
                assert!(why.starts_with("the state does not answer"), "{why}");
            }
            store.mend();
            assert!(!is_asked(store, "s3").await && !is_asked(store, "lazy").await);
        }
        assert_eq!(handle.renew("s3").await, Ok(Performer::Leader));
        handle.request_lease("lazy").await.unwrap();
        assert!(is_asked(store, "s3").await && is_asked(store, "lazy").await, "before the answer");
    };
    tokio::time::timeout(SOON, following.run_while(test)).await.expect("it does not wait for the state");
}

#[tokio::test]
async fn following_request_says_why_it_was_not_written_or_may_be() {
    let following = FollowingReplica::new().await;
    let test = async |handle: &CoordinatorHandle, store: &FaultyStore, _: &SetClock| {
        handle.configure(config()).await.unwrap();
        store.break_record(&request_of("s3"), RecordFault::Unwritable);
        let refused = handle.renew("s3").await;
        let Err(ControlRequestError::Unasked(why)) = &refused else { panic!("{refused:?}") };
        assert!(why.contains("more than") && !why.contains("answer"), "{why}");
        assert!(!is_asked(store, "s3").await);

        store.break_record(&request_of("s3"), RecordFault::Unanswered);
        let unknown = handle.renew("s3").await;
        let Err(ControlRequestError::Unconfirmed(instance, _)) = &unknown else { panic!("{unknown:?}") };
        assert!(instance.as_str() == "s3" && is_asked(store, "s3").await);
    };
    tokio::time::timeout(SOON, following.run_while(test)).await.unwrap();
}

#[tokio::test]
async fn following_request_that_hangs_delays_no_other_command() {
    let following = FollowingReplica::new().await;
    let test = async |handle: &CoordinatorHandle, store: &FaultyStore, _: &SetClock| {
        handle.configure(config()).await.unwrap();
        break_requests(store, RecordFault::Hanging);
        let others = async {
            handle.status(StatusQuery::default()).await.unwrap();
            // The leader obtains it without being asked.
            handle.request_lease("s3").await.unwrap();
            handle.alive().await.unwrap();
        };
        tokio::select! {
            biased;
            failed = handle.renew("s3") => panic!("before the others: {failed:?}"),
            failed = handle.request_lease("lazy") => panic!("before the others: {failed:?}"),
            () = others => {}
        }
    };
    following.run_while(test).await;
}

#[tokio::test]
async fn following_says_when_a_lease_expired() {
    let following = FollowingReplica::new().await;
    let lease = test_lease(1);
    let expired = format!("its lease expired at {}; there leads", lease.valid_until);
    let record = lease_record::encode(&LeaseRecord { lease: Some(lease), ..LeaseRecord::default() });
    let test = async |handle: &CoordinatorHandle, store: &FaultyStore, clock: &SetClock| {
        handle.configure(config()).await.unwrap();
        let reason_is = async |reason: &str| {
            while handle.instance("s3").await.unwrap().reason != reason {
                pause(Duration::from_millis(20)).await;
            }
        };
        reason_is("no lease yet; there leads").await;
        let by = WriteRight::shared(store.store.write_id().unwrap());
        let key = "lease/s3".parse().unwrap();
        store.store.put(&key, &record.unwrap(), ExpectedVersion::Absent, by).await.unwrap();
        reason_is("held; there leads").await;
        clock.pass(3601);
        reason_is(&expired).await;
    };
    tokio::time::timeout(SOON, following.run_while(test)).await.expect("it says so");
}

#[tokio::test]
async fn following_says_that_leases_are_still_to_be_read() {
    let mut following = FollowingReplica::new().await;
    following.replica.options.board = Arc::new(LeaseBoard::unread());
    let record = lease_record::encode(&LeaseRecord { lease: Some(test_lease(1)), ..LeaseRecord::default() }).unwrap();
    let by = WriteRight::shared(following.store.write_id().unwrap());
    let key = "lease/s3".parse().unwrap();
    following.store.put(&key, &record, ExpectedVersion::Absent, by).await.unwrap();
    following.store.0.break_record(&key, RecordFault::Unreadable);
    let test = async |handle: &CoordinatorHandle, store: &FaultyStore, _: &SetClock| {
        handle.configure(config()).await.unwrap();
        let unread = handle.instance("s3").await.unwrap();
        assert_eq!(unread.reason, "its lease is being read from etcd; there leads");
        assert!(unread.is_being_read() && !unread.ready);
        assert!(!handle.status(StatusQuery::default()).await.unwrap().ready);
        store.mend();
        while handle.instance("s3").await.unwrap().reason != "held; there leads" {
            pause(Duration::from_millis(20)).await;
        }
        assert!(handle.status(StatusQuery::default()).await.unwrap().ready);
    };
    tokio::time::timeout(SOON, following.run_while(test)).await.expect("it reads it");
}

#[tokio::test]
async fn following_has_nothing_to_compare_before_it_is_loaded() {
    let following = FollowingReplica::new().await;
    let digest = following.replica.digest();
    assert_eq!(*digest.borrow(), None, "there is none");
    let test = async |handle: &CoordinatorHandle, _: &FaultyStore, _: &SetClock| {
        let mut unloaded = config();
        unloaded.loading = std::mem::take(&mut unloaded.configuration.plans).into_keys().collect();
        unloaded.deliveries.loading = unloaded.loading.clone();
        let generation = handle.configure(unloaded).await.unwrap().generation;
        assert_eq!(*digest.borrow(), None, "it is being loaded");
        let plans = config().configuration.plans;
        let loaded = LoadedInstances { plans, deliveries: Some(Deliveries::default()), ..LoadedInstances::default() };
        handle.loaded(generation, loaded).await.unwrap();
        assert_eq!(*digest.borrow(), Deliveries::default().digest());
    };
    following.run_while(test).await;
}

#[tokio::test]
async fn following_warns_of_another_configuration_alone() {
    const WARNING: &str = "with another configuration";
    let (log, _logging) = CapturedLog::start();
    let settling = Duration::from_millis(100);
    let view = LeaderView { leader: Some(Leader::new("there", Some("one"))), trouble: None };
    let (leader, digest) = (watch::Sender::new(view), watch::Sender::new(None));
    let test = async {
        pause(settling * 3).await;
        assert_eq!(log.count(WARNING), 0, "it is not loaded here");
        digest.send_replace(Some("one".to_owned()));
        pause(settling * 3).await;
        assert_eq!(log.count(WARNING), 0, "it is the same");
        leader.send_modify(|view| view.leader = Some(Leader::new("there", Some("other"))));
        while log.count(WARNING) == 0 {
            pause(settling).await;
        }
        let known = leader.borrow().clone();
        leader.send_replace(LeaderView { leader: None, trouble: Some("etcd is away".to_owned()) });
        pause(settling * 3).await;
        leader.send_replace(known);
        pause(settling * 3).await;
        assert_eq!(log.count(WARNING), 1, "it was said before");
    };
    tokio::select! {
        () = warn_of_another_configuration(leader.subscribe(), digest.subscribe(), settling) => {}
        tested = tokio::time::timeout(SOON, test) => tested.expect("it is logged"),
    }
}
