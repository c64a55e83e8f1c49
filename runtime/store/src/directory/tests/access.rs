#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn access_to_created_files_is_for_the_owner_alone() {
    let state = StateDir::new();
    let path = state.folder.path().join("new/state");
    let store = open(&path).await.unwrap();
    store.write("lease/a", "hunter2").await;
    let _lock = store.lock(&parsed("leader/all")).await.unwrap();
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
    let files: Vec<PathBuf> = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 4);
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn access_for_others_is_refused_with_the_command_that_fixes_it() {
    let state = StateDir::new();
    drop(state.store().await);
    for wrong in [0o750, 0o705, 0o770, 0o701, 0o710, 0o1777] {
        set_mode(&state.path(), wrong);
        let error = open(&state.path()).await.unwrap_err();
        assert!(matches!(error, StoreError::File(FileError::Exposed { .. })), "{error}");
        assert!(error.to_string().contains(&format!("`chmod 700 {}`", state.path().display())), "{error}");
    }
    set_mode(&state.path(), 0o700);
    drop(state.store().await);
}

#[tokio::test]
async fn access_to_a_directory_of_another_user_is_refused() {
    let state = StateDir::new();
    let (path, user) = if rustix::process::geteuid().is_root() {
        drop(state.store().await);
        std::os::unix::fs::chown(state.path(), Some(65534), None).unwrap();
        (state.path(), 0)
    } else {
        (PathBuf::from("/"), rustix::process::geteuid().as_raw())
    };
    let error = open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::File(FileError::Owner { .. })), "{error}");
    assert!(error.to_string().contains(&format!("sudo chown {user} ")), "{error}");
}

#[tokio::test]
async fn access_through_a_link_or_to_a_file_is_refused() {
    let state = StateDir::new();
    drop(state.store().await);
    let [link, file, dangling] = ["link", "file", "dangling"].map(|name| state.folder.path().join(name));
    symlink(state.path(), &link).unwrap();
    symlink("nowhere", &dangling).unwrap();
    overwrite(&file, b"");
    for path in [&link, &link.join(""), &file, &dangling] {
        let error = open(path).await.unwrap_err();
        assert!(matches!(error, StoreError::File(FileError::NotADirectory(_))), "{error}");
    }
}

#[tokio::test]
async fn access_ignores_what_replaces_the_path_later() {
    let state = StateDir::new();
    let store = state.store().await;
    store.write("lease/a", "one").await;
    let elsewhere = state.folder.path().join("elsewhere");
    std::fs::rename(state.path(), &elsewhere).unwrap();
    std::fs::create_dir(state.path()).unwrap();
    store.write("lease/a", "two").await;
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
    assert_eq!(open(&elsewhere).await.unwrap().text("lease/a").await.unwrap(), "two");
}
