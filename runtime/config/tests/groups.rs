//! Which workers get what, and what they make of it, as the coordinator's file says.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::Path;

use deputy_config::{Colour, CoordinatorFile, ReceiverComponent, WorkerGroup, WorkersSection};
use deputy_core::{ComponentRef, Limit, LimitOverrides, Span};

const FULL: &str = include_str!("../samples/valid/full.toml");

fn parse(text: &str) -> CoordinatorFile {
    CoordinatorFile::parse(text, Path::new("/etc/deputy/deputy.toml")).map_err(|e| e.render(Colour::Never)).unwrap()
}

fn wrong(text: &str) -> String {
    CoordinatorFile::parse(text, Path::new("deputy.toml")).unwrap_err().render(Colour::Never)
}

fn group(config: &CoordinatorFile, name: &str) -> WorkerGroup {
    config.groups[&name.parse().unwrap()].clone()
}

#[test]
fn instance_is_delivered_to_the_groups_that_it_names() {
    let config = parse(FULL);
    let groups = |name: &str| {
        let entry = config.instances.values().find(|entry| entry.name.as_str() == name).unwrap();
        entry.deliver_to.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        (groups("s3-prod").as_str(), groups("mounted").as_str(), groups("oauth").as_str()),
        ("analytics etl", "hadoop", "")
    );
    let names: Vec<_> = config.groups.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["analytics", "etl", "hadoop"], "also without a table");
    let hadoop = WorkerGroup { instances: ["mounted".parse().unwrap()].into(), ..WorkerGroup::default() };
    assert_eq!(group(&config, "hadoop"), hadoop);
    assert_eq!(group(&config, "etl").instances, ["s3-prod".parse().unwrap()].into());
}

#[test]
fn group_receivers_are_parsed() {
    let receivers = group(&parse(FULL), "analytics").receivers;
    let expected = ReceiverComponent {
        component: ComponentRef::Installed {
            name: "aws-credentials".parse().unwrap(),
            folder: Some("/etc/deputy/components".into()),
        },
        sha256: Some("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse().unwrap()),
        settings: [("default".to_owned(), "s3-prod".to_owned())].into(),
        instances: ["s3-prod".parse().unwrap()].into(),
        limits: LimitOverrides::new([(Limit::Memory, 32 << 20), (Limit::OutputFiles, 10), (Limit::Wall, 90_000)])
            .unwrap(),
    };
    assert_eq!(receivers, [("aws".parse().unwrap(), expected)].into());
}

/// Who may edit a group's receivers must not get by that what the group may not have.
#[test]
fn group_receiver_gets_instances_of_its_group_alone() {
    let text = |groups: &str| {
        format!(
            "[coordinator]\nlisten = \"127.0.0.1:8271\"\n[instances.a]\ncomponent = \"a.wasm\"\n{groups}\n\
             [groups.g.receivers.r]\ncomponent = \"r.wasm\"\ninstances = [\"a\"]\n"
        )
    };
    assert!(parse(&text("deliver-to = [\"g\"]")).warnings.is_empty());
    assert!(wrong(&text("deliver-to = [\"h\"]")).contains("needs deliver-to = [\"h\", \"g\"]"));
    assert!(wrong(&text("")).contains("needs deliver-to = [\"g\"]"));
}

#[test]
fn advertise_defaults_to_the_address_that_is_listened_on() {
    let workers = |lines: &str| parse(&format!("[coordinator]\n{lines}")).coordinator.workers;
    assert_eq!(workers(""), None);
    for (lines, listen, advertise) in [
        ("listen = \"10.0.0.1:8271\"", "10.0.0.1:8271", "10.0.0.1:8271"),
        ("listen = \"[::1]:8271\"", "[::1]:8271", "[::1]:8271"),
        ("listen = \"0.0.0.0:8271\"\nadvertise = \"deputy.example:443\"", "0.0.0.0:8271", "deputy.example:443"),
        ("listen = \"10.0.0.1:8271\"\nadvertise = \"192.0.2.1:8271\"", "10.0.0.1:8271", "192.0.2.1:8271"),
        ("listen = \"[::]:8271\"\nadvertise = [\"a.example:443\"]", "[::]:8271", "a.example:443"),
        ("listen = \"[::]:8271\"\nadvertise = [\"b.example:1\", \"[::1]:2\"]", "[::]:8271", "b.example:1,[::1]:2"),
    ] {
        let expected = WorkersSection {
            listen: listen.parse().unwrap(),
            advertise: advertise.parse().unwrap(),
            certificate_life: Span::secs(86_400),
            authority_life: Span::secs(180 * 86_400),
            heartbeat: Span::secs(30),
        };
        assert_eq!(workers(lines), Some(expected), "{lines}");
    }
    for lines in [
        "listen = \"127.0.0.1:1\"\nauthority-life = \"200h\"",
        "heartbeat = \"5s\"",
        "listen = \"[::]:8271\"",
        "listen = \"localhost:8271\"",
        "listen = \"10.0.0.1\"",
        "advertise = \"a:1\"",
        "advertise = [\"a:1\", \"b:1\"]",
        "listen = \"[::]:1\"\nadvertise = \"a:1,b:1\"",
        "listen = \"[::]:1\"\nadvertise = []",
        "listen = \"[::]:1\"\nadvertise = 8271",
        "listen = \"[::]:1\"\nadvertise = [\"a\"]",
        "listen = \"[::]:1\"\nadvertise = [\"a:1\", \"A:1\"]",
    ] {
        assert!(!wrong(&format!("[coordinator]\n{lines}")).is_empty(), "{lines}");
    }
    let many = |count| (1..=count).map(|port| format!("\"a:{port}\"")).collect::<Vec<_>>().join(", ");
    let listed = |count| format!("[coordinator]\nlisten = \"[::]:1\"\nadvertise = [{}]", many(count));
    assert_eq!(parse(&listed(16)).coordinator.workers.unwrap().advertise.as_slice().len(), 16);
    assert!(wrong(&listed(17)).contains("17 addresses are too many"));
}
