use std::fs;

use super::super::tests::{StateDir, master, open, random};
use super::*;
use crate::Store;

async fn filled() -> StateDir {
    let state = StateDir::new();
    let store = state.store().await;
    for number in 0..5 {
        store.write(&format!("lease/i{number}"), &format!("value {number}")).await;
    }
    state
}

async fn opens_with(state: &StateDir, byte: u8) -> bool {
    match super::super::DirectoryStore::open(&state.path(), master(byte), random()).await {
        Ok(store) => {
            for number in 0..5 {
                assert_eq!(store.text(&format!("lease/i{number}")).await.unwrap(), format!("value {number}"));
            }
            store.write("lease/i0", "value 0").await;
            true
        }
        Err(StoreError::KeyMismatch { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn rekey_seals_everything_anew() {
    let state = filled().await;
    let before = state.store().await.get(&"lease/i3".parse().unwrap()).await.unwrap().unwrap().version;
    assert_eq!(rekey(&state.path(), master(1), master(2), random(), None).await.unwrap(), 5);
    assert!(!opens_with(&state, 1).await && opens_with(&state, 2).await);
    assert!(!state.names().iter().any(|name| name.starts_with(".rekey")), "{:?}", state.names());
    let store = super::super::DirectoryStore::open(&state.path(), master(2), random()).await.unwrap();
    assert_eq!(store.get(&"lease/i3".parse().unwrap()).await.unwrap().unwrap().version, before);
    assert!(store.write("lease/new", "later").await > before, "versions go on");
}

#[expect(clippy::disallowed_methods, reason = "a file that stands in the way")]
#[tokio::test]
async fn rekey_that_is_killed_leaves_one_key_that_fits() {
    // Before the mark: leftovers.
    let state = filled().await;
    fs::copy(state.file("lease/i1"), state.path().join(".rekey-lease.i1.sealed")).unwrap();
    assert!(opens_with(&state, 1).await);
    assert!(!state.names().iter().any(|name| name.starts_with(".rekey")));

    // After it, with any number of files renamed.
    for renamed in 0..=6 {
        let (old, new) = (filled().await, filled().await);
        rekey(&new.path(), master(1), master(2), random(), None).await.unwrap();
        let mut names: Vec<String> =
            new.names().into_iter().filter(|name| name.ends_with(".sealed") || name == ".store").collect();
        names.sort();
        for (at, name) in names.iter().enumerate() {
            let to = if at < renamed { name.clone() } else { format!(".rekey-{name}") };
            fs::copy(new.path().join(name), old.path().join(to)).unwrap();
        }
        fs::File::create(old.path().join(".rekeyed")).unwrap();
        assert!(!opens_with(&old, 1).await, "{renamed} renamed");
        assert!(opens_with(&old, 2).await, "{renamed} renamed");
    }
}

#[tokio::test]
async fn rekey_is_refused_while_another_process_uses_the_directory() {
    let state = filled().await;
    let store = state.store().await;
    let refused = rekey(&state.path(), master(1), master(2), random(), None).await;
    assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
    drop(store);
    let refused = rekey(&state.path(), master(3), master(2), random(), None).await;
    assert!(matches!(refused, Err(StoreError::KeyMismatch { .. })), "{refused:?}");
    drop(open(&state.path()).await.unwrap());
    assert!(opens_with(&state, 1).await);
}

#[tokio::test]
async fn rekey_runs_although_a_child_has_the_closed_directory() {
    let state = filled().await;
    let store = super::super::DirectoryStore::open(&state.path(), master(1), random()).await.unwrap();
    // As a child has it from its fork until its exec.
    let inherited = store.inner.dir.dir().try_clone().unwrap();
    drop(store);
    assert_eq!(rekey(&state.path(), master(1), master(2), random(), None).await.unwrap(), 5);
    drop(inherited);
}
