use super::*;
use crate::testing::{SetClock, test_state};

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
