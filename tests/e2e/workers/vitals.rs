//! What probes and scrapers are told of a worker, while there is a coordinator and while there is none.

use deputy_test_servers::{free_ports, get};

use super::site::Site;

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
fn probes_and_scrapers_see_what_is_applied_how_old_it_is_and_when_the_coordinator_is_away() {
    let site = Site::usual("");
    let coordinator = site.coordinator();
    let [port] = free_ports().unwrap();
    site.configure("worker", &format!("health = \"127.0.0.1:{port}\""));
    let worker = site.worker("worker");
    let is_ready = || get(port, "/readyz").is_some_and(|answer| answer.status == 200 && answer.body == "ready\n");
    worker.until("it is ready", is_ready);
    assert_eq!(worker.number("app", "creds"), 1);
    assert_eq!(get(port, "/livez").unwrap().status, 200);
    worker.until("it is connected", || metric(port, "connected") == Some(1.0));
    for (name, value) in [("ready", 1.0), ("delivery_revision", 1.0), ("applied_revision", 1.0)] {
        assert_eq!(metric(port, name), Some(value), "{name}");
    }
    let expiry = metric(port, "delivery_expiry_timestamp_seconds").unwrap();

    coordinator.kill();
    worker.until("it knows", || metric(port, "connected") == Some(0.0));
    worker.until("that grows old", || metric(port, "contact_age_seconds") >= Some(2.0));
    assert!(is_ready(), "what it holds is good");
    assert_eq!(metric(port, "delivery_expiry_timestamp_seconds"), Some(expiry));

    let _coordinator = site.coordinator();
    site.give("creds", 2);
    worker.until("the next is applied", || metric(port, "applied_revision") == Some(2.0));
    assert_eq!((worker.number("app", "creds"), metric(port, "connected")), (2, Some(1.0)));
    assert!(metric(port, "delivery_expiry_timestamp_seconds") >= Some(expiry));
    site.home.said("who-scraped", &get(port, "/metrics").unwrap().body);
}
