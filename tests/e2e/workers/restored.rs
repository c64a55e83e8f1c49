//! A coordinator whose state was lost, damaged or put back, and its workers.

use std::fs;
use std::path::Path;

use deputy_link::EnrolmentStatus;
use deputy_test_harness::{CommandOutput, RunningCoordinator, exit};

use super::site::{GROUP, TestSite};

/// Certificates are renewed every five seconds or so.
const SHORT: &str = "certificate-life = \"10s\"\nauthority-life = \"1h\"";

fn file(site: &TestSite, name: &str) -> std::path::PathBuf {
    site.home.path("state").join(name)
}

fn backup(site: &TestSite) -> std::path::PathBuf {
    let path = site.home.path("secrets/backup");
    site.home.deputy(&["state", "backup", path.to_str().unwrap()]).ends_with(exit::OK);
    path
}

fn restore(site: &TestSite, backup: &Path, more: &[&str]) -> CommandOutput {
    site.home.deputy(&[&["state", "restore", backup.to_str().unwrap()], more].concat())
}

/// Until the worker has another certificate.
fn until_renewed(running: &RunningCoordinator<'_>, site: &TestSite, worker: &str) {
    let renewals = || site.worker_status(worker).renewals;
    let before = renewals();
    running.wait_until("a renewal", || renewals() > before);
}

#[test]
fn restored_coordinator_knows_workers_that_renewed_since() {
    for whole_directory in [false, true] {
        let site = TestSite::standard(SHORT);
        let coordinator = site.coordinator();
        let worker = site.worker("worker");
        worker.wait_until_published("app", "creds", 1);
        let id = worker.id();
        let copy = if whole_directory {
            let copy = site.home.path("secrets/copy");
            assert_eq!(coordinator.stop(), Some(exit::OK));
            copy_files(&site.home.path("state"), &copy);
            let again = site.coordinator();
            worker.wait_for_link("connected");
            until_renewed(&again, &site, &id);
            assert_eq!(again.stop(), Some(exit::OK));
            copy
        } else {
            let copy = backup(&site);
            until_renewed(&coordinator, &site, &id);
            assert_eq!(coordinator.stop(), Some(exit::OK));
            copy
        };
        for entry in fs::read_dir(site.home.path("state")).unwrap().map(Result::unwrap) {
            if entry.path().extension().is_some_and(|end| end == "sealed") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        if whole_directory {
            copy_files(&copy, &site.home.path("state"));
        } else {
            restore(&site, &copy, &[]).ends_with(exit::OK);
        }
        let coordinator = site.coordinator();
        worker.wait_for_link("connected");
        site.publish_numbered("creds", 2);
        worker.wait_until_published("app", "creds", 2);
        assert_eq!((site.worker_status(&id).standing, worker.id()), (EnrolmentStatus::Active, id.clone()));
        assert!(
            coordinator.log().contains("worker record is older than the worker's certificate"),
            "{}",
            coordinator.log()
        );
        until_renewed(&coordinator, &site, &id);
        worker.wait_for_link("connected");
        assert_eq!(site.worker_status(&id).standing, EnrolmentStatus::Active);
    }
}

/// The sealed files of a state directory.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|end| end == "sealed") {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn damaged_authority_is_reported_with_a_way_out() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let backup = backup(&site);
    assert_eq!(coordinator.stop(), Some(exit::OK));
    let authority = file(&site, "authority.workers.sealed");
    let mut bytes = fs::read(&authority).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&authority, &bytes).unwrap();
    let mut refused = RunningCoordinator::start_unseen(&site.home);
    assert_eq!(refused.end(), Some(1));
    let said = refused.last_error();
    assert!(said.contains("authority/workers") && said.contains("deputy state restore"), "{said}");
    assert!(said.contains("authority.workers.sealed"), "{said}");

    let said = restore(&site, &backup, &[]).ends_with(exit::OK).stdout;
    assert!(said.contains("1 value restored"), "{said}");
    let _coordinator = site.coordinator();
    worker.wait_for_link("connected");
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
}

#[test]
fn new_authority_is_joined_with_the_configured_join_string() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let join = site.token(GROUP, &[]);
    let configured = site.home.path("secrets/join");
    fs::copy(&join, &configured).unwrap();
    site.configure("worker", "join = { file = \"secrets/join\" }");
    let worker = site.worker_with("worker", &[]);
    worker.wait_until_published("app", "creds", 1);
    let (id, backup) = (worker.id(), backup(&site));
    assert_eq!(coordinator.stop(), Some(exit::OK));
    for name in ["authority.workers.sealed".to_owned(), format!("worker.{id}.sealed")] {
        fs::remove_file(file(&site, &name)).unwrap();
    }
    let coordinator = site.coordinator();
    fs::copy(site.token(GROUP, &[]), &configured).unwrap();
    worker.wait_until("the hint", || worker.log().contains("restart the worker to join that coordinator"));
    assert_eq!((worker.id(), worker.stop()), (id.clone(), Some(exit::OK)));
    let worker = site.worker_with("worker", &[]);
    worker.wait_for_link("connected");
    assert_ne!(worker.id(), id);
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);

    // The backup is of another authority now.
    let refused = restore(&site, &backup, &[]).ends_with(exit::FAILED);
    assert!(refused.stderr.contains("lock/coordinator"), "{}", refused.stderr);
    assert_eq!(coordinator.stop(), Some(exit::OK));
    let refused = restore(&site, &backup, &[]).ends_with(exit::FAILED);
    assert!(refused.stderr.contains("--replace"), "{}", refused.stderr);
    restore(&site, &backup, &["--replace"]).ends_with(exit::OK);
}

#[test]
fn rekeyed_state_opens_with_its_new_key() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let refused = site.home.deputy(&["state", "rekey"]).ends_with(exit::FAILED);
    assert!(refused.stderr.contains("another process uses the state directory"), "{}", refused.stderr);
    assert_eq!(coordinator.stop(), Some(exit::OK));
    let old = fs::read(file(&site, "key")).unwrap();
    site.home.deputy(&["state", "rekey"]).ends_with(exit::OK);
    assert_ne!(fs::read(file(&site, "key")).unwrap(), old);
    let coordinator = site.coordinator();
    worker.wait_for_link("connected");
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
    assert_eq!(coordinator.stop(), Some(exit::OK));
    fs::write(file(&site, "key"), old).unwrap();
    let mut refused = RunningCoordinator::start_unseen(&site.home);
    assert_eq!(refused.end(), Some(exit::MISCONFIGURED));
    assert!(refused.last_error().contains("does not fit"), "{}", refused.last_error());
}
