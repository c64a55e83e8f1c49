//! `[coordinator]`, budgets, and the policies of instances.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::{Path, PathBuf};

use deputy_config::{Colour, CoordinatorFile, CoordinatorSection, HealthTls, InstanceEntry, WorkersSection};
use deputy_core::retry::RetryPolicy;
use deputy_core::schedule::{
    Budget, CallRate, ObtainMode, Policy, PreferredSource, Ratio, RevocationPolicy, Switch, UpstreamName,
};
use deputy_core::{Expired, FileSource, SecretSource, Span};

const FULL: &str = include_str!("../samples/valid/full.toml");

fn parse(text: &str) -> CoordinatorFile {
    CoordinatorFile::parse(text, Path::new("/etc/deputy/deputy.toml")).map_err(|e| e.render(Colour::Never)).unwrap()
}

/// The one instance of a text.
fn only(text: &str) -> InstanceEntry {
    parse(text).instances.into_values().next().unwrap()
}

fn entry(config: &CoordinatorFile, name: &str) -> InstanceEntry {
    config.instances.values().find(|entry| entry.name.as_str() == name).unwrap().clone()
}

fn upstream(name: &str) -> UpstreamName {
    name.parse().unwrap()
}

#[test]
fn coordinator_is_parsed() {
    let coordinator = parse(FULL).coordinator;
    let expected = CoordinatorSection {
        calls: 64,
        key: Some(SecretSource::Credential("state-key".into())),
        store: None,
        health: Some("[::1]:8270".parse().unwrap()),
        health_tls: Some(HealthTls {
            chain: PathBuf::from("/etc/deputy/health.pem"),
            key: SecretSource::File("/etc/deputy/health.key".into()),
            advertise: "deputy.example:8443".parse().unwrap(),
        }),
        control: Some(PathBuf::from("/etc/deputy/run/control.sock")),
        control_mode: "0660".parse().unwrap(),
        shutdown: Span::secs(60),
        workers: Some(WorkersSection {
            listen: "0.0.0.0:8271".parse().unwrap(),
            advertise: "coordinator.example:8271".parse().unwrap(),
            certificate_life: Span::secs(86_400),
            authority_life: Span::secs(180 * 86_400),
            heartbeat: Span::secs(30),
        }),
    };
    assert_eq!(coordinator, expected);
    assert_eq!(coordinator.control_mode.bits(), 0o660);
}

#[test]
fn coordinator_keys_have_defaults() {
    let default = CoordinatorSection::default();
    assert_eq!((default.calls, default.shutdown), (32, Span::secs(10)));
    assert_eq!((&default.key, default.health, &default.control), (&None, None, &None));
    assert_eq!((default.control_mode.bits(), default.workers.clone()), (0o600, None));
    for text in ["", "[coordinator]", "[coordinator]\ncalls = 32", "[coordinator]\nshutdown = \"10s\""] {
        assert_eq!(parse(text).coordinator, default, "{text}");
    }
}

#[test]
fn state_key_has_the_sources_of_secrets() {
    for (text, source) in [
        ("file = \"state.key\"", SecretSource::File("/etc/deputy/state.key".into())),
        ("env = \"STATE_KEY\"", SecretSource::Environment("STATE_KEY".into())),
        ("credential = \"state-key\"", SecretSource::Credential("state-key".into())),
        ("command = [\"pass\", \"state\"]", SecretSource::Command(vec!["pass".into(), "state".into()])),
    ] {
        assert_eq!(parse(&format!("[coordinator.key]\n{text}")).coordinator.key, Some(source));
    }
}

#[test]
fn socket_path_may_have_the_greatest_length() {
    let control = |length: usize| format!("[coordinator]\ncontrol = \"/{}\"", "a".repeat(length - 1));
    assert!(parse(&control(107)).coordinator.control.is_some());
    assert!(CoordinatorFile::parse(&control(108), Path::new("deputy.toml")).is_err());
}

#[test]
fn health_address_beyond_loopback_is_a_warning() {
    for (address, warnings) in [
        ("127.0.0.1:8270", 0),
        ("127.8.8.8:1", 0),
        ("[::1]:8270", 0),
        ("[::ffff:127.0.0.1]:1", 0),
        ("0.0.0.0:8270", 1),
        ("[::]:8270", 1),
        ("10.0.0.1:8270", 1),
    ] {
        let config = parse(&format!("[coordinator]\nhealth = \"{address}\""));
        assert_eq!((config.warnings.len(), config.coordinator.health), (warnings, Some(address.parse().unwrap())));
    }
}

#[test]
fn health_tls_advertises_the_address_that_it_listens_on() {
    let tls = "health-tls = { chain = \"health.pem\", key = { file = \"health.key\" } }";
    for (address, warnings) in [("127.0.0.1:8270", 0), ("192.0.2.1:8270", 1), ("[2001:db8::1]:443", 1)] {
        let config = parse(&format!("[coordinator]\nhealth = \"{address}\"\n{tls}"));
        let advertise = config.coordinator.health_tls.unwrap().advertise;
        assert_eq!((config.warnings.len(), advertise.to_string().as_str()), (warnings, address));
    }
}

#[test]
fn upstream_budgets_are_parsed() {
    let config = parse(FULL);
    assert_eq!(config.default_budget, Budget { per_minute: 1_000_000, burst: 100_000 });
    assert_eq!(config.budgets, [(upstream("sts"), Budget { per_minute: 60, burst: 5 })].into());
    assert_eq!(entry(&config, "s3-prod").upstream, Some(upstream("sts")));
    assert_eq!(entry(&config, "oauth").upstream, None);
    assert_eq!(parse("").default_budget, Budget::DEFAULT);
}

#[test]
fn order_of_tables_does_not_matter() {
    let config = parse(
        "[instances.a]\ncomponent = \"a.wasm\"\nupstream = \"sts\"\n\
         [upstreams.sts]\nburst = 1\ncalls-per-minute = 1\n",
    );
    assert_eq!(config.budgets, [(upstream("sts"), Budget { per_minute: 1, burst: 1 })].into());
    assert!(config.warnings.is_empty());
}

#[test]
fn policy_is_parsed() {
    let expected = Policy {
        mode: ObtainMode::OnDemand(Span::secs(900)),
        ratio: Ratio::thousandths(800),
        jitter: Ratio::thousandths(50),
        calls: CallRate { interval: Span::secs(2), per_hour: 500 },
        lifetime: Some(Span::secs(7200)),
        max_lifetime: Some(Span::secs(7 * 86_400)),
        retry: RetryPolicy { floor: Span::millis(500), most: Span::secs(600), slow: Span::secs(120) },
        revoke: RevocationPolicy { replaced: None, removed: None, shutdown: Switch::Revoke },
        prefer: PreferredSource::File,
    };
    assert_eq!(entry(&parse(FULL), "s3-prod").policy, expected);
}

#[test]
fn policy_keys_have_defaults() {
    let policy = |text: &str| only(&format!("[instances.a]\ncomponent = \"a.wasm\"\n{text}")).policy;
    let default = Policy::default();
    for text in ["obtain = \"always\"", "renew = {}", "retry = {}", "revoke = {}", "enabled = false"] {
        assert_eq!(policy(text), default, "{text}");
    }
    let ratio = |text: &str| policy(text).ratio;
    assert_eq!(policy("renew = { jitter = 0 }"), Policy { jitter: Ratio::thousandths(0), ..default.clone() });
    assert_eq!(ratio("renew = { ratio = 0.5 }"), ratio("renew = { ratio = \"0.5\" }"));
    assert_eq!(policy("obtain = \"on-demand\"").mode, ObtainMode::OnDemand(Span::secs(600)));
    let calls = CallRate { per_hour: 7, ..default.calls };
    assert_eq!(policy("renew = { per-hour = 7 }"), Policy { calls, ..default.clone() });
    let retry = RetryPolicy { most: Span::secs(9), ..default.retry };
    assert_eq!(policy("retry = { most = \"9s\" }"), Policy { retry, ..default.clone() });
    let revoke = RevocationPolicy { replaced: Some(Span::secs(0)), ..default.revoke };
    assert_eq!(policy("revoke = { replaced = \"0s\" }"), Policy { revoke, ..default });
}

#[test]
fn policy_delays_default_to_at_least_the_floor() {
    let retry = only("[instances.a]\ncomponent = \"a\"\nretry = { floor = \"10m\" }").policy.retry;
    let floor = Span::secs(600);
    assert_eq!(retry, RetryPolicy { floor, most: floor, slow: floor });
}

#[test]
fn instance_is_a_component_or_a_file_or_both() {
    let config = parse(FULL);
    let s3 = entry(&config, "s3-prod");
    let file = FileSource { path: "/etc/deputy/token.json".into(), lifetime: Span::secs(3600) };
    assert_eq!((s3.file, s3.service, s3.component.is_some()), (Some(file), None, true));
    let mounted = entry(&config, "mounted");
    let file = FileSource { path: "/etc/deputy/mounted/token".into(), lifetime: Span::secs(12 * 3600) };
    assert_eq!((mounted.file, mounted.component), (Some(file), None));
    assert_eq!((mounted.service, mounted.upstream), (Some("hdfs".parse().unwrap()), None));
    assert!(mounted.enabled);
    let oauth = entry(&config, "oauth");
    assert!(oauth.component.is_some() && oauth.file.is_none() && !oauth.enabled);
}

#[test]
fn instances_with_the_same_file_are_a_warning() {
    let instance = |name: &str, path: &str| {
        format!(
            "[instances.{name}]\nservice = \"s3\"\nkind = \"aws-credential-process/1\"\nfile = {{ path = \"{path}\", lifetime = \"1h\" }}\n"
        )
    };
    for (first, second, warnings) in [("t", "t", 1), ("t", "./t", 1), ("t", "/etc/deputy/t", 1), ("t", "u", 0)] {
        let config = parse(&(instance("a", first) + &instance("b", second)));
        assert_eq!(config.warnings.len(), warnings, "{first} {second}");
    }
}

#[test]
fn receivers_of_a_coordinator_need_their_instances_at_any_time() {
    let config = parse(include_str!("../samples/valid/local.toml"));
    let local = config.local.as_ref().unwrap();
    assert_eq!(local.named_instances(), ["s3-prod".parse().unwrap()].into());
    let receiver = local.receivers.values().next().unwrap();
    assert_eq!(receiver.publish.output, Some(PathBuf::from("/run/deputy")));
    assert_eq!(
        (receiver.publish.expired, entry(&config, "s3-prod").policy.mode),
        (Expired::Remove, ObtainMode::Always)
    );
    assert!(parse(FULL).local.is_none());
}

const KEY: &str = "[coordinator]\nkey = { file = \"state.key\" }\n[coordinator.store]\n";

#[test]
fn store_in_etcd_is_parsed() {
    let text = "etcd = [\"https://etcd-1.example.com:2379\", \"https://etcd-2.example.com:2379\"]\nprefix = \"prod/deputy/\"\n\
                roots = \"ca.pem\"\nclient-certificate = { chain = \"etcd.pem\", key = { credential = \"etcd-key\" } }\n\
                user = \"deputy\"\npassword = { env = \"ETCD_PASSWORD\" }";
    let store = parse(&format!("{KEY}{text}")).coordinator.store.unwrap();
    assert_eq!(
        store.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["https://etcd-1.example.com:2379", "https://etcd-2.example.com:2379"]
    );
    assert_eq!((store.prefix.as_str(), store.roots), ("prod/deputy/", Some("/etc/deputy/ca.pem".into())));
    let key = SecretSource::Credential("etcd-key".into());
    assert_eq!(store.client_certificate, Some(("/etc/deputy/etcd.pem".into(), key)));
    assert_eq!(store.user, Some(("deputy".to_owned(), SecretSource::Environment("ETCD_PASSWORD".into()))));
    let store = parse(&format!("{KEY}etcd = [\"http://127.0.0.1:2379\"]")).coordinator.store.unwrap();
    assert_eq!((store.prefix.as_str(), store.roots, store.user), ("deputy/", None, None));
}

#[test]
fn store_in_etcd_that_is_unsafe_or_incomplete_is_an_error() {
    for (text, wrong) in [
        ("etcd = []", "at least one element"),
        ("etcd = [\"http://etcd-1.example.com:2379\"]", "without TLS"),
        ("etcd = [\"http://127.0.0.1:2379\"]\nroots = \"ca.pem\"", "endpoints at http:// have no TLS"),
        (
            "etcd = [\"http://127.0.0.1:2379\"]\nclient-certificate = { chain = \"c.pem\", key = { file = \"c.key\" } }",
            "endpoints at http:// have no TLS",
        ),
        ("etcd = [\"https://etcd-1.example.com:2379\"]", "needs roots"),
        ("etcd = [\"etcd-1:2379\"]", "not an endpoint of etcd"),
        ("etcd = [\"http://127.0.0.1:1\"]\nprefix = \"deputy\"", "not a prefix of keys"),
        ("etcd = [\"http://127.0.0.1:1\"]\nuser = \"deputy\"", "needs password"),
        ("etcd = [\"http://127.0.0.1:1\"]\npassword = { file = \"p\" }", "needs user"),
        ("prefix = \"deputy/\"", "etcd"),
    ] {
        let error = CoordinatorFile::parse(&format!("{KEY}{text}"), Path::new("deputy.toml")).unwrap_err();
        let shown = error.render(Colour::Never);
        assert!(shown.contains(wrong), "{text}: {shown}");
    }
    let without_key = "[coordinator.store]\netcd = [\"http://127.0.0.1:2379\"]";
    let error = CoordinatorFile::parse(without_key, Path::new("deputy.toml")).unwrap_err().render(Colour::Never);
    assert!(error.contains("master key") && error.contains("openssl rand -base64 32"), "{error}");
}

#[test]
fn store_in_etcd_bounds_payloads() {
    let etcd = format!("{KEY}etcd = [\"http://127.0.0.1:2379\"]\n");
    let instance = "[instances.a]\ncomponent = \"a.wasm\"\n";
    let small = format!("{etcd}{instance}limits = {{ payload = \"1KiB\" }}");
    for (text, largest) in [(format!("{etcd}{instance}"), 512 << 10), (small, 1024), (instance.to_owned(), 1 << 20)] {
        assert_eq!(only(&text).component.unwrap().limits.payload.as_u64(), largest, "{text}");
    }
    let large = format!("{etcd}{instance}limits = {{ payload = \"1MiB\" }}");
    let error = CoordinatorFile::parse(&large, Path::new("deputy.toml")).unwrap_err().render(Colour::Never);
    assert!(error.contains("does not fit the state in etcd") && error.contains("512KiB"), "{error}");
}
