//! Two coordinators on one state in etcd: workers follow the one that leads.

use std::fs;

use deputy_coordinator::status::CoordinatorStatus;
use deputy_test_harness::{RunningCoordinator, asked_as, copy_compiled, exit};

use super::site::{GROUP, TestSite};
use crate::servers;

#[test]
fn standby_serves_the_workers_of_a_leader_that_was_killed() {
    let endpoints = servers::etcd().endpoints();
    let site = TestSite::standard(&format!(
        "key = {{ file = \"secrets/state.key\" }}\nstore = {{ etcd = {endpoints:?}, prefix = \"workers/\" }}"
    ));
    // Both are on this machine: the one that leads has the address.
    let (state, other) = (site.home.path("state"), site.home.path("other-state"));
    copy_compiled(&state, &other);
    site.home.put_secret("state.key", &fs::read_to_string(state.join("key")).unwrap());
    for folder in [&state, &other] {
        fs::remove_file(folder.join("key")).unwrap();
    }
    let (socket, other_socket) = (site.home.path("control.sock"), site.home.path("other.sock"));
    let config = fs::read_to_string(site.home.path("deputy.toml")).unwrap();
    let config = config.replace(socket.to_str().unwrap(), other_socket.to_str().unwrap());
    fs::write(site.home.path("other.toml"), config).unwrap();

    let leader = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let mut command = site.home.program();
    command.arg("--config").arg(site.home.path("other.toml")).arg("--state").arg(&other);
    let standby = RunningCoordinator::start_as(&site.home, command);
    standby.wait_until("its word", || standby.log().contains("standing by"));
    leader.kill();
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
    worker.wait_for_link("connected");
    assert!(asked_as::<CoordinatorStatus>(&other_socket, "/v1/status").unwrap().ready);
    // It admits others by the same authority.
    site.home.edit(socket.to_str().unwrap(), other_socket.to_str().unwrap());
    fs::remove_file(&socket).ok();
    let late = site.worker_with("late", &["--join".as_ref(), site.token(GROUP, &[]).as_os_str()]);
    late.wait_until_published("app", "creds", 2);
    assert_eq!(standby.stop(), Some(exit::OK));
}
