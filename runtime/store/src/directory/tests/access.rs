use super::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn nobody_else_can_look_at_what_is_made() {
    let lab = Lab::new();
    let path = lab.folder.path().join("new/state");
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
async fn a_directory_that_is_open_to_others_is_refused_with_the_command_that_mends_it() {
    let lab = Lab::new();
    drop(lab.store().await);
    for wrong in [0o750, 0o705, 0o770, 0o701, 0o710, 0o1777] {
        set_mode(&lab.path(), wrong);
        let error = open(&lab.path()).await.unwrap_err();
        assert!(matches!(error, StoreError::Exposed { .. }), "{error}");
        assert!(error.to_string().contains(&format!("`chmod 700 {}`", lab.path().display())), "{error}");
    }
    set_mode(&lab.path(), 0o700);
    drop(lab.store().await);
}

#[tokio::test]
async fn a_directory_of_somebody_else_is_refused() {
    let lab = Lab::new();
    let (path, user) = if rustix::process::geteuid().is_root() {
        drop(lab.store().await);
        std::os::unix::fs::chown(lab.path(), Some(65534), None).unwrap();
        (lab.path(), 0)
    } else {
        (PathBuf::from("/"), rustix::process::geteuid().as_raw())
    };
    let error = open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Owner { .. }), "{error}");
    assert!(error.to_string().contains(&format!("sudo chown {user} ")), "{error}");
}

#[tokio::test]
async fn a_link_or_a_file_is_no_state_directory() {
    let lab = Lab::new();
    drop(lab.store().await);
    let [link, file, dangling] = ["link", "file", "dangling"].map(|name| lab.folder.path().join(name));
    symlink(lab.path(), &link).unwrap();
    symlink("nowhere", &dangling).unwrap();
    overwrite(&file, b"");
    for path in [&link, &link.join(""), &file, &dangling] {
        let error = open(path).await.unwrap_err();
        assert!(matches!(error, StoreError::Kind { .. }), "{error}");
    }
}

#[tokio::test]
async fn what_happens_to_the_path_afterwards_changes_nothing() {
    let lab = Lab::new();
    let store = lab.store().await;
    store.write("lease/a", "one").await;
    let elsewhere = lab.folder.path().join("elsewhere");
    std::fs::rename(lab.path(), &elsewhere).unwrap();
    std::fs::create_dir(lab.path()).unwrap();
    store.write("lease/a", "two").await;
    assert_eq!(std::fs::read_dir(lab.path()).unwrap().count(), 0);
    assert_eq!(open(&elsewhere).await.unwrap().text("lease/a").await.unwrap(), "two");
}

#[test]
fn what_the_system_says_becomes_what_an_operator_can_do() {
    use rustix::io::Errno;
    let error = |errno| StoreError::of_system("write to", Path::new("/state"), errno);
    assert!(matches!(error(Errno::NOSPC), StoreError::Full { .. }));
    assert!(matches!(error(Errno::DQUOT), StoreError::Full { .. }));
    assert!(matches!(error(Errno::ROFS), StoreError::ReadOnly { .. }));
    assert!(matches!(error(Errno::ACCESS), StoreError::Denied { .. }));
    assert!(matches!(error(Errno::IO), StoreError::Io { .. }));
    assert_eq!(error(Errno::IO).to_string(), "cannot write to /state");
}
