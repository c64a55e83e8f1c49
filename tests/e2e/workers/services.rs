//! One component for several services: its instances are of one each, or one payload is for all of them.

use std::fs;
use std::time::Duration;

use deputy_test_harness::exit;
use deputy_test_servers::guest;

use super::site::{GROUP, TestSite};
use super::unit::{CANARY, Unit};
use crate::script::ScriptedServer;

/// An instance of a component that is of any service and kind, as its settings say.
fn instance(script: &ScriptedServer, name: &str, service: &str, kind: &str) -> String {
    let component = guest("benign-obtain").unwrap();
    let settings = format!(".settings]\nservice = \"{service}\"\nkinds = \"{kind}\"\n");
    let lines = script.lines(name, &format!("deliver-to = [\"{GROUP}\"]\nretry = {{ floor = \"50ms\" }}"));
    format!("[instances.{name}]\ncomponent = {component:?}\n{}", lines.replace(".settings]\n", &settings))
}

/// A receiver of one kind, bound to one instance.
fn receiver(name: &str, instance: &str, kind: &str) -> String {
    let component = guest("benign-receiver").unwrap();
    format!(
        "[groups.{GROUP}.receivers.{name}]\ncomponent = {component:?}\ninstances = [\"{instance}\"]\n\
         settings = {{ kinds = \"{kind}\" }}\n"
    )
}

#[test]
fn services_of_one_component_reach_the_receivers_of_their_kinds() {
    let mut site = TestSite::new("");
    let script = ScriptedServer::granting();
    for lines in [
        instance(&script, "one", "postgres", "password/1"),
        instance(&script, "two", "aws", "aws-key/1"),
        receiver("database", "one", "password/1"),
        receiver("cloud", "two", "aws-key/1"),
    ] {
        site.home.append(&lines);
    }
    site.home.deputy(&["check"]).ends_with(exit::OK);
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    for (name, receiver, service, kind) in
        [("one", "database", "postgres", "password/1"), ("two", "cloud", "aws", "aws-key/1")]
    {
        let report = site.link("worker", receiver).join("report");
        worker.wait_until("it is published", || {
            fs::read_to_string(&report).is_ok_and(|text| text.starts_with(&format!("{name} {service} 1 ")))
        });
        let shown = coordinator.instance_status(name);
        let shown_kind = shown.lease.and_then(|lease| lease.kind);
        assert_eq!((shown.service.as_deref(), shown_kind.as_deref()), (Some(service), Some(kind)));
    }

    // The other way round, the check finds both, and the workers keep what they have.
    site.home.edit("instances = [\"one\"]", "instances = [\"three\"]");
    site.home.edit("instances = [\"two\"]", "instances = [\"one\"]");
    site.home.edit("instances = [\"three\"]", "instances = [\"two\"]");
    let shown = site.home.deputy(&["check"]).ends_with(exit::FAILED).stdout;
    for text in [
        "instance one obtains password/1, and the receiver takes only aws-key/1",
        "instance two obtains aws-key/1, and the receiver takes only password/1",
    ] {
        assert!(shown.contains(text), "{shown}");
    }
}

#[test]
fn services_in_one_payload_live_until_the_first_of_them_ends() {
    const FIRST_END: Duration = Duration::from_secs(4);
    // The key of one service would live for an hour, the password of the other does not: so the component says the latter.
    let script = ScriptedServer::new(|call| {
        let number = call.number;
        let payload = format!("{{\"postgres\": \"{CANARY} p {number}\", \"aws\": \"{CANARY} a {number}\"}}");
        format!("kind bundle/1\npayload {payload}\nafter-ms {}\n", FIRST_END.as_millis())
    });
    let mut site = TestSite::new("");
    let files = guest("files").unwrap();
    site.home.append(&instance(&script, "both", "databases", "bundle/1"));
    site.home.append(&format!(
        "[groups.{GROUP}.receivers.app]\ncomponent = {files:?}\ninstances = [\"both\"]\n\
         [groups.{GROUP}.receivers.app.settings]\n\
         \"template.postgres\" = \"{{{{ both.postgres }}}}\"\n\"template.aws\" = \"{{{{ both.aws }}}}\"\n"
    ));
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until("the third payload", || {
        let Some(unit) = Unit::read(&site.link("worker", "app")).unwrap() else { return false };
        let numbers = ["postgres", "aws"].map(|name| unit.0[name].rsplit(' ').next().unwrap().to_owned());
        assert_eq!(numbers[0], numbers[1], "both are of one payload");
        numbers[0].parse::<u64>().unwrap() >= 3
    });
    coordinator.wait_until("a lease until the first end", || {
        let left = coordinator.instance_status("both").lease.unwrap().valid_for_ms.unwrap();
        u128::try_from(left).is_ok_and(|left| left <= FIRST_END.as_millis())
    });
}
