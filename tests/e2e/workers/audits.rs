//! Audit logs that can't be written, and those that are rotated: at the coordinator for workers, and at a worker.

use std::fs;

use deputy_test_servers::{free_ports, get};

use super::site::TestSite;

#[test]
fn audit_on_a_full_disk_lets_no_worker_in() {
    let site = TestSite::standard("");
    site.home.edit("audit = \"audit.jsonl\"", "audit = \"/dev/full\"");
    let _coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until("the refusal", || worker.log().contains("the coordinator cannot write its audit log"));
    assert!(!site.workers().iter().any(|worker| worker.connected));
    site.home.edit("audit = \"/dev/full\"", "audit = \"audit.jsonl\"");
}

#[test]
fn audit_of_a_worker_on_a_full_disk_is_seen_by_probes() {
    let site = TestSite::standard("");
    let _coordinator = site.coordinator();
    let [port] = free_ports().unwrap();
    site.configure("worker", &format!("health = \"127.0.0.1:{port}\""));
    let config = site.home.path("worker.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("worker-audit.jsonl", "/dev/full")).unwrap();
    let worker = site.worker("worker");
    worker.wait_until("it is seen", || {
        get(port, "/readyz").is_some_and(|answer| {
            answer.status == 503 && answer.body.contains("not ready: cannot write to the audit log")
        })
    });
    assert!(get(port, "/metrics").unwrap().body.contains("deputy_worker_audit_failing 1\n"));
}

#[test]
fn audit_of_a_worker_is_reopened_on_sighup() {
    let site = TestSite::standard("");
    let _coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let (path, rotated) = (site.home.path("worker-audit.jsonl"), site.home.path("worker-audit.jsonl.1"));
    fs::rename(&path, &rotated).unwrap();
    let before = fs::read_to_string(&rotated).unwrap();
    worker.signal("HUP");
    worker.wait_until("it is opened again", || path.exists());
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
    worker.wait_until("its event is there", || fs::read_to_string(&path).unwrap().contains("\"event\":\"accept\""));
    assert_eq!(fs::read_to_string(&rotated).unwrap(), before);
}
