//! The AWS CLI beside a worker that runs: it finds credentials in every way that a worker has for it, and those that come
//! next.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use deputy_test_harness::exit;
use deputy_test_servers::{Seaweed, aws, free_ports, guest, tool};
use serde_json::Value;

use super::site::{GROUP, TestSite};
use crate::{s3, servers};

/// What it copies.
const TEXT: &str = "written by the AWS CLI";

/// How a program finds its credentials.
struct Way {
    name: &'static str,
    /// What the CLI calls it.
    kind: &'static str,
    /// The profile that it names.
    profile: Option<&'static str>,
    environment: Vec<(&'static str, String)>,
}

/// A worker's machine.
struct Machine {
    site: TestSite,
    listen: String,
}

impl Machine {
    /// With `s3`, obtained of SeaweedFS, and all that gives it to programs.
    fn new() -> Self {
        let mut site = TestSite::new("");
        let [port] = free_ports().unwrap();
        let (listen, at) = (format!("127.0.0.1:{port}"), servers::seaweed().endpoint());
        s3::put_key(&site.home, Seaweed::SECRET_KEY);
        let (provider, receiver) = (guest("s3-sts").unwrap(), guest("aws-credentials").unwrap());
        let lines = s3::lines("s3", &at, &format!("deliver-to = [\"{GROUP}\"]"));
        site.home.append(&format!(
            "[instances.s3]\ncomponent = {provider:?}\n{lines}\n\
             [groups.{GROUP}.receivers.aws]\ncomponent = {receiver:?}\ninstances = [\"s3\"]\n\
             settings = {{ region = \"us-east-1\", \"endpoint.s3\" = \"{at}\", \"profile.s3\" = \"lab\" }}\n"
        ));
        let token = site.home.path("secrets/endpoint.token");
        site.configure(
            "worker",
            &format!(
                "[endpoints.socket]\n[[endpoints.aws]]\nlisten = \"{listen}\"\ninstance = \"s3\"\ntoken-file = {token:?}"
            ),
        );
        Self { site, listen }
    }

    /// A file that the receiver published.
    fn file(&self, name: &str) -> PathBuf {
        self.site.link("worker", "aws").join(name)
    }

    /// The key that is published, if one is. What belongs to it must not be shown.
    fn key(&self) -> Option<String> {
        let published: Value = serde_json::from_str(&fs::read_to_string(self.file("s3.json")).ok()?).unwrap();
        for part in ["SecretAccessKey", "SessionToken"] {
            let value = published[part].as_str().unwrap();
            self.site.home.register_secret(&value[..value.len().min(40)]);
        }
        Some(published["AccessKeyId"].as_str().unwrap().to_owned())
    }

    fn ways(&self) -> [Way; 4] {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let (at, own) = (servers::seaweed().endpoint(), self.site.home.path("own-config"));
        let process = format!("credential_process = cat {}", text(self.file("s3.json")));
        fs::write(&own, format!("[profile s3]\n{process}\nregion = us-east-1\nendpoint_url = {at}\n")).unwrap();
        let place = || vec![("AWS_ENDPOINT_URL", at.clone()), ("AWS_DEFAULT_REGION", "us-east-1".to_owned())];
        let mut asked = place();
        asked.push(("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{}/v1/credentials/s3", self.listen)));
        let token = text(self.site.home.path("secrets/endpoint.token"));
        asked.push(("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token));
        let files = vec![
            ("AWS_SHARED_CREDENTIALS_FILE", text(self.file("credentials"))),
            ("AWS_CONFIG_FILE", text(self.file("config"))),
        ];
        [
            Way { name: "file", kind: "shared-credentials-file", profile: Some("lab"), environment: files },
            Way {
                name: "process",
                kind: "custom-process",
                profile: Some("s3"),
                environment: vec![("AWS_CONFIG_FILE", text(own))],
            },
            Way { name: "endpoint", kind: "container-role", profile: None, environment: asked },
            Way { name: "exec", kind: "env", profile: None, environment: place() },
        ]
    }

    /// Runs the CLI. It knows what this way gives it and nothing else.
    #[track_caller]
    fn cli(&self, way: &Way, arguments: &[&str]) -> String {
        let profile = way.profile.map(|profile| ["--profile", profile]);
        let arguments: Vec<&str> = profile.iter().flatten().chain(arguments).copied().collect();
        let environment: Vec<(&str, &str)> =
            way.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if way.name != "exec" {
            return aws(&arguments, &environment).unwrap();
        }
        let mut command = self.site.home.program();
        command.args(["exec", "s3", "--config"]).arg(self.site.home.path("worker.toml"));
        command.arg("--state").arg(self.site.home.path("worker-state")).arg("--").arg(tool("aws").unwrap());
        command.args(&arguments).env("PATH", "/usr/bin:/bin").env("AWS_CONFIG_FILE", "/dev/null").envs(environment);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Has it say where its key is from, and copy an object there and back.
    fn works(&self, way: &Way, key: &str, round: usize) {
        let shown = self.cli(way, &["configure", "list"]);
        let line = shown.lines().find(|line| line.trim_start().starts_with("access_key")).unwrap();
        let hidden = format!("*{}", &key[key.len() - 4..]);
        assert!(line.contains(&hidden) && line.contains(way.kind), "{}: {line}", way.name);
        let (file, object) = (self.site.home.path("copied"), format!("{}-{round}", way.name));
        fs::write(&file, TEXT).unwrap();
        let place = format!("s3://bucket/cli/{object}");
        self.cli(way, &["s3", "cp", file.to_str().unwrap(), &place]);
        let listed = self.cli(way, &["s3", "ls", "s3://bucket/cli/"]);
        assert!(listed.lines().any(|line| line.ends_with(&format!(" {} {object}", TEXT.len()))), "{listed}");
        assert_eq!(self.cli(way, &["s3", "cp", &place, "-"]), TEXT);
    }
}

#[test]
fn worker_serves_the_aws_cli_through_a_rotation() {
    let machine = Machine::new();
    let coordinator = machine.site.coordinator();
    let worker = machine.site.worker("worker");
    worker.wait_until("the first is published", || machine.key().is_some());
    let (ways, first) = (machine.ways(), machine.key().unwrap());
    for way in &ways {
        machine.works(way, &first, 1);
    }
    machine.site.run_command(&["renew", "s3"]).ends_with(exit::OK);
    worker.wait_until("the second is published", || machine.key().as_ref() != Some(&first));
    let second = machine.key().unwrap();
    // All of it is the worker's by now.
    coordinator.kill();
    for way in &ways {
        machine.works(way, &second, 2);
    }
}
