//! What ends: a worker's certificate, and a lease without a successor.

use std::fs;
use std::thread;
use std::time::Duration;

use deputy_test_harness::exit;
use deputy_test_servers::tool;
use deputy_worker::status::ConnectionStatus;

use super::site::{GROUP, LONG, TestSite};
use super::unit::{Payload, now};
use super::watcher::Watcher;

#[test]
fn certificate_expires_without_a_coordinator() {
    let site = TestSite::standard("certificate-life = \"10s\"\nauthority-life = \"100s\"");
    let coordinator = site.coordinator();
    let (worker, away) = (site.worker("worker"), site.worker("away"));
    worker.wait_until_published("app", "creds", 1);
    away.wait_until_published("app", "creds", 1);
    let (id, watcher) = (away.id(), Watcher::of(site.link("away", "app")));
    away.kill();
    let stopped = now();
    coordinator.wait_until("two renewals", || site.workers().iter().any(|worker| worker.renewals >= 2));
    assert!(!worker.log().contains("connection to the coordinator lost"), "{}", worker.log());
    thread::sleep(Duration::from_secs(11).saturating_sub(now().saturating_sub(stopped)));

    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
    let away = site.restart_worker("away");
    away.wait_for_link("out");
    let told = away.published_files();
    assert!(told.contains("join again (`deputy token create` on the coordinator"), "{told}");
    assert_eq!(away.published_number("app", "creds"), 1);
    assert_eq!(away.stop(), Some(exit::OK));

    // Whose certificate has ended joins by the string in its configuration, too.
    site.configure("away", &format!("join = {{ file = {:?} }}", site.token(GROUP, &[])));
    let away = site.restart_worker("away");
    away.wait_until_published("app", "creds", 2);
    assert_ne!(away.id(), id);
    assert_eq!(watcher.saw().numbers["creds"], [1, 2]);
}

#[test]
fn expired_lease_is_kept_or_removed_as_configured() {
    let site = TestSite::standard("");
    site.home.edit("lifetime = \"1h\"", "lifetime = \"6s\"");
    // It begins when the file is written, so there is none before everybody is there.
    fs::remove_file(site.home.path("secrets/creds.payload")).unwrap();
    let _coordinator = site.coordinator();
    site.configure("keeper", "expired = \"keep\"");
    site.configure("remover", "expired = \"remove\"");
    let (keeper, remover) = (site.worker("keeper"), site.worker("remover"));
    keeper.wait_for_link("connected");
    remover.wait_for_link("connected");
    site.publish_numbered("creds", 1);
    keeper.wait_until_published("app", "creds", 1);
    remover.wait_until_published("app", "creds", 1);
    remover.wait_until_published("app", "creds", 0);
    assert_eq!(keeper.published_number("app", "creds"), 1);
    assert!(!site.link("remover", "app").exists());
    for worker in [&keeper, &remover] {
        worker.wait_until("it is not ready", || !worker.status().unwrap().ready);
        worker.wait_until("it says why", || {
            worker.log().contains("lease expired before the coordinator sent its replacement")
        });
    }
    site.publish_text("creds", &Payload::new("creds", 2, LONG).text());
    keeper.wait_until_published("app", "creds", 2);
    remover.wait_until_published("app", "creds", 2);
}

#[test]
fn certificate_expiry_is_reported_despite_a_slow_clock() {
    let site = TestSite::standard("certificate-life = \"10s\"");
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    worker.kill();
    let stopped = now();
    coordinator.kill();
    // What it makes from now on begins long enough before.
    site.home.edit("certificate-life = \"10s\"", "certificate-life = \"1h\"");
    let coordinator = site.coordinator();
    site.publish_numbered("creds", 2);
    coordinator.wait_until("there is another lease", || coordinator.revision("creds") == 2);
    thread::sleep(Duration::from_secs(11).saturating_sub(now().saturating_sub(stopped)));

    // By its own clock the certificate is good, and it shows it.
    let mut command = site.command("worker");
    command.env("LD_PRELOAD", tool("libfaketime.so").unwrap()).env("FAKETIME", "-60").env("DONT_FAKE_MONOTONIC", "1");
    let worker = site.worker_as("worker", command);
    let why = "the worker's certificate has expired: compare the clocks";
    worker.wait_until("the status shows why, and the worker retries", || {
        let is_refused = |connection: ConnectionStatus| {
            connection.error.is_some_and(|error| error.contains(why)) && connection.state == "connecting"
        };
        worker.status().is_some_and(|status| is_refused(status.connection))
    });
    assert!(coordinator.log().contains("the TLS handshake failed"), "{}", coordinator.log());
    assert_eq!((worker.published_number("app", "creds"), site.only_worker().connected), (1, false));
}
