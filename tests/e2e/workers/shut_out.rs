//! A worker that an operator removes or bans receives nothing from that moment on.

use deputy_link::EnrolmentStatus;
use deputy_test_harness::exit;

use super::site::{GROUP, TestSite};
use super::watcher::Watcher;

#[test]
fn removed_worker_is_disconnected_and_may_join_again() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let (worker, other) = (site.worker("worker"), site.worker("other"));
    worker.wait_until_published("app", "creds", 1);
    other.wait_until_published("app", "creds", 1);
    let watcher = Watcher::of(site.link("worker", "app"));
    let id = worker.id();
    let told = site.run_command(&["workers", "remove", &id]).ends_with(exit::OK).stdout;
    assert!(told.contains("it can enrol again"), "{told}");
    worker.wait_for_link("out");
    site.publish_numbered("creds", 2);
    other.wait_until_published("app", "creds", 2);
    assert_eq!(worker.published_number("app", "creds"), 1);
    let error = worker.status().unwrap().connection.error.unwrap();
    assert!(error.contains("join"), "{error}");

    // Neither a restart of one side nor of the other lets it in.
    coordinator.kill();
    let _coordinator = site.coordinator();
    worker.kill();
    let worker = site.restart_worker("worker");
    worker.wait_for_link("out");
    assert_eq!(worker.published_number("app", "creds"), 1);
    assert_eq!(worker.stop(), Some(exit::OK));
    assert!(!site.audited("connect", "refused").is_empty());

    let token = site.token(GROUP, &[]);
    let worker = site.worker_with("worker", &["--join".as_ref(), token.as_os_str()]);
    worker.wait_until_published("app", "creds", 2);
    assert_ne!(worker.id(), id);
    assert_eq!(watcher.saw().numbers["creds"], [1, 2]);
}

#[test]
fn banned_worker_is_refused_with_any_credential() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let token = site.token(GROUP, &["--uses", "2"]);
    let join = ["--join".as_ref(), token.as_os_str()];
    let worker = site.worker_with("worker", &join);
    worker.wait_until_published("app", "creds", 1);
    let id = worker.id();
    site.run_command(&["workers", "ban", &id]).ends_with(exit::OK);
    worker.wait_for_link("out");
    worker.kill();
    coordinator.kill();
    let _coordinator = site.coordinator();
    // The token has a use left, and is for others.
    let worker = site.worker_with("worker", &join);
    worker.wait_for_link("out");
    site.publish_numbered("creds", 2);
    let other = site.worker_with("other", &join);
    other.wait_until_published("app", "creds", 2);
    assert_eq!((worker.published_number("app", "creds"), worker.id()), (1, id.clone()));
    let banned = site.worker_status(&id);
    assert_eq!((banned.standing, banned.connected), (EnrolmentStatus::Banned, false), "{banned:?}");
    assert!(site.run_command(&["workers"]).ends_with(exit::OK).stdout.contains("banned"));
}
