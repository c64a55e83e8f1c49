//! What the documents say of the configuration is so: each block of TOML is read, and no key is left out.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::Path;

use deputy_config::{
    Colour, CoordinatorFile, CoordinatorSection, Finding, InstanceEntry, OnChange, SocketMode, WorkerConfig,
};
use deputy_core::schedule::{Budget, ObtainMode, Policy, PreferredSource};
use deputy_core::{Expired, FileMode, Limits, Span};

const REFERENCES: &str = include_str!("../../../docs/configuration.md");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");
const HADOOP: &str = include_str!("../../../docs/hadoop.md");
const ENDPOINTS: &str = include_str!("../../../docs/endpoints.md");
const KAFKA: &str = include_str!("../../../docs/kafka.md");
const WORKERS: &str = include_str!("../../../docs/workers.md");
const README: &str = include_str!("../../../README.md");

/// Every table, each with a key that there is not: what is said about it names those that there are.
const ALL_TABLES: &str = r#"zzz = 1
[components]
zzz = 1
[receivers.r]
zzz = 1
on-change = { zzz = 1 }
[endpoints]
zzz = 1
[endpoints.socket]
zzz = 1
[[endpoints.aws]]
zzz = 1
[coordinator]
zzz = 1
key = { zzz = 1 }
health-tls = { zzz = 1 }
store = { zzz = 1, client-certificate = { zzz = 1 } }
[upstreams.u]
zzz = 1
[logins.l]
zzz = 1
[groups.g]
zzz = 1
[traces]
zzz = 1
headers = { x = { zzz = 1 } }
[groups.g.receivers.r]
zzz = 1
limits = { zzz = 1 }
[instances.a]
zzz = 1
renew = { zzz = 1 }
retry = { zzz = 1 }
revoke = { zzz = 1 }
file = { zzz = 1 }
limits = { zzz = 1 }
[instances.a.secrets.s]
zzz = 1
sigv4 = { zzz = 1 }
jwt = { zzz = 1 }
scram = { zzz = 1 }
sign = { zzz = 1 }
[instances.a.kerberos]
zzz = 1
[[instances.a.http]]
zzz = 1
client-certificate = { zzz = 1, key = { zzz = 1 } }
headers = { x = { zzz = 1 } }
form = { x = { zzz = 1 } }
[[instances.a.tcp]]
zzz = 1
tls = { zzz = 1 }
"#;

/// How the reference of the state in etcd begins.
const ETCD_BLOCK: &str = "```toml\n[coordinator.store]\n";

/// The same of a worker's file.
const ALL_OF_A_WORKER: &str = r#"zzz = 1
[components]
zzz = 1
[worker]
zzz = 1
join = { zzz = 1 }
key = { zzz = 1 }
[traces]
zzz = 1
headers = { x = { zzz = 1 } }
[receivers.r]
zzz = 1
on-change = { zzz = 1 }
[endpoints]
zzz = 1
[endpoints.socket]
zzz = 1
[[endpoints.aws]]
zzz = 1
"#;

/// The reference of the coordinator's file, and that of a worker's.
fn references() -> (&'static str, &'static str) {
    REFERENCES.split_once("\n# worker.toml\n").unwrap()
}

/// The reference of the coordinator's file without the state in etcd, which takes smaller payloads.
fn without_etcd() -> String {
    let (before, after) = references().0.split_once(ETCD_BLOCK).unwrap();
    let (_, after) = after.split_once("\n```\n").unwrap();
    [before, after].concat()
}

/// All blocks of TOML in a document, one after the other.
fn blocks(document: &str) -> String {
    let mut inside = false;
    let mut text = String::new();
    for line in document.lines() {
        match line {
            "```toml" => inside = true,
            "```" => inside = false,
            line if inside => text.extend([line, "\n"]),
            _ => {}
        }
    }
    assert!(text.len() > 150, "{} bytes of TOML", text.len());
    text
}

fn read(document: &str) -> CoordinatorFile {
    let config = CoordinatorFile::parse(&blocks(document), Path::new("deputy.toml"));
    let config = config.map_err(|errors| errors.render(Colour::Never)).unwrap();
    assert_eq!(config.warnings.render(Colour::Never), "");
    config
}

#[test]
fn readme_shows_a_valid_configuration() {
    assert_eq!(read(README).instances.len(), 1);
}

#[test]
fn reference_of_a_state_in_etcd_is_valid() {
    let (_, block) = references().0.split_once(ETCD_BLOCK).unwrap();
    let (block, _) = block.split_once("\n```\n").unwrap();
    let config = format!("[coordinator]\nkey = {{ file = \"state.key\" }}\n[coordinator.store]\n{block}\n");
    let config = CoordinatorFile::parse(&config, Path::new("deputy.toml")).map_err(|e| e.render(Colour::Never));
    let store = config.unwrap().coordinator.store.unwrap();
    assert_eq!((store.endpoints.len(), store.prefix), (3, Default::default()));
}

#[test]
fn documents_for_operators_show_a_valid_coordinator() {
    let coordinator = read(OPERATIONS).coordinator;
    assert!(coordinator.key.is_some() && coordinator.control.is_some() && coordinator.health.is_some());
}

#[test]
fn documents_of_hadoop_show_a_valid_coordinator() {
    let config = read(HADOOP);
    assert_eq!((config.instances.len(), config.groups.len()), (7, 3));
}

#[test]
fn documents_of_endpoints_show_valid_ones() {
    let endpoints = read_worker(ENDPOINTS).endpoints;
    assert!(endpoints.socket.is_some() && endpoints.aws.len() == 1);
}

#[test]
fn documents_of_workers_show_two_valid_sides() {
    let (coordinator, worker) = WORKERS.split_once("\n## On the worker\n").unwrap();
    assert!(read(coordinator).coordinator.workers.is_some());
    assert_eq!(read_worker(worker).receivers.len(), 2);
}

#[test]
fn documents_of_kafka_show_logins_of_each_kind() {
    let config = read(KAFKA);
    let has_kerberos = |entry: &InstanceEntry| entry.component.as_ref().map(|it| it.grant.kerberos.is_some());
    let logins: Vec<_> = config.instances.values().filter_map(has_kerberos).collect();
    // `access`, `events`, `mutual` and `orders`, in the order of their names.
    assert_eq!(logins, [false, false, false, true]);
}

#[test]
fn reference_is_a_valid_configuration() {
    assert_eq!(read(&without_etcd()).instances.len(), 5);
    assert_eq!(read_worker(references().1).receivers.len(), 3);
}

fn read_worker(document: &str) -> WorkerConfig {
    let config = WorkerConfig::parse(&blocks(document), Path::new("worker.toml"));
    let config = config.map_err(|errors| errors.render(Colour::Never)).unwrap();
    assert_eq!(config.warnings.render(Colour::Never), "");
    config
}

#[test]
fn reference_names_every_key() {
    let (coordinator, worker) = references();
    let errors = CoordinatorFile::parse(ALL_TABLES, Path::new("deputy.toml")).unwrap_err();
    names_every_key(coordinator, ALL_TABLES, &errors.findings());
    let errors = WorkerConfig::parse(ALL_OF_A_WORKER, Path::new("worker.toml")).unwrap_err();
    names_every_key(worker, ALL_OF_A_WORKER, &errors.findings());
}

fn names_every_key(reference: &str, tables: &str, findings: &[Finding]) {
    let hints: Vec<_> = findings.iter().filter(|finding| finding.message == "unknown key `zzz`").collect();
    assert_eq!(hints.len(), tables.matches("zzz").count());
    let toml = blocks(reference);
    let words: Vec<&str> = toml.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
    for hint in hints {
        for key in hint.hint.as_ref().unwrap().split('`').skip(1).step_by(2) {
            assert!(words.contains(&key), "the reference says nothing of `{key}`");
        }
    }
}

#[test]
fn reference_shows_the_defaults_of_a_worker() {
    let config = read_worker(references().1);
    let receiver = |name: &str| config.receivers[&name.parse().unwrap()].clone().publish;
    assert_eq!((config.publish.expired, Expired::default()), (Expired::Keep, Expired::Keep));
    assert_eq!((receiver("aws").mode, FileMode::default().bits()), (FileMode::default(), 0o600));
    assert_eq!(config.endpoints.socket.unwrap().mode, SocketMode::default());
    let Some(OnChange::Command { timeout, .. }) = receiver("hadoop").on_change else { panic!("no command") };
    assert_eq!(timeout, Span::secs(10));
}

#[test]
fn reference_shows_the_defaults() {
    let config = read(&without_etcd());
    let entry = |name: &str| config.instances.values().find(|entry| entry.name.as_str() == name).unwrap();
    let default = CoordinatorSection::default();
    let CoordinatorSection { key, health, health_tls, control, workers, .. } = config.coordinator.clone();
    assert_eq!(config.coordinator, CoordinatorSection { key, health, health_tls, control, workers, ..default });
    assert_eq!(config.default_budget, Budget::DEFAULT);
    assert_eq!(entry("api").component.as_ref().unwrap().limits, Limits::default());
    let default = Policy::default();
    assert_eq!(entry("api").policy, default);
    assert_eq!(default.prefer, PreferredSource::Component);
    let on_demand =
        CoordinatorFile::parse("[instances.a]\ncomponent = \"a\"\nobtain = \"on-demand\"", Path::new("")).unwrap();
    let mode = on_demand.instances.values().next().unwrap().policy.mode;
    let written = Policy {
        mode,
        lifetime: Some(Span::secs(3600)),
        max_lifetime: Some(Span::secs(7 * 86_400)),
        prefer: PreferredSource::File,
        ..default
    };
    assert_eq!(entry("s3-lab").policy, written);
    assert_eq!(mode, ObtainMode::OnDemand(Span::secs(600)));
}
