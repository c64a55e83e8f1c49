use deputy_core::schedule::{ConfigFingerprint, LeaseOrigin};
use deputy_core::{Revision, SecretBytes, Span, TokenExpiry};
use deputy_store::{DirectoryStore, MasterKey};
use deputy_support::{SystemClock, timer_now};

use super::*;
use crate::testing::{FaultyStore, RecordFault};

#[expect(clippy::disallowed_methods, reason = "a test's own chance")]
async fn state(folder: &std::path::Path) -> Arc<DirectoryStore> {
    let master = MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
    let random = Arc::new(aws_lc_rs::rand::SystemRandom::new());
    Arc::new(DirectoryStore::open(&folder.join("state"), master, random).await.unwrap())
}

/// A lease that is valid for an hour from now.
fn lease(name: &str) -> (InstanceName, Lease) {
    let now = SystemClock::default().now().wall;
    let lease = Lease {
        revision: Revision(1),
        service: Some("s3".parse().unwrap()),
        kind: Some("aws-credential-process/1".parse().unwrap()),
        handle: Arc::new(SecretBytes::new(Vec::new())),
        stated: TokenExpiry::Never,
        next_at: None,
        renewable_until: None,
        facts: Vec::new(),
        payload: Arc::new(SecretBytes::new(b"payload".to_vec())),
        obtained_at: now,
        issued_at: now,
        valid_until: now.plus(Span::secs(3600)),
        origin: LeaseOrigin::Component,
        fingerprint: ConfigFingerprint([1; 16]),
    };
    (name.parse().unwrap(), lease)
}

async fn names(store: &DirectoryStore) -> Vec<String> {
    let keys = store.list(&KeyPrefix::Namespace(UNSAVED)).await.unwrap();
    keys.iter().map(|key| key.name().to_owned()).collect()
}

#[tokio::test]
async fn unsaved_lease_that_the_state_does_not_take_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = state(folder.path()).await;
    let faulty = Arc::new(FaultyStore::new(Arc::clone(&store)));
    faulty.break_record(&StoreKey::new(&UNSAVED, "a-7-0").unwrap(), RecordFault::Unwritable);
    let mut sender = UnsavedSender::new(Arc::clone(&faulty) as _, Arc::new(SystemClock::default()));
    sender.leave(7, vec![lease("a"), lease("b")]);
    let written = async |expected: &[&str]| {
        while names(&store).await != expected {
            pause(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), written(&["b-7-1"])).await.expect("the other one is written");
    faulty.mend();
    tokio::time::timeout(Duration::from_secs(30), written(&["a-7-0", "b-7-1"])).await.expect("and this one later");
}

#[tokio::test]
async fn unsaved_leases_of_more_leaderships_than_are_kept_expire() {
    let folder = tempfile::tempdir().unwrap();
    let store = state(folder.path()).await;
    let faulty = Arc::new(FaultyStore::new(Arc::clone(&store)));
    let mut sender = UnsavedSender::new(Arc::clone(&faulty) as _, Arc::new(SystemClock::default()));
    for fencing in 1..=9 {
        faulty.break_record(&StoreKey::new(&UNSAVED, &format!("a-{fencing}-0")).unwrap(), RecordFault::Unwritable);
        sender.leave(fencing, vec![lease("a")]);
    }
    assert_eq!(sender.writes.len(), MAX_LEADERSHIPS);
}

#[tokio::test]
async fn unsaved_leases_that_are_left_together_are_looked_at_together() {
    const LEFT: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let store = state(folder.path()).await;
    let (commands, mut received) = mpsc::channel(1);
    let reader = UnsavedReader::new(Arc::clone(&store) as _, Arc::new(SystemClock::default()), commands);
    let began = timer_now();
    let leaving = async {
        for number in 0..LEFT {
            let (name, lease) = lease("a");
            leave_lease(&*store, &name, 7, number, &lease).await.unwrap();
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
