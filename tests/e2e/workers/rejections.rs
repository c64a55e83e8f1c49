//! A receiver that cannot use one lease of three.

use deputy_test_harness::exit;
use deputy_test_servers::guest;
use deputy_worker::status::RejectionStatus;

use super::site::{GROUP, RunningWorker, TestSite};
use super::unit::{CANARY, Unit};

/// Instances whose payloads are JSON with a token, and a receiver that writes the tokens. The leases of `b` are short.
fn site_of_tokens() -> TestSite {
    let mut site = TestSite::new("");
    let component = guest("files").unwrap();
    for (name, lifetime) in [("a", "1h"), ("b", "30s"), ("c", "1h")] {
        site.home.append(&format!(
            "[instances.{name}]\nservice = \"any\"\nkind = \"test-json/1\"\ndeliver-to = [\"{GROUP}\"]\n\
             file = {{ path = \"secrets/{name}.payload\", lifetime = \"{lifetime}\" }}\n"
        ));
    }
    let settings = ["a", "b", "c"].map(|name| format!("\"template.{name}\" = \"{{{{ {name}.token }}}}\"\n"));
    site.home.append(&format!(
        "[groups.{GROUP}.receivers.app]\ncomponent = {component:?}\ninstances = [\"a\", \"b\", \"c\"]\n\
         [groups.{GROUP}.receivers.app.settings]\n{}",
        settings.concat()
    ));
    site
}

fn publish(site: &TestSite, name: &str, number: u64) {
    site.publish_text(name, &format!("{{\"token\": \"{CANARY} {name} {number}\"}}"));
}

/// What is published of `a`, `b` and `c`, as numbers; 0 for a file that is not there.
fn published(site: &TestSite) -> [u64; 3] {
    let unit = Unit::read(&site.link("worker", "app")).unwrap().map(|unit| unit.0).unwrap_or_default();
    ["a", "b", "c"].map(|name| {
        let text = unit.get(name).map(|text| text.strip_prefix(&format!("{CANARY} {name} ")).unwrap());
        text.map_or(0, |number| number.parse().unwrap())
    })
}

/// What the coordinator knows of the only worker and `b`.
fn failure_of_b(site: &TestSite) -> String {
    let worker = site.only_worker();
    let applied = worker.applied.into_iter().find(|applied| applied.instance == "b");
    applied.and_then(|applied| applied.failure).unwrap_or_default()
}

fn rejected(worker: &RunningWorker<'_>) -> Vec<RejectionStatus> {
    let receivers = worker.status().map(|status| status.receivers).unwrap_or_default();
    receivers.into_iter().next().map(|receiver| receiver.rejected).unwrap_or_default()
}

/// Whether the first revision of the rejected lease stays in use.
fn keeps_the_first(worker: &RunningWorker<'_>) -> bool {
    rejected(worker).iter().any(|rejection| rejection.kept.as_ref().is_some_and(|kept| kept.revision == 1))
}

#[test]
fn rejected_lease_of_three_holds_up_no_other_until_it_expires() {
    let site = site_of_tokens();
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_for_link("connected");
    // The life of a lease begins when its file is written.
    for name in ["a", "b", "c"] {
        publish(&site, name, 1);
    }
    worker.wait_until("all are published", || published(&site) == [1, 1, 1]);

    site.publish_text("b", &format!("{{\"tokne\": \"{CANARY} b 2\"}}"));
    let kept = "receiver app: rejected, and revision 1 stays: misconfigured: ";
    coordinator.wait_until("why it is rejected", || failure_of_b(&site).starts_with(kept));
    assert!(failure_of_b(&site).contains("has no field `token`"), "{}", failure_of_b(&site));
    for name in ["a", "c"] {
        publish(&site, name, 2);
    }
    worker.wait_until("the others are published", || published(&site) == [2, 1, 2]);
    let listed = site.run_command(&["workers"]).ends_with(exit::OK).stdout;
    assert!(listed.contains(&format!("b 2 failed: {kept}")), "{listed}");
    let rejection = &rejected(&worker)[0];
    let kept = rejection.kept.as_ref().map(|kept| kept.revision);
    assert_eq!((rejection.instance.as_str(), kept), ("b", Some(1)), "{rejection:?}");
    let told = worker.published_files();
    assert!(told.contains("rejected, and revision 1 stays"), "{told}");

    // The cache has the bad lease alone by now.
    worker.kill();
    let worker = site.restart_worker("worker");
    worker.wait_until("it has run again", || keeps_the_first(&worker));
    assert_eq!(published(&site), [2, 1, 2]);

    worker.wait_until("the file is gone", || published(&site) == [2, 0, 2]);
    let gone = "receiver app: rejected, and nothing of it is published: misconfigured: ";
    coordinator.wait_until("the coordinator hears of it", || failure_of_b(&site).starts_with(gone));
    publish(&site, "b", 3);
    worker.wait_until("a good one follows", || published(&site) == [2, 3, 2]);
    worker.wait_until("nothing is rejected", || rejected(&worker).is_empty());
}
