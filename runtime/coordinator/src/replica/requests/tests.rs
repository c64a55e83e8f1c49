use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use deputy_store::{Changes, DirectoryStore};
use deputy_test_stores::{LayeredStore, StoreLayer};
use tokio::sync::oneshot;

use super::*;
use crate::testing::{FaultyStore, SetClock, test_state};
use deputy_test_support::CapturedLog;

#[tokio::test]
async fn use_of_an_instance_ends_while_others_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let store = test_state(folder.path()).await;
    let clock = Arc::new(SetClock::default());
    let (commands, mut received) = mpsc::channel(64);
    let reader = RequestReader {
        writer: KeyWriter::shared(Arc::clone(&store) as _),
        store: Arc::clone(&store) as _,
        clock: Arc::clone(&clock) as _,
        commands,
        used_until: BTreeMap::new(),
    };
    let writer = KeyWriter::shared(Arc::clone(&store) as _);
    let note = async |name: &str| {
        let record = InterestRecord { at_ms: clock.now().wall.as_millis() };
        let key = StoreKey::new(&INTEREST, name).unwrap();
        writer.put_for(INTEREST_LIFE, &key, &encode(&record)).await.unwrap();
    };
    note("left").await;
    let using = async {
        let mut is_left = false;
        loop {
            note("used").await;
            pause(EXPIRY_CHECK / 20).await;
            while let Ok(CoordinatorCommand::UsedElsewhere(name, is_used)) = received.try_recv() {
                match (name.as_str(), is_used) {
                    ("left", true) => {
                        is_left = true;
                        clock.pass(INTEREST_LIFE.as_millis() / 1000 + 1);
                    }
                    ("left", false) => return assert!(is_left),
                    _ => {}
                }
            }
        }
    };
    let ended = tokio::time::timeout(EXPIRY_CHECK * 10, using);
    tokio::select! { () = reader.run() => panic!("it ended"), ended = ended => ended.expect("its use ends") }
}

#[tokio::test]
async fn use_of_many_instances_at_once_is_noted_of_each() {
    const USED: usize = MAX_WRITES * 3;
    let folder = tempfile::tempdir().unwrap();
    let store = test_state(folder.path()).await;
    let clock = Arc::new(SetClock::default());
    let mut sender = RequestSender::new("here", Arc::clone(&store) as _, Arc::clone(&clock) as _);
    let names: Vec<InstanceName> = (0..USED).map(|number| format!("used-{number}").parse().unwrap()).collect();
    let mut note_all = || {
        names.iter().for_each(|name| sender.note_use(name));
        sender.uses.writes.len()
    };
    assert_eq!(note_all(), USED);
    assert_eq!(note_all(), USED, "one at a time for each");
    let noted = async {
        while store.list(&KeyPrefix::Namespace(INTEREST)).await.unwrap().len() < USED {
            pause(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), noted).await.expect("each is written");
    // It is written again when its time has come, and not before.
    while note_all() > 0 {
        pause(Duration::from_millis(20)).await;
    }
    clock.pass(INTEREST_INTERVAL.as_millis() / 1000);
    assert_eq!(note_all(), USED);
}

#[tokio::test]
async fn use_that_was_not_written_is_noted_again_within_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let store = test_state(folder.path()).await;
    let faulty = Arc::new(FaultyStore::new(Arc::clone(&store)));
    faulty.refuse("used");
    let mut sender = RequestSender::new("here", Arc::clone(&faulty) as _, Arc::new(SetClock::default()));
    let name = "used".parse().unwrap();
    sender.note_use(&name);
    let is_tried = async {
        while !sender.uses.noted[&name].1.is_finished() {
            pause(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), is_tried).await.unwrap();
    faulty.mend();
    let noted = async {
        while store.list(&KeyPrefix::Namespace(INTEREST)).await.unwrap().is_empty() {
            sender.note_use(&name);
            pause(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), noted).await.expect("it is written");
}

/// A store whose first watches end at once.
struct EndingStore {
    store: Arc<DirectoryStore>,
    ended: AtomicBool,
}

#[async_trait]
impl StoreLayer for EndingStore {
    fn inner(&self) -> &dyn Store {
        &*self.store
    }

    async fn watch(&self, prefix: KeyPrefix) -> Result<Changes, StoreError> {
        if prefix == KeyPrefix::Namespace(INTEREST) || self.ended.swap(true, Ordering::Relaxed) {
            return self.store.watch(prefix).await;
        }
        let folder = tempfile::tempdir().unwrap();
        test_state(folder.path()).await.watch(prefix).await
    }
}

#[tokio::test]
async fn requests_are_read_again_after_their_watch_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = test_state(folder.path()).await;
    let layered = Arc::new(LayeredStore(EndingStore { store: Arc::clone(&store), ended: AtomicBool::new(false) }));
    let (commands, mut received) = mpsc::channel(64);
    let reader = RequestReader {
        writer: KeyWriter::shared(Arc::clone(&layered) as _),
        store: Arc::clone(&layered) as _,
        clock: Arc::new(SetClock::default()),
        commands,
        used_until: BTreeMap::new(),
    };
    let asking = async {
        while !layered.ended.load(Ordering::Relaxed) {
            pause(Duration::from_millis(20)).await;
        }
        // It has listed what there is.
        pause(RETRY / 2).await;
        let mut sender = RequestSender::new("node-2\u{1b}", Arc::clone(&store) as _, Arc::new(SetClock::default()));
        let (reply, answer) = oneshot::channel();
        sender.ask(&"asked".parse().unwrap(), Purpose::Renew, reply);
        assert_eq!(answer.await.unwrap(), Ok(Performer::Leader));
        received.recv().await
    };
    let (log, _logging) = CapturedLog::start();
    let carried_out = tokio::time::timeout(Duration::from_secs(30), asking);
    tokio::select! {
        () = reader.run() => panic!("it ended"),
        command = carried_out => assert!(matches!(command, Ok(Some(CoordinatorCommand::Event(_))))),
    }
    assert_eq!(log.count(r#"instance=asked purpose="renew" by="node-2""#), 1);
}
