//! Several addresses: in join strings, over the link, and in a worker's state.

use deputy_test_harness::exit;
use serde_json::Value;

use super::site::{TestSite, address};

#[test]
fn worker_finds_a_coordinator_at_an_address_that_it_learnt() {
    let (first, second, dead) = (address(), address(), address());
    let mut site = TestSite::at(&first, &format!("advertise = [\"{dead}\", \"{first}\"]"));
    site = site.instance("creds", "any", &["analytics"]).receiver("app", &["creds"]);
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let connection = worker.status().unwrap().connection;
    let mut known = [first.clone(), dead.clone()];
    known.sort();
    assert_eq!((&connection.coordinator, &connection.addresses[..]), (&first, &known[..]));

    // The list changes: the worker learns it when it is connected again.
    assert_eq!(coordinator.stop(), Some(exit::OK));
    site.home.edit(&format!("[\"{dead}\", \"{first}\"]"), &format!("[\"{second}\", \"{first}\"]"));
    let coordinator = site.coordinator();
    let mut known = [first.clone(), second.clone()];
    known.sort();
    worker.wait_until("the list", || worker.status().is_some_and(|status| status.connection.addresses == known));
    let status: Value = serde_json::from_str(&worker.published_files()).unwrap();
    assert_eq!(status["connection"]["addresses"], serde_json::json!(known));

    // Both restart, and the coordinator is at the other address.
    assert_eq!(coordinator.stop(), Some(exit::OK));
    assert_eq!(worker.stop(), Some(exit::OK));
    site.home.edit(&format!("listen = \"{first}\""), &format!("listen = \"{second}\""));
    site.publish_numbered("creds", 2);
    let _coordinator = site.coordinator();
    let worker = site.restart_worker("worker");
    worker.wait_until_published("app", "creds", 2);
    worker.wait_for_link("connected");
    assert_eq!(worker.status().unwrap().connection.coordinator, second);
}
