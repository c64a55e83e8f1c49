//! Many instances of `s3-sts` in one home, and all that shows them.

use std::fs;

use deputy_coordinator::status::CoordinatorStatus;
use deputy_test_harness::{CommandOutput, RunningCoordinator, TestEnvironment, exit, is_loaded};
use deputy_test_servers::{Seaweed, free_ports, get, guest};
use serde_json::Value;

use crate::s3;

/// A home with instances, whose audit is in `audit.jsonl`.
pub(crate) struct Fleet {
    pub(crate) home: TestEnvironment,
    names: Vec<String>,
    health: u16,
    socket: String,
}

/// What is given out for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssuedTokens {
    pub(crate) revision: u64,
    pub(crate) payload: String,
}

impl Fleet {
    /// Without instances yet. `per_minute` and `burst` are the rate limit of each upstream; `coordinator` is what stands in
    /// `[coordinator]`.
    pub(crate) fn new(per_minute: u32, burst: u32, coordinator: &str) -> Self {
        let [health] = free_ports().unwrap();
        let mut home = s3::with_key(TestEnvironment::new(), Seaweed::SECRET_KEY);
        let socket = home.path("control.sock").display().to_string();
        home.prepend(&format!(
            "audit = \"audit.jsonl\"\n\
             [coordinator]\ncontrol = \"{socket}\"\nhealth = \"127.0.0.1:{health}\"\n{coordinator}\n\
             [upstreams.default]\ncalls-per-minute = {per_minute}\nburst = {burst}\n"
        ));
        Self { home, names: Vec::new(), health, socket }
    }

    /// With `count` more at this endpoint. `lines` is what stands below `[instances.NAME]`.
    pub(crate) fn with(mut self, prefix: &str, count: usize, endpoint: &str, lines: &str) -> Self {
        let component = guest("s3-sts").unwrap();
        let names: Vec<String> = (0..count).map(|number| format!("{prefix}-{number:03}")).collect();
        let instance = |name: &String| {
            format!("[instances.{name}]\ncomponent = {component:?}\n{}\n", s3::lines(name, endpoint, lines))
        };
        self.home.append(&names.iter().map(instance).collect::<String>());
        self.names.extend(names);
        self
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// What is given out for an instance now, as an operator gets it. Nothing else may show it.
    pub(crate) fn issued(&self, name: &str) -> IssuedTokens {
        let out = format!("secrets/{name}.json");
        let run = self.run_command(&["get", name, "--wait", "30s", "--json", "--out", &out]).ends_with(exit::OK);
        let payload = fs::read_to_string(self.home.path(&out)).unwrap();
        let parsed: Value = serde_json::from_str(&payload).unwrap();
        for part in ["SecretAccessKey", "SessionToken"] {
            // Each part of a token is looked for. All tokens of a server share the first part, so tokens that were not
            // given out are found as well.
            let mut parts = parsed[part].as_str().unwrap().split('.').filter(|part| part.len() >= 20).peekable();
            assert!(parts.peek().is_some(), "{part} is too short to be looked for");
            parts.for_each(|part| self.home.register_secret(part));
        }
        IssuedTokens { revision: run.json()["revision"].as_u64().unwrap(), payload }
    }

    /// Asks the coordinator something, by its socket: a large configuration need not be read for each question.
    pub(crate) fn run_command(&self, args: &[&str]) -> CommandOutput {
        self.home.run_unchecked(&[args, &["--socket", &self.socket]].concat())
    }

    /// Whether it answers, and has loaded its components.
    pub(crate) fn has_started(&self) -> bool {
        let run = self.run_command(&["status", "--json"]);
        run.code == Some(exit::OK) && is_loaded(&run.parsed())
    }

    /// What it holds.
    pub(crate) fn status(&self) -> CoordinatorStatus {
        self.run_command(&["status", "--json"]).ends_with(exit::OK).parsed()
    }

    /// Waits until every instance has a lease that is good.
    #[track_caller]
    pub(crate) fn wait_until_ready(&self, running: &RunningCoordinator<'_>) {
        running.wait_until("all are ready", || self.status().ready);
    }

    /// Asks in every way: as an operator, a probe, a scraper. Returns what the scraper gets.
    pub(crate) fn metrics(&self) -> String {
        drop(self.status());
        let name = self.names().next().unwrap();
        for args in [&["status"][..], &["status", name], &["status", name, "--json"], &["get", name, "--json"]] {
            drop(self.run_command(args));
        }
        let mut text = String::new();
        for path in ["/livez", "/readyz", "/metrics"] {
            text = get(self.health, path).unwrap().body;
            assert!(!text.is_empty(), "{path} says nothing");
            self.home.record_output("probes", &text);
        }
        text
    }

    /// What the health port says at this path.
    pub(crate) fn probe(&self, path: &str) -> String {
        get(self.health, path).unwrap().body
    }

    /// Sees that no secret is in any log, audit, state, answer or metric, of those that were given out neither.
    #[track_caller]
    pub(crate) fn assert_no_secret_leaked(&self) {
        for file in ["run.log", "audit.jsonl", "said/who-asked-stdout", "said/probes"] {
            assert!(fs::metadata(self.home.path(file)).unwrap().len() > 0, "{file} is empty");
        }
        if let Some(leak) = self.home.leak(b"", b"") {
            panic!("{leak}");
        }
    }
}
