//! Several addresses: in join strings, over the link, and in a worker's state.

use deputy_test_harness::exit;
use serde_json::Value;

use super::site::{TestSite, address};

fn sorted(mut addresses: Vec<String>) -> Vec<String> {
    addresses.sort();
    addresses
}

#[test]
fn worker_finds_a_coordinator_at_an_address_that_it_learnt() {
    let (first, second, dead) = (address(), address(), address());
    let mut site = TestSite::at(&first, &format!("advertise = [\"{dead}\", \"{first}\"]"));
    site = site.instance("creds", "any", &["analytics"]).receiver("app", &["creds"]);
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let connection = worker.status().unwrap().connection;
    assert_eq!(connection.coordinator, first);
    assert_eq!(sorted(connection.addresses), sorted(vec![first.clone(), dead.clone()]));

    // The list changes: the worker learns it when it is connected again.
    assert_eq!(coordinator.stop(), Some(exit::OK));
    site.home.edit(&format!("[\"{dead}\", \"{first}\"]"), &format!("[\"{second}\", \"{first}\"]"));
    let coordinator = site.coordinator();
    let known = sorted(vec![first.clone(), second.clone()]);
    worker
        .wait_until("the list", || worker.status().is_some_and(|status| sorted(status.connection.addresses) == known));
    let status: Value = serde_json::from_str(&worker.published_files()).unwrap();
    let shown = serde_json::from_value(status["connection"]["addresses"].clone()).unwrap();
    assert_eq!(sorted(shown), known);

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
