//! What a worker's file becomes.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::{Path, PathBuf};

use deputy_config::{
    AwsEndpointConfig, Choice, Colour, ConfigErrors, Endpoints, OnChange, Publish, ReceiverComponent, SocketEndpoint,
    SocketMode, WorkerConfig, WorkerReceiver,
};
use deputy_core::{
    Account, ComponentRef, Expired, FileMode, HookCommand, HookSignal, Limit, LimitOverrides, Limits, PolicyDenial,
    Principal, ReceiverName, SecretSource, Span,
};
use proptest::prelude::*;

const FULL: &str = include_str!("../samples/worker/valid/full.toml");

fn parse(text: &str) -> WorkerConfig {
    WorkerConfig::parse(text, Path::new("/etc/deputy/worker.toml")).map_err(|e| e.render(Colour::Never)).unwrap()
}

fn receiver(config: &WorkerConfig, name: &str) -> WorkerReceiver {
    config.receivers[&receiver_name(name)].clone()
}

fn command(words: &[&str]) -> HookCommand {
    HookCommand::new(words.iter().map(|word| (*word).to_owned()).collect()).unwrap()
}

fn receiver_name(name: &str) -> ReceiverName {
    name.parse().unwrap()
}

#[test]
fn worker_table_is_parsed() {
    let config = parse(FULL);
    assert_eq!(config.state_dir, Some("/var/lib/deputy-worker".into()));
    assert_eq!(config.join, Some(SecretSource::Credential("deputy-join".into())));
    assert_eq!(config.key, Some(SecretSource::Command(vec!["/etc/deputy/./key".into(), "--state".into()])));
    assert_eq!(config.health, Some("127.0.0.1:9126".parse().unwrap()));
    assert_eq!(config.audit, Some("/etc/deputy/audit.jsonl".into()));
    let wanted = ["s3-prod", "s3-lab", "hdfs"].map(|name| name.parse().unwrap());
    assert_eq!(config.instances, Some(wanted.into()));
    let publish = Publish { output: Some("/run/deputy".into()), expired: Expired::Remove, ..Publish::default() };
    assert_eq!(config.publish, publish);
}

#[test]
fn worker_receiver_is_parsed() {
    let aws = receiver(&parse(FULL), "aws");
    let component = ReceiverComponent {
        component: ComponentRef::File("/etc/deputy/aws-credentials.wasm".into()),
        sha256: Some("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse().unwrap()),
        settings: [("default".to_owned(), "s3-prod".to_owned())].into(),
        instances: ["s3-prod", "s3-lab"].map(|name| name.parse().unwrap()).into(),
        limits: LimitOverrides::new([(Limit::Memory, 32 << 20)]).unwrap(),
    };
    let on_change = OnChange::Signal { signal: HookSignal::Hup, pid_file: "/run/app.pid".into() };
    let publish = Publish {
        output: Some("/etc/deputy/aws".into()),
        mode: "0640".parse().unwrap(),
        owner: Some(Account::Name("app".into())),
        group: Some(Account::Id(1000)),
        expired: Expired::Keep,
        on_change: Some(on_change),
    };
    assert_eq!(aws, WorkerReceiver { choice: Choice::Worker(component), publish });
}

#[test]
fn worker_receiver_inherits_from_the_worker() {
    let config = parse(FULL);
    let files = receiver(&config, "files").publish;
    assert_eq!((files.output, files.expired), (Some("/run/deputy".into()), Expired::Remove));
    assert_eq!((files.mode, files.owner, files.group), (FileMode::default(), None, None));
    let command = command(&["/etc/deputy/reload", "./now"]);
    assert_eq!(files.on_change, Some(OnChange::Command { command, timeout: Span::secs(30) }));
}

#[test]
fn worker_sets_publishing_and_limits_of_a_group_receiver() {
    let config = parse(FULL);
    let chosen = receiver(&config, "chosen");
    let limits = LimitOverrides::new([(Limit::Cpu, 300_000), (Limit::OutputFiles, 10)]).unwrap();
    assert_eq!((chosen.component(), &chosen.choice), (None, &Choice::Coordinator(limits)));
    assert_eq!(&chosen.publish, config.publish(&receiver_name("chosen")));
    assert_eq!((chosen.publish.owner, chosen.publish.expired), (Some(Account::Id(0)), Expired::Remove));
    let command = command(&["/usr/bin/systemctl", "reload", "app"]);
    assert_eq!(chosen.publish.on_change, Some(OnChange::Command { command, timeout: Span::secs(10) }));
    assert_eq!(config.publish(&receiver_name("without-a-table")), &config.publish);
}

#[test]
fn denial_fix_can_be_pasted_into_the_file() {
    let name = receiver_name("aws");
    let limits = Limits::default();
    let fix = |refusal: PolicyDenial| refusal.fix(Principal::Receiver(&name, &limits)).unwrap();
    for limit in Limit::ALL.into_iter().filter(|limit| !matches!(limit, Limit::Instances | Limit::TableElements)) {
        let twice = 2 * Limits::default().value(limit).number();
        let raised = LimitOverrides::new([(limit, twice)]).unwrap();
        let text = fix(PolicyDenial::Limit(limit));
        assert_eq!(receiver(&parse(&text), "aws").choice, Choice::Coordinator(raised), "{text}");
    }
    assert!(parse(&fix(PolicyDenial::Secret { name: "a\n[b]".into() })).receivers.is_empty());
}

#[test]
fn worker_endpoints_are_parsed() {
    let aws = |listen: &str, name: &str| AwsEndpointConfig {
        listen: listen.parse().unwrap(),
        instance: name.parse().unwrap(),
        token_file: PathBuf::from(format!("/etc/deputy/{name}.token")),
    };
    let socket = SocketEndpoint { path: Some("/etc/deputy/worker.sock".into()), mode: "0660".parse().unwrap() };
    let aws = vec![aws("127.0.0.1:9911", "s3-prod"), aws("[::1]:9911", "s3-lab")];
    assert_eq!(parse(FULL).endpoints, Endpoints { socket: Some(socket), aws });
}

#[test]
fn coordinator_listens_on_nothing_by_default() {
    for text in ["", "[worker]", "[endpoints]", "[worker]\njoin = { file = \"join\" }\noutput = \"out\""] {
        let config = parse(text);
        assert_eq!((config.endpoints, config.health), (Endpoints::default(), None), "{text}");
    }
    let socket = parse("[endpoints.socket]").endpoints.socket;
    assert_eq!(socket, Some(SocketEndpoint { path: None, mode: SocketMode::default() }));
}

#[test]
fn worker_needs_a_join_string_and_a_directory_alone() {
    let config = parse("[worker]\njoin = { env = \"JOIN\" }\noutput = \"out\"");
    assert_eq!(config.join, Some(SecretSource::Environment("JOIN".into())));
    let publish = Publish { output: Some("/etc/deputy/out".into()), ..Publish::default() };
    assert_eq!(config.publish, publish);
    assert_eq!((publish.mode.bits(), publish.expired, publish.on_change), (0o600, Expired::Keep, None));
    assert_eq!((config.instances, config.state_dir, config.receivers.len()), (None, None, 0));
}

#[test]
fn endpoint_address_beyond_loopback_is_an_error() {
    let aws = |listen: &str| {
        let text = format!("[[endpoints.aws]]\ninstance = \"a\"\ntoken-file = \"t\"\nlisten = \"{listen}\"");
        WorkerConfig::parse(&text, Path::new("worker.toml"))
    };
    for listen in ["127.0.0.1:1", "127.8.8.8:9911", "[::1]:9911", "[::ffff:127.0.0.1]:9911"] {
        assert!(aws(listen).is_ok(), "{listen}");
    }
    for listen in [
        "0.0.0.0:9911",
        "[::]:9911",
        "10.0.0.1:9911",
        "169.254.170.2:80",
        "[::ffff:10.0.0.1]:1",
        "localhost:1",
        "127.0.0.1:0",
    ] {
        assert!(aws(listen).is_err(), "{listen}");
    }
}

#[test]
fn worker_table_that_is_invalid_is_no_error_of_receivers() {
    let text = "[worker]\noutput = 1\ninstances = [\"b\"]\n[receivers.r]\ncomponent = \"r\"\ninstances = [\"a\"]";
    let errors = WorkerConfig::parse(text, Path::new("worker.toml")).unwrap_err();
    assert_eq!(errors.findings().len(), 1, "{}", errors.render(Colour::Never));
}

#[test]
fn finding_hides_a_join_string() {
    for text in [
        "[worker]\njoin = \"dj1.hunter2\"",
        "[worker]\njoin = dj1.hunter2",
        "worker.join = dj1.hunter2",
        "worker = { join = dj1.hunter2 }",
        "[worker.join]\nvalue = \"dj1.hunter2\"",
        "[worker.join]\nfile = dj1.hunter2",
        "[worker]\njoin = { env = \"dj1.hunter2=\" }",
    ] {
        let shown = WorkerConfig::parse(text, Path::new("worker.toml")).unwrap_err().render(Colour::Never);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn worker_file_is_loaded_with_absolute_paths() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let path = folder.path().join("worker.toml");
    #[expect(clippy::disallowed_methods, reason = "a file that only this test reads")]
    std::fs::write(&path, "[worker]\noutput = \"out\"").unwrap();
    let config = WorkerConfig::load(&path).unwrap();
    assert_eq!(config.publish.output, Some(std::path::absolute(folder.path()).unwrap().join("out")));
    assert!(matches!(WorkerConfig::load(&folder.path().join("none")), Err(ConfigErrors::Unreadable { .. })));
}

proptest! {
    #[test]
    fn parse_of_a_changed_worker_file_does_not_panic(
        at in 0..FULL.len(),
        remove in 0..40_usize,
        insert in r#"[\[\]{}="'\n ß1]{0,3}"#,
    ) {
        let changed: String =
            FULL.chars().take(at).chain(insert.chars()).chain(FULL.chars().skip(at + remove)).collect();
        if let Err(errors) = WorkerConfig::parse(&changed, Path::new("worker.toml")) {
            assert!(!errors.render(Colour::Never).is_empty());
        }
    }
}
