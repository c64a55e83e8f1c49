use super::child::{OtherProcess, add};
use super::*;

#[tokio::test]
async fn crash_of_a_writer_leaves_a_whole_value_and_nothing_else() {
    let state = StateDir::new();
    let mut latest = Version::new(0);
    for round in 0..12 {
        let mut writer = OtherProcess::start("write", &state.path());
        let mut promised = (0, latest.as_u64());
        for _ in 0..=round {
            let said = writer.next_line().unwrap();
            let (number, version) = said.split_once(' ').unwrap();
            promised = (number.parse().unwrap(), version.parse().unwrap());
        }
        writer.kill();
        let store = state.store().await;
        let entry = store.get(&parsed("lease/a")).await.unwrap().unwrap();
        assert!(entry.version.as_u64() >= promised.1 && entry.version > latest);
        latest = entry.version;
        let text = String::from_utf8(entry.value.expose().to_vec()).unwrap();
        let number: u64 = text.get(..text.len() / 4096).unwrap().parse().unwrap();
        assert!(number >= promised.0 && text == number.to_string().repeat(4096));
        assert!(!state.names().iter().any(|name| deputy_files::is_staged(name)), "{:?}", state.names());
    }
}

#[tokio::test]
async fn crash_leftovers_are_removed_and_the_old_values_stay() {
    let state = StateDir::new();
    let store = state.store().await;
    store.write("lease/a", "old").await;
    let half = state.path().join(".staged-0123");
    overwrite(&half, b"half");
    // Another one opens it while this one could be writing.
    let other = state.store().await;
    assert!(half.exists());
    drop((store, other));
    // A process that another test begins just now has all open files of this one, locks included, until it is begun.
    let mut tries = 0;
    while half.exists() {
        tries += 1;
        assert!(tries < 1000, "it is still there");
        assert_eq!(state.store().await.text("lease/a").await.unwrap(), "old");
    }
}

#[tokio::test]
async fn put_by_two_processes_loses_no_update() {
    let state = StateDir::new();
    let store = state.store().await;
    let mut other = OtherProcess::start("count", &state.path());
    assert_eq!(other.next_line().as_deref(), Some("ready"));
    add(&store, 100).await;
    other.finish();
    assert_eq!(store.text("count/all").await.unwrap(), "200");
}
