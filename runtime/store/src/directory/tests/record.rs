use super::*;

async fn open_with(lab: &Lab, byte: u8) -> Result<DirectoryStore, StoreError> {
    DirectoryStore::open(&lab.path(), master(byte), random()).await
}

fn record(lab: &Lab) -> PathBuf {
    lab.path().join(super::super::record::FILE)
}

/// All files with their bytes.
fn contents(lab: &Lab) -> Vec<(PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(lab.path()).unwrap().map(|file| file.unwrap().path());
    let mut contents: Vec<_> = files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    contents.sort();
    contents
}

#[tokio::test]
async fn another_master_key_is_no_damage_and_touches_nothing() {
    let lab = Lab::new();
    let store = lab.store().await;
    // Also where nothing was put yet.
    for round in 0..2 {
        overwrite(&lab.path().join(".staged-00"), b"half");
        let before = contents(&lab);
        let error = open_with(&lab, 2).await.unwrap_err();
        assert!(matches!(error, StoreError::KeyMismatch { .. }), "{error}");
        assert!(error.to_string().contains("the key does not fit this state directory"), "{error}");
        assert_eq!(contents(&lab), before, "{round}");
        store.write("lease/a", "hunter2").await;
    }
    drop(store);
    assert_eq!(lab.store().await.text("lease/a").await.unwrap(), "hunter2");
}

#[tokio::test]
async fn a_damaged_record_is_made_anew_where_a_value_shows_that_the_key_fits() {
    let lab = Lab::new();
    let store = lab.store().await;
    let version = store.write("lease/a", "hunter2").await;
    store.write("lease/b", "other").await;
    drop(store);
    let whole = std::fs::read(record(&lab)).unwrap();
    let mut last = version;
    for damaged in [&[][..], &whole[..20], b"garbage", &[&whole[..], &[0]].concat()] {
        overwrite(&record(&lab), damaged);
        overwrite(&lab.file("lease/b"), b"garbage");
        assert!(matches!(open_with(&lab, 2).await, Err(StoreError::KeyMismatch { .. })));
        let store = lab.store().await;
        assert_eq!(store.text("lease/a").await.unwrap(), "hunter2");
        let next = store.write("lease/a", "hunter2").await;
        assert!(next > last, "{next} {last}");
        last = next;
    }
    std::fs::remove_file(record(&lab)).unwrap();
    assert!(matches!(open_with(&lab, 2).await, Err(StoreError::KeyMismatch { .. })));
    assert!(lab.store().await.write("lease/a", "hunter2").await > last);
}

#[tokio::test]
async fn a_damaged_record_with_nothing_beside_it_is_not_taken_for_a_new_directory() {
    let lab = Lab::new();
    drop(lab.store().await);
    overwrite(&record(&lab), b"garbage");
    assert!(matches!(open(&lab.path()).await, Err(StoreError::KeyMismatch { .. })));
}

#[tokio::test]
async fn a_directory_of_a_later_deputy_says_so() {
    let lab = Lab::new();
    drop(lab.store().await);
    let mut bytes = std::fs::read(record(&lab)).unwrap();
    bytes[7] = 2;
    overwrite(&record(&lab), &bytes);
    let error = open(&lab.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::Format { found: 2, .. }) && error.to_string().contains("newer"), "{error}");
}

#[tokio::test]
async fn a_record_that_is_lost_while_the_store_is_open_costs_no_version() {
    let lab = Lab::new();
    let store = lab.store().await;
    let version = store.write("lease/a", "one").await;
    store.delete(&parsed("lease/a"), version).await.unwrap();
    std::fs::remove_file(record(&lab)).unwrap();
    assert!(store.write("lease/a", "two").await > version);
}

#[tokio::test]
async fn versions_grow_over_blocks_restarts_and_two_openings() {
    let lab = Lab::new();
    let (one, two) = (lab.store().await, lab.store().await);
    let mut last = Version::new(0);
    for round in 0..2200 {
        // Locks take numbers without writing anything, which makes them cheap here.
        let lock = one.lock(&parsed("leader/all")).await.unwrap();
        assert!(Version::new(lock.fencing()) > last);
        last = Version::new(lock.fencing());
        if round % 500 == 0 {
            drop(lock);
            let lock = two.lock(&parsed("leader/all")).await.unwrap();
            assert!(Version::new(lock.fencing()) > last);
            last = Version::new(lock.fencing());
            drop(lock);
            let version = lab.store().await.write("lease/a", "value").await;
            assert!(version > last);
            last = version;
        }
    }
}
