use super::child::{Other, add};
use super::*;

#[tokio::test]
async fn a_writer_that_is_killed_leaves_a_whole_value_and_nothing_else() {
    let lab = Lab::new();
    let mut latest = Version::new(0);
    for round in 0..12 {
        let mut writer = Other::start("write", &lab.path());
        let mut promised = (0, latest.as_u64());
        for _ in 0..=round {
            let said = writer.says().unwrap();
            let (number, version) = said.split_once(' ').unwrap();
            promised = (number.parse().unwrap(), version.parse().unwrap());
        }
        writer.kill();
        let store = lab.store().await;
        let entry = store.get(&parsed("lease/a")).await.unwrap().unwrap();
        assert!(entry.version.as_u64() >= promised.1 && entry.version > latest);
        latest = entry.version;
        let text = String::from_utf8(entry.value.expose().to_vec()).unwrap();
        let number: u64 = text.get(..text.len() / 4096).unwrap().parse().unwrap();
        assert!(number >= promised.0 && text == number.to_string().repeat(4096));
        assert!(!lab.names().iter().any(|name| folder::is_staged(name)), "{:?}", lab.names());
    }
}

#[tokio::test]
async fn what_crashed_writers_left_is_removed_and_the_old_values_hold() {
    let lab = Lab::new();
    let store = lab.store().await;
    store.write("lease/a", "old").await;
    let half = lab.path().join(".staged-0123");
    overwrite(&half, b"half");
    // Another one opens it while this one could be writing.
    let other = lab.store().await;
    assert!(half.exists());
    drop((store, other));
    // A process that another test begins just now has all open files of this one, locks included, until it is begun.
    let mut tries = 0;
    while half.exists() {
        tries += 1;
        assert!(tries < 1000, "it is still there");
        assert_eq!(lab.store().await.text("lease/a").await.unwrap(), "old");
    }
}

#[tokio::test]
async fn two_processes_lose_nothing_of_each_others_writing() {
    let lab = Lab::new();
    let store = lab.store().await;
    let mut other = Other::start("count", &lab.path());
    assert_eq!(other.says().as_deref(), Some("ready"));
    add(&store, 100).await;
    other.ends_well();
    assert_eq!(store.text("count/all").await.unwrap(), "200");
}
