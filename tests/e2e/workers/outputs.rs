//! What commands print of workers and leases: JSON as its schema says, `--watch` through a restart, and completions.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use deputy_test_harness::TestEnvironment;
use deputy_test_servers::{boto, guest};
use serde_json::{Value, json};

use super::site::{GROUP, TestSite};
use crate::script::{ScriptedServer, lease};

/// What `deputy schema --output` prints.
const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/output.schema.json");

/// Validates outputs, each by its definition. No object may have a field that the schema lacks.
const VALIDATE: &str = "
import copy, json, os
from jsonschema import Draft202012Validator
schema = json.load(open(os.environ['SCHEMA']))
Draft202012Validator.check_schema(schema)
for definition in schema['$defs'].values():
    if 'properties' in definition:
        definition['additionalProperties'] = False
def faults(name, output):
    validator = Draft202012Validator({'$ref': '#/$defs/' + name, '$defs': schema['$defs']})
    return [error.json_path + ': ' + error.message for error in validator.iter_errors(output)]
outputs = json.load(open(os.environ['OUTPUTS']))
found = {name: faults(name, output) for name, output in outputs}
wrong = dict(outputs[0][1], schema=99, more=1)
print(json.dumps({'found': {name: all for name, all in found.items() if all}, 'wrong': faults(outputs[0][0], wrong)}))
";

#[test]
fn outputs_in_json_are_as_the_schema_says() {
    let script = ScriptedServer::new(|call| lease(call, Duration::from_secs(3600)));
    let mut site = TestSite::standard("");
    let component = guest("benign-obtain").unwrap();
    let lines = script.lines("api", "");
    site.home.append(&format!("[instances.api]\ncomponent = {component:?}\n{lines}"));
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    coordinator.wait_until("a lease", || coordinator.revision("api") == 1);
    let place = |name: &str| site.home.path("secrets").join(name).to_str().unwrap().to_owned();
    let (join, payload, backup) = (place("another-join"), place("got"), place("backup"));
    let (id, component) = (worker.id(), component.to_str().unwrap());
    let mut outputs = vec![("WorkerReport", serde_json::from_str::<Value>(&worker.published_files()).unwrap())];
    for (name, arguments) in [
        ("CoordinatorStatus", &["status"][..]),
        ("InstanceJson", &["status", "api"]),
        ("WorkersJson", &["workers"]),
        ("NewTokenJson", &["token", "create", "--group", GROUP, "--out", &join]),
        ("TokenList", &["token", "list"]),
        ("GetJson", &["get", "creds", "--out", &payload]),
        ("ObtainJson", &["obtain", "api"]),
        ("InstanceActionJson", &["renew", "api"]),
        ("ReloadReply", &["reload"]),
        ("CoordinatorCheckJson", &["check"]),
        ("ComponentsJson", &["components"]),
        ("DoctorJson", &["doctor"]),
        ("ExitCodesJson", &["exit-codes"]),
        ("InspectJson", &["inspect", component]),
        ("StateActionJson", &["state", "backup", &backup]),
        ("FailedJson", &["status", "unknown"]),
        ("WorkerActionJson", &["workers", "ban", &id]),
    ] {
        let run = site.run_command(&[arguments, &["--json"]].concat());
        let output =
            serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {}{}", run.stdout, run.stderr));
        outputs.push((name, output));
    }
    let token =
        outputs.iter().find(|(name, _)| *name == "NewTokenJson").unwrap().1["token"].as_str().unwrap().to_owned();
    let revoked = site.run_command(&["token", "revoke", &token, "--json"]);
    outputs.push(("RevokedTokenJson", serde_json::from_str(&revoked.stdout).unwrap()));
    let all = site.home.path("outputs.json");
    fs::write(&all, json!(outputs).to_string()).unwrap();
    let said = boto(VALIDATE, &[("SCHEMA", SCHEMA), ("OUTPUTS", all.to_str().unwrap())]).unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["found"], json!({}), "{outputs:#?}");
    assert_eq!(said["wrong"].as_array().unwrap().len(), 2, "a wrong version and an unknown field are found: {said}");
}

/// A command that watches, and what it prints.
fn watching(home: &TestEnvironment, arguments: &[&str]) -> (Child, impl Iterator<Item = Value> + use<>) {
    let mut command = home.command();
    let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    (child, lines.map(|line| serde_json::from_str(&line).unwrap()))
}

#[test]
fn outputs_watched_survive_a_restart_and_names_are_completed() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let (mut workers, mut of_coordinator) = watching(&site.home, &["workers", "--watch", "--json"]);
    let socket = site.home.path("worker-state/worker.sock");
    let arguments = ["worker", "status", "--socket", socket.to_str().unwrap(), "--watch", "--json"];
    let (mut status, mut of_worker) = watching(&site.home, &arguments);
    let mut connected = || of_coordinator.next().unwrap()["workers"][0]["connected"] == true;
    assert!(connected());
    let first = of_worker.next().unwrap()["pid"].as_u64();
    assert_eq!(first, Some(u64::from(worker.pid())));

    coordinator.kill();
    worker.kill();
    let _coordinator = site.coordinator();
    let worker = site.restart_worker("worker");
    while !connected() {}
    while of_worker.next().unwrap()["pid"].as_u64() == first {}
    for child in [&mut workers, &mut status] {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    // A shell asks for the last word.
    let offered = |words: &[&str]| {
        let config = site.home.path("deputy.toml");
        let words = [&["deputy", "--config", config.to_str().unwrap()], words].concat();
        let mut command = site.home.program();
        command.env("DEPUTY_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string());
        let output = command.arg("--").args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let id = worker.id();
    assert_eq!(offered(&["workers", "ban", &id[..1]]), id);
    assert_eq!(offered(&["workers", "--group", "a"]), GROUP);
    assert_eq!(offered(&["workers", "--instance", "c"]), "creds");
}
