//! The component of a recorded script: the instance as its operator wrote it, with made-up secrets.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use deputy_core::grant::{HttpRule, PathRules};
use deputy_core::toml_string;
use toml::{Table, Value};

use super::toml_text::{inline, key};

/// The instance as TOML has it.
#[derive(Debug, Clone, Default)]
pub struct RecordedInstance(Table);

/// Keys that a test has no use for, and those that are written on their own.
const OMITTED_KEYS: [&str; 14] = [
    "component",
    "deliver-to",
    "enabled",
    "file",
    "http",
    "kind",
    "prefer",
    "secrets",
    "service",
    "settings",
    "sha256",
    "state",
    "tcp",
    "upstream",
];
/// Where a secret comes from.
const SOURCES: [&str; 4] = ["command", "credential", "env", "file"];
/// Servers of a test have certificates of its own.
const ROOTS: &str = "roots";

impl RecordedInstance {
    /// The instance of a configuration, as it is written there. The configuration is valid.
    pub fn of_configuration(text: &str, name: &str) -> Self {
        let mut config: Table = toml::from_str(text).unwrap_or_default();
        let Some(Value::Table(mut instances)) = config.remove("instances") else { return Self::default() };
        match instances.remove(name) {
            Some(Value::Table(instance)) => Self(instance),
            _ => Self::default(),
        }
    }

    /// An instance with settings and rules alone.
    pub fn of_rules(settings: &BTreeMap<String, String>, rules: &[HttpRule]) -> Self {
        let texts = |texts: &mut dyn Iterator<Item = String>| Value::Array(texts.map(Value::String).collect());
        let rule = |rule: &HttpRule| {
            let mut written = Table::from_iter([("allow".to_owned(), Value::String(rule.pattern.to_string()))]);
            if let PathRules::Prefixes(paths) = &rule.paths {
                written.insert("paths".to_owned(), texts(&mut paths.iter().map(ToString::to_string)));
            }
            if !rule.networks.is_empty() {
                written.insert("networks".to_owned(), texts(&mut rule.networks.iter().map(ToString::to_string)));
            }
            Value::Table(written)
        };
        let settings = settings.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
        Self(Table::from_iter([
            ("settings".to_owned(), Value::Table(settings.collect())),
            ("http".to_owned(), Value::Array(rules.iter().map(rule).collect())),
        ]))
    }

    /// The lines of the script. `secrets` are made up, and `change` replaces what is real in a text.
    pub(super) fn lines(
        &self,
        component: &str,
        settings: &BTreeMap<String, String>,
        secrets: &BTreeMap<String, String>,
        change: &dyn Fn(&str) -> String,
    ) -> String {
        let mut lines = format!("[instance]\ncomponent = {}\n", toml_string(component));
        for (name, value) in self.0.iter().filter(|(name, _)| !OMITTED_KEYS.contains(&name.as_str())) {
            push(&mut lines, name, &inline(value, change));
        }
        if !settings.is_empty() {
            lines.push_str("\n[instance.settings]\n");
        }
        for (name, value) in settings {
            push(&mut lines, name, &toml_string(value));
        }
        for (name, secret) in self.table("secrets") {
            writeln!(lines, "\n[instance.secrets.{}]", key(name)).ok();
            push(&mut lines, "value", &toml_string(secrets.get(name).map_or("mock", String::as_str)));
            let grants = secret.as_table().into_iter().flatten();
            for (name, value) in grants.filter(|(name, _)| !SOURCES.contains(&name.as_str())) {
                push(&mut lines, name, &inline(value, change));
            }
        }
        if self.0.contains_key("state") {
            lines.push_str("\n[instance.state]\n");
        }
        for rules in ["http", "tcp"] {
            for rule in self.0.get(rules).and_then(Value::as_array).into_iter().flatten() {
                writeln!(lines, "\n[[instance.{rules}]]").ok();
                for (name, value) in rule.as_table().into_iter().flatten().filter(|(name, _)| *name != ROOTS) {
                    push(&mut lines, name, &inline(value, change));
                }
            }
        }
        lines
    }

    fn table(&self, name: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.0.get(name).and_then(Value::as_table).into_iter().flatten()
    }
}

/// Writing to a string does not fail.
fn push(lines: &mut String, name: &str, value: &str) {
    writeln!(lines, "{} = {value}", key(name)).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
        # hunter2
        [instances.api]
        component = "elsewhere.wasm"
        deliver-to = ["etl"]
        limits = { memory = "8MiB" }
        settings = { scope = "read", secret-name = "x" }
        [instances.api.secrets.client-secret]
        file = "hunter2"
        hmac-sha256 = true
        [[instances.api.http]]
        allow = "https://a.example"
        roots = "ca.pem"
        headers = { authorization = { secret = "client-secret", prefix = "Bearer " } }
    "#;

    #[test]
    fn record_writes_the_instance_without_sources() {
        let instance = RecordedInstance::of_configuration(CONFIG, "api");
        let settings = BTreeMap::from([("scope".to_owned(), "read".to_owned())]);
        let secrets = BTreeMap::from([("client-secret".to_owned(), "mock-client-secret".to_owned())]);
        let lines = instance.lines("../a.wasm", &settings, &secrets, &str::to_owned);
        assert_eq!(
            lines,
            r#"[instance]
component = "../a.wasm"
limits = { memory = "8MiB" }

[instance.settings]
scope = "read"

[instance.secrets.client-secret]
value = "mock-client-secret"
hmac-sha256 = true

[[instance.http]]
allow = "https://a.example"
headers = { authorization = { prefix = "Bearer ", secret = "client-secret" } }
"#
        );
    }

    #[test]
    fn record_writes_the_rules_of_a_command_line() {
        let rule = HttpRule {
            pattern: "http://127.0.0.1:8080".parse().unwrap(),
            methods: Vec::new(),
            paths: PathRules::Prefixes(vec!["/token".parse().unwrap()]),
            overrides: Vec::new(),
            networks: vec!["loopback".parse().unwrap()],
            send: deputy_core::grant::RequestOptions::default(),
        };
        let instance = RecordedInstance::of_rules(&BTreeMap::new(), &[rule]);
        let lines = instance.lines("a.wasm", &BTreeMap::new(), &BTreeMap::new(), &str::to_owned);
        assert!(
            lines.contains("allow = \"http://127.0.0.1:8080\"\nnetworks = [\"loopback\"]\npaths = [\"/token\"]\n"),
            "{lines}"
        );
    }
}
