//! The lines that failures of components name.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::Path;

use deputy_config::{CoordinatorFile, SettingsOwner, WorkerConfig};

const COORDINATOR: &str = r#"
[coordinator]
listen = "127.0.0.1:8271"

[instances.b]
component = "b.wasm"
deliver-to = ["etl"]
settings = { region = "eu-west-1", "profile.x" = "y" }

[instances.a]
component = "a.wasm"

[instances.a.settings]
region = """
two
lines"""
"ключ" = "x"
last = "x"

[groups.etl.receivers.files]
component = "files.wasm"
instances = ["b"]
[groups.etl.receivers.files.settings]
"template.a" = "{{ b.AccesKeyId }}"
"#;

fn instance(name: &str) -> SettingsOwner {
    SettingsOwner::Instance(name.parse().unwrap())
}

#[test]
fn setting_lines_of_a_coordinator() {
    let config = CoordinatorFile::parse(COORDINATOR, Path::new("etc/deputy.toml")).unwrap();
    let find =
        |owner: &SettingsOwner, setting: &str| config.setting_lines.find(owner, setting).map(|it| it.to_string());
    let files = SettingsOwner::GroupReceiver("etl".parse().unwrap(), "files".parse().unwrap());
    for (owner, setting, line) in [
        (instance("b"), "region", 8),
        (instance("b"), "profile.x", 8),
        (instance("b"), "absent", 5),
        (instance("a"), "region", 14),
        (instance("a"), "ключ", 17),
        (instance("a"), "last", 18),
        (instance("a"), "component", 10),
        (files.clone(), "template.a", 24),
        (files, "template", 20),
    ] {
        assert_eq!(find(&owner, setting), Some(format!("etc/deputy.toml:{line}")), "{owner:?} {setting}");
    }
    assert_eq!(find(&instance("c"), "region"), None);
}

#[test]
fn setting_lines_of_a_worker() {
    let text = "[worker]\noutput = \"/run\"\n\n[receivers.env]\ncomponent = \"files.wasm\"\ninstances = [\"s3\"]\n\
                settings.\"env.a\" = \"A={{ s4.payload }}\"\n";
    let config = WorkerConfig::parse(text, Path::new("worker.toml")).unwrap();
    let env = SettingsOwner::WorkerReceiver("env".parse().unwrap());
    assert_eq!(config.setting_lines.find(&env, "env.a").unwrap().to_string(), "worker.toml:7");
    assert_eq!(config.setting_lines.find(&env, "env.b").unwrap().to_string(), "worker.toml:4");
}
