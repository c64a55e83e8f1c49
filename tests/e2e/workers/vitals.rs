//! What probes and scrapers see of a worker, with a coordinator and without one.

use std::fs;

use deputy_test_servers::{free_ports, get};

use super::site::{GROUP, TestSite};

/// A metric of the one delivery, or of the worker.
fn metric(port: u16, name: &str) -> Option<f64> {
    let text = get(port, "/metrics")?.body;
    let value = text.lines().find_map(|line| {
        let (sample, value) = line.rsplit_once(' ')?;
        let own = sample.split('{').next()?;
        (own == format!("deputy_worker_{name}")).then_some(value)
    });
    value.map(|value| value.parse().unwrap())
}

#[test]
fn worker_health_shows_age_and_connection() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let [port] = free_ports().unwrap();
    site.configure("worker", &format!("health = \"127.0.0.1:{port}\""));
    let worker = site.worker("worker");
    let is_ready = || get(port, "/readyz").is_some_and(|answer| answer.status == 200 && answer.body == "ready\n");
    worker.wait_until("it is ready", is_ready);
    assert_eq!(worker.published_number("app", "creds"), 1);
    assert_eq!(get(port, "/livez").unwrap().status, 200);
    worker.wait_until("it is connected", || metric(port, "connected") == Some(1.0));
    for (name, value) in [("ready", 1.0), ("delivery_revision", 1.0), ("applied_revision", 1.0)] {
        assert_eq!(metric(port, name), Some(value), "{name}");
    }
    let expiry = metric(port, "delivery_expiry_timestamp_seconds").unwrap();

    coordinator.kill();
    worker.wait_until("it knows", || metric(port, "connected") == Some(0.0));
    worker.wait_until("that grows old", || metric(port, "contact_age_seconds") >= Some(2.0));
    assert!(is_ready(), "what it holds is good");
    assert_eq!(metric(port, "delivery_expiry_timestamp_seconds"), Some(expiry));

    let _coordinator = site.coordinator();
    site.publish_numbered("creds", 2);
    worker.wait_until("the next is applied", || metric(port, "applied_revision") == Some(2.0));
    assert_eq!((worker.published_number("app", "creds"), metric(port, "connected")), (2, Some(1.0)));
    assert!(metric(port, "delivery_expiry_timestamp_seconds") >= Some(expiry));
    site.home.record_output("who-scraped", &get(port, "/metrics").unwrap().body);
}

#[test]
fn readyz_names_what_never_came_and_why() {
    let site = TestSite::standard("").instance("late", "any", &[GROUP]).instance("foreign", "any", &["others"]);
    fs::remove_file(site.home.path("secrets/late.payload")).unwrap();
    let _coordinator = site.coordinator();
    let [port, other_port, endpoint] = free_ports().unwrap();
    site.configure(
        "worker",
        &format!(
            "health = \"127.0.0.1:{port}\"\ninstances = [\"creds\", \"foreign\", \"late\", \"typo\"]\n\
             [receivers.ap]\nmode = \"0640\"\n\
             [[endpoints.aws]]\nlisten = \"127.0.0.1:{endpoint}\"\ninstance = \"foreign\"\ntoken-file = \"secrets/token\""
        ),
    );
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let ready = |port: u16| get(port, "/readyz").map(|answer| (answer.status, answer.body));
    let never = "the coordinator delivers no instance of this name to the group of this worker: see `instances` in [worker] \
                 here, and `deliver-to` at the coordinator";
    let late = "late not ready: the coordinator has no lease of it: `deputy status` there says why\n";
    let names = |late: &str| format!("foreign not ready: {never}\n{late}typo not ready: {never}\n");
    worker.wait_until("it names all", || ready(port) == Some((503, names(late))));
    let status = worker.status().unwrap();
    let absent: Vec<_> = status.absent.iter().map(|absent| (absent.name.as_str(), absent.reason.as_str())).collect();
    assert_eq!(absent, [("foreign", "not-delivered"), ("late", "no-lease"), ("typo", "not-delivered")]);
    let warning = "[receivers.ap] has no effect: neither the coordinator nor this worker has a receiver of this name";
    assert_eq!(status.warnings, [warning]);
    assert!(worker.log().contains("a [receivers.NAME] table has no effect"), "{}", worker.log());
    assert!(worker.published_files().contains("typo"));

    // One that wants all of its group waits for what its group gets, and for nothing else.
    site.configure("other", &format!("health = \"127.0.0.1:{other_port}\""));
    let other = site.worker("other");
    other.wait_until("it names the late one", || ready(other_port) == Some((503, late.to_owned())));
    site.publish_numbered("late", 1);
    other.wait_until("it is ready", || ready(other_port) == Some((200, "ready\n".to_owned())));
    worker.wait_until("it names the two", || ready(port) == Some((503, names(""))));
}
