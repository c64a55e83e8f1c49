use deputy_core::SecretBytes;
use deputy_store::DirectoryStore;
use deputy_support::{SystemClock, timer_now};
use deputy_test_support::CapturedLog;

use super::*;
use crate::testing::{FaultyStore, RecordFault, SetClock, test_lease, test_state};

/// A lease that is valid for an hour from now.
fn lease(name: &str) -> (InstanceName, Lease) {
    (name.parse().unwrap(), test_lease(1))
}

async fn names(store: &DirectoryStore) -> Vec<String> {
    let keys = store.list(&KeyPrefix::Namespace(UNSAVED)).await.unwrap();
    // Without the random end.
    keys.iter().map(|key| key.name().rsplit_once('-').unwrap().0.to_owned()).collect()
}

#[tokio::test]
async fn unsaved_lease_that_the_state_does_not_take_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = test_state(folder.path()).await;
    let faulty = Arc::new(FaultyStore::new(Arc::clone(&store)));
    faulty.refuse("a-7-");
    let mut sender = UnsavedSender::new(Arc::clone(&faulty) as _, Arc::new(SystemClock::default()));
    sender.leave(7, vec![lease("a"), lease("b")]);
    let written = async |expected: &[&str]| {
        while names(&store).await != expected {
            pause(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), written(&["b-7"])).await.expect("the other one is written");
    faulty.mend();
    tokio::time::timeout(Duration::from_secs(30), written(&["a-7", "b-7"])).await.expect("and this one later");
}

#[tokio::test]
async fn unsaved_leases_of_more_leaderships_than_are_kept_expire() {
    let folder = tempfile::tempdir().unwrap();
    let store = test_state(folder.path()).await;
    let faulty = Arc::new(FaultyStore::new(Arc::clone(&store)));
    let mut sender = UnsavedSender::new(Arc::clone(&faulty) as _, Arc::new(SystemClock::default()));
    faulty.refuse("a-");
    for fencing in 1..=9 {
        sender.leave(fencing, vec![lease("a")]);
    }
    assert_eq!(sender.writes.len(), MAX_LEADERSHIPS);
}

#[tokio::test]
async fn unsaved_leases_that_are_left_together_are_looked_at_together() {
    const LEFT: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let store = test_state(folder.path()).await;
    let (commands, mut received) = mpsc::channel(1);
    let reader = UnsavedReader::new(Arc::clone(&store) as _, Arc::new(SystemClock::default()), commands);
    let began = timer_now();
    let leaving = async {
        for _ in 0..LEFT {
            let (name, lease) = lease("a");
            leave_lease(&*store, &name, 7, &mut None, &lease).await.unwrap();
        }
        // What is to be looked at for these changes, is.
        pause(GATHER * 4).await;
    };
    let mut asked = 0;
    let refusing = async {
        while let Some(CoordinatorCommand::RevokeUnsaved(_, reply)) = received.recv().await {
            asked += 1;
            reply.send(false).unwrap();
        }
    };
    tokio::select! { () = leaving => {}, () = reader.run() => {}, () = refusing => {} }
    let looks = 2 + (timer_now() - began).as_millis() / GATHER.as_millis();
    assert!(asked >= LEFT && asked as u128 <= looks * LEFT as u128, "asked {asked} times in {looks} looks");
}

#[tokio::test]
async fn unsaved_record_that_is_malformed_is_logged_once() {
    const UNUSABLE: &str = "unsaved lease unusable";
    let (log, _logging) = CapturedLog::start();
    let folder = tempfile::tempdir().unwrap();
    let store = test_state(folder.path()).await;
    let faulty = Arc::new(FaultyStore::new(Arc::clone(&store)));
    let key = StoreKey::new(&UNSAVED, &format!("a-7-{}", store.write_id().unwrap())).unwrap();
    let by = WriteRight::shared(store.write_id().unwrap());
    store.put(&key, &SecretBytes::new(b"nonsense".to_vec()), ExpectedVersion::Absent, by).await.unwrap();
    let clock = Arc::new(SystemClock::default());
    let reader = UnsavedReader::new(Arc::clone(&faulty) as _, Arc::clone(&clock) as _, mpsc::channel(1).0);
    faulty.break_record(&key, RecordFault::Undeletable);
    for _ in 0..3 {
        reader.look(clock.now()).await.unwrap_err();
    }
    assert_eq!(log.count(UNUSABLE), 0, "it is found again at each look");
    faulty.mend();
    assert!(reader.look(clock.now()).await.unwrap());
    assert_eq!((log.count(UNUSABLE), names(&store).await.len()), (1, 0));
}

const DAY: u64 = 86_400;

#[tokio::test]
async fn unsaved_lease_outlives_a_clock_that_is_ahead_for_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = test_state(folder.path()).await;
    let clock = Arc::new(SetClock::default());
    let (commands, mut received) = mpsc::channel(1);
    let reader = UnsavedReader::new(Arc::clone(&store) as _, Arc::clone(&clock) as _, commands);
    let look = async || reader.look(clock.now()).await.unwrap();
    let (name, lease) = lease("a");
    // A day ahead from the first look on, and again once the clock was steady.
    for steady in [0, 600] {
        assert!(look().await);
        clock.pass(steady);
        leave_lease(&*store, &name, 7, &mut None, &lease).await.unwrap();
        clock.set_ahead(2 * DAY);
        for _ in 0..5 {
            assert!(!look().await, "it is looked at again");
            clock.pass(50);
        }
        assert_eq!(names(&store).await, ["a-7"]);
        clock.set_ahead(0);
        let revoking = async {
            let Some(CoordinatorCommand::RevokeUnsaved(left, reply)) = received.recv().await else { panic!("asked") };
            assert_eq!(left.lease.payload.expose(), lease.payload.expose());
            reply.send(true).unwrap();
        };
        assert!(tokio::join!(look(), revoking).0);
        assert!(names(&store).await.is_empty());
    }
    // One that has expired by a steady clock goes.
    leave_lease(&*store, &name, 7, &mut None, &lease).await.unwrap();
    clock.set_ahead(2 * DAY);
    assert!(!look().await);
    for _ in 0..7 {
        clock.pass(50);
        look().await;
    }
    assert!(names(&store).await.is_empty());
}

#[tokio::test]
async fn unsaved_lease_is_left_although_the_clock_is_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let store = test_state(folder.path()).await;
    let faulty = Arc::new(FaultyStore::new(Arc::clone(&store)));
    faulty.refuse("a-");
    let clock = Arc::new(SetClock::default());
    let mut sender = UnsavedSender::new(Arc::clone(&faulty) as _, Arc::clone(&clock) as _);
    sender.leave(7, vec![lease("a")]);
    pause(RETRY / 2).await;
    clock.set_ahead(2 * DAY);
    pause(RETRY * 2).await;
    assert_eq!((sender.writes.try_join_next().is_none(), names(&store).await.len()), (true, 0));
    faulty.mend();
    let written = async {
        while names(&store).await != ["a-7"] {
            pause(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), written).await.expect("it is written");
}

#[tokio::test]
async fn unsaved_lease_is_written_once_and_under_no_name_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let store = test_state(folder.path()).await;
    // In a copy of the state, the numbers of leaderships come again.
    let (name, lease) = lease("a");
    let mut write = None;
    for _ in 0..3 {
        leave_lease(&*store, &name, 7, &mut write, &lease).await.unwrap();
    }
    leave_lease(&*store, &name, 7, &mut None, &lease).await.unwrap();
    let keys = store.list(&KeyPrefix::Namespace(UNSAVED)).await.unwrap();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().all(|key| instance_of(key) == Some(name.clone())));
}

#[test]
fn unsaved_leases_that_are_kept_are_bounded_in_number_and_size() {
    let leases = |number: usize, size: usize| -> Vec<_> {
        let (name, lease) = lease("a");
        let payload = Arc::new(SecretBytes::new(vec![0; size]));
        (0..number).map(|_| (name.clone(), Lease { payload: Arc::clone(&payload), ..lease.clone() })).collect()
    };
    assert_eq!(bounded(leases(MAX_LEASES + 1, 1)).len(), MAX_LEASES);
    let (name, lease) = lease("a");
    let shorter = Lease { valid_until: lease.obtained_at, ..lease.clone() };
    let expired = [vec![(name.clone(), shorter); MAX_LEASES], vec![(name, lease.clone())]].concat();
    assert_eq!(bounded(expired)[0].1.valid_until, lease.valid_until, "what has expired takes no place from it");
    assert_eq!(bounded(leases(17, 1 << 20)).len(), 16);
}
