//! The folder `examples`: each configuration is valid, and runs where its server can be had. The JSON Schemas accept what the
//! program accepts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use deputy_test_harness::{TestEnvironment, copy_compiled, exit};
use deputy_test_servers::{Seaweed, boto, free_ports, guest};
use serde_json::{Value, json};

use crate::first_hour::{Daemon, EmptyFolder};
use crate::s3::object_at;
use crate::servers;
use crate::sts::web_identity;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

/// The components that examples name.
const COMPONENTS: [&str; 4] = ["aws-credentials", "files", "oauth2-javascript", "s3-sts"];

/// The state of all examples: a component is compiled once, and one in JavaScript only for the examples that name it.
fn state(file: &Path) -> String {
    let home = match fs::read_to_string(file).unwrap().contains("oauth2-javascript") {
        true => TestEnvironment::with_compiled("oauth2-javascript"),
        false => TestEnvironment::in_target("e2e-state"),
    };
    home.state().to_str().unwrap().to_owned()
}

/// Every file of this kind, with its path below the folder.
fn files(kind: &str) -> Vec<PathBuf> {
    let folders = fs::read_dir(EXAMPLES).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(kind)).collect();
    files.sort();
    files
}

/// An example in a folder of its own, with a secret in each place that it names, and with these changes.
fn example(file: &Path, changes: &[(&str, &str)]) -> EmptyFolder {
    let folder = EmptyFolder::new();
    fs::create_dir(folder.path("secrets")).unwrap();
    let key = json!({"AccessKeyId": Seaweed::ACCESS_KEY, "SecretAccessKey": Seaweed::SECRET_KEY}).to_string();
    for (name, contents) in
        [("aws-key.json", key.as_str()), ("token", "a-token"), ("client-secret", "a-secret"), ("join", "a-join")]
    {
        folder.put_private(&format!("secrets/{name}"), contents);
    }
    let mut text = fs::read_to_string(file).unwrap();
    for component in COMPONENTS {
        let path = guest(component).unwrap();
        text = text.replace(&format!("component = \"{component}\""), &format!("component = {path:?}"));
    }
    // What only exists in its container or service.
    let here = folder.path("secrets");
    for mounted in ["\"/secrets/", "\"/join/"] {
        text = text.replace(mounted, &format!("\"{}/", here.display()));
    }
    text = text.replace("{ credential = \"join\" }", "{ file = \"secrets/join\" }");
    text = text.replace("credential = \"aws-key\"", "file = \"secrets/aws-key.json\"");
    text = text.replace("key = { credential = \"state.key\" }\n", "");
    for (old, new) in changes {
        assert!(text.contains(old), "{old} in {}", file.display());
        text = text.replace(old, new);
    }
    fs::write(folder.path(file.file_name().unwrap().to_str().unwrap()), text).unwrap();
    folder
}

#[test]
fn examples_of_coordinators_pass_check() {
    let found = files("deputy.toml");
    assert!(found.len() >= 9, "{found:?}");
    for file in found {
        let checked = example(&file, &[]).run(&["check", "--state", &state(&file)], exit::OK);
        assert!(checked.stderr.is_empty(), "{}: {}", file.display(), checked.stderr);
    }
}

#[test]
fn examples_of_workers_pass_check() {
    let found = files("worker.toml");
    assert!(found.len() >= 3, "{found:?}");
    for file in found {
        let folder = example(&file, &[]);
        let checked = folder.run(&["check", "--config", "worker.toml", "--state", &state(&file), "--json"], exit::OK);
        let checked: Value = serde_json::from_str(&checked.stdout).unwrap();
        assert!(checked["warnings"].is_null(), "{}: {}", file.display(), checked["warnings"]);
    }
}

#[test]
fn examples_run_against_their_servers() {
    let endpoint = servers::seaweed().endpoint();
    let file = Path::new(EXAMPLES).join("s3-seaweedfs/deputy.toml");
    let s3 = example(&file, &[("http://127.0.0.1:8333", &endpoint)]);
    s3.run(&["obtain", "s3", "--state", &state(&file), "--out", "payload.json"], exit::OK);
    let read = object_at(&endpoint, &s3.read("payload.json"), "of-an-example").unwrap();
    assert_eq!(read, "written with obtained credentials\n");

    let url = servers::oauth2().token_url();
    let origin = url.strip_suffix("/token").unwrap();
    let granted = format!("allow = \"{origin}\"\nnetworks = [\"loopback\"]");
    let changes = [
        ("token-url = \"https://login.example.com/token\"", format!("token-url = \"{url}\"")),
        ("allow = \"https://login.example.com\"", granted),
    ];
    let changes: Vec<_> = changes.iter().map(|(old, new)| (*old, new.as_str())).collect();
    let file = Path::new(EXAMPLES).join("oauth2/deputy.toml");
    let api = example(&file, &changes);
    let token = api.run(&["obtain", "api", "--state", &state(&file), "--reveal"], exit::OK).stdout;
    assert_eq!(token.trim().split('.').count(), 3, "a JSON Web Token");
}

#[test]
fn example_of_web_identity_runs_against_an_sts() {
    // moto knows this call, and looks at the token's form alone.
    let endpoint = servers::moto().endpoint();
    let file = Path::new(EXAMPLES).join("s3-web-identity/deputy.toml");
    let changes = [
        (
            "allow = \"https://sts.eu-west-1.amazonaws.com\"",
            format!("allow = \"{endpoint}\"\nnetworks = [\"loopback\"]"),
        ),
        ("region = \"eu-west-1\"", format!("region = \"eu-west-1\"\nendpoint = \"{endpoint}\"")),
    ];
    let changes: Vec<_> = changes.iter().map(|(old, new)| (*old, new.as_str())).collect();
    let s3 = example(&file, &changes);
    s3.put_private("secrets/token", &web_identity());
    s3.run(&["obtain", "s3", "--state", &state(&file), "--out", "payload.json"], exit::OK);
    let payload: Value = serde_json::from_str(&s3.read("payload.json")).unwrap();
    assert!(payload["AccessKeyId"].as_str().unwrap().starts_with("ASIA"), "moto's");
}

/// Reads an object as a job does that has nothing but the worker's file.
const READ: &str = "
import boto3, os
s3 = boto3.Session(profile_name=os.environ['PROFILE']).client('s3', endpoint_url=os.environ['ENDPOINT'])
print(s3.get_object(Bucket='bucket', Key='of-two-groups')['Body'].read().decode())
";

#[test]
fn example_of_two_groups_gives_each_its_own_leases() {
    let endpoint = servers::seaweed().endpoint();
    let ports = free_ports::<2>().unwrap();
    let [link, health] = ports.map(|port| format!("127.0.0.1:{port}"));
    let changes = [
        ("0.0.0.0:8271", link.clone()),
        ("deputy.example.com:8271", link),
        ("127.0.0.1:8270", health),
        (
            "allow = \"https://sts.eu-west-1.amazonaws.com\"",
            format!("allow = \"{endpoint}\"\nnetworks = [\"loopback\"]"),
        ),
        ("region = \"eu-west-1\"", format!("region = \"us-east-1\"\nendpoint = \"{endpoint}\"")),
        ("regions = [\"eu-west-1\"]", "regions = [\"us-east-1\"]".to_owned()),
        ("arn:aws:iam::123456789012:role/etl", Seaweed::ROLE_ARN.to_owned()),
        ("arn:aws:iam::123456789012:role/analytics", Seaweed::ROLE_ARN.to_owned()),
    ];
    let changes: Vec<_> = changes.iter().map(|(old, new)| (*old, new.as_str())).collect();
    let folder = Path::new(EXAMPLES).join("two-groups");
    let compiled = TestEnvironment::compiled("e2e-state", &["s3-sts", "aws-credentials"]);
    let coordinator = example(&folder.join("deputy.toml"), &changes);
    copy_compiled(&compiled, &coordinator.path("state"));
    let log = fs::File::create(coordinator.path("run.log")).unwrap();
    let _running = Daemon(coordinator.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    let payload = ["get", "s3-write", "--wait", "60s", "--out", "payload.json"];
    coordinator.run(&payload, exit::OK);
    object_at(&endpoint, &coordinator.read("payload.json"), "of-two-groups").unwrap();

    for (group, profiles) in [("etl", &["[default]", "[s3-read]", "[s3-write]"][..]), ("analytics", &["[s3-read]"])] {
        coordinator.run(&["token", "create", "--group", group, "--out", &format!("{group}.join")], exit::OK);
        let worker = example(&folder.join("worker.toml"), &[]);
        worker.put_private("secrets/join", &coordinator.read(&format!("{group}.join")));
        copy_compiled(&compiled, &worker.path("worker-state"));
        worker.run(&["worker", "--config", "worker.toml", "--once", "--timeout", "60s"], exit::OK);
        let credentials = worker.read("published/aws/credentials");
        let mut found: Vec<&str> = credentials.lines().filter(|line| line.starts_with('[')).collect();
        found.sort_unstable();
        assert_eq!(found, profiles, "{group}");
        assert_eq!(worker.mode("published/aws/credentials"), 0o640);
        let path = worker.path("published/aws/credentials");
        let variables = [
            ("AWS_SHARED_CREDENTIALS_FILE", path.to_str().unwrap()),
            ("ENDPOINT", endpoint.as_str()),
            ("PROFILE", "s3-read"),
        ];
        assert_eq!(boto(READ, &variables).unwrap().trim(), "written with obtained credentials");
    }
}

/// Prints the commands of the services that run Deputy, and fails where a file or volume is missing.
const COMPOSE: &str = "
import os, pathlib, yaml
folder = pathlib.Path(os.environ['FOLDER'])
compose = yaml.safe_load((folder / 'compose.yaml').read_text())
assert set(compose) == {'services', 'volumes'}, compose.keys()
mounted = set()
for name, service in compose['services'].items():
    assert set(service.get('depends_on', [])) <= set(compose['services']), name
    for volume in service['volumes']:
        source, target = volume.split(':')[:2]
        assert target.startswith('/'), volume
        if source.startswith('./'):
            # What the operator makes has its command in the file's head.
            assert source in ('./secrets', './join') or (folder / source).is_file(), volume
        else:
            assert source in compose['volumes'], volume
            mounted.add(source)
    if service['image'] == 'deputy':
        print(service['command'])
assert mounted == set(compose['volumes']), 'a volume that nothing mounts'
with_keys = [name for name, service in compose['services'].items() if './secrets' in str(service['volumes'])]
assert with_keys == ['coordinator'], with_keys
# The application names no profile, so one without a name has to be there.
assert 'AWS_PROFILE' in compose['services']['app']['environment'] or 'default = ' in (folder / 'deputy.toml').read_text()
";

#[test]
fn example_of_compose_has_what_it_mounts_and_runs() {
    let printed = boto(COMPOSE, &[("FOLDER", &format!("{EXAMPLES}/compose"))]).unwrap();
    let commands: Vec<&str> = printed.lines().collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        EmptyFolder::new().run(&arguments, exit::OK);
    }
}

/// All blocks of TOML of a text, as one document.
fn blocks(text: &str) -> String {
    let blocks = text.split("```toml\n").skip(1).map(|block| block.split("\n```").next().unwrap());
    blocks.flat_map(|block| [block, "\n"]).collect()
}

/// What the schema of each kind has to accept.
static ACCEPTED: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    let of_examples =
        |kind: &'static str| files(kind).into_iter().map(move |file| (kind, fs::read_to_string(file).unwrap()));
    let page = |name: &str| fs::read_to_string(format!("{DOCS}/{name}.md")).unwrap();
    let (reference, workers) = (page("configuration"), page("workers"));
    let (coordinator, worker) = reference.split_once("\n# worker.toml\n").unwrap();
    let (of_coordinator, of_worker) = workers.split_once("\n## On the worker\n").unwrap();
    let readme = fs::read_to_string(format!("{DOCS}/../README.md")).unwrap();
    let pages = [
        ("deputy.toml", blocks(coordinator)),
        ("worker.toml", blocks(worker)),
        ("deputy.toml", blocks(&readme)),
        ("deputy.toml", blocks(&page("operations"))),
        ("deputy.toml", blocks(&page("hadoop"))),
        ("deputy.toml", blocks(&page("kafka"))),
        ("worker.toml", blocks(&page("endpoints"))),
        ("deputy.toml", blocks(of_coordinator)),
        ("worker.toml", blocks(of_worker)),
    ];
    of_examples("deputy.toml").chain(of_examples("worker.toml")).chain(pages).collect()
});

/// Prints a line for each document that the schema refuses.
const VALIDATE: &str = "
import json, os, jsonschema
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib # before Python 3.11
with open(os.environ['INPUT']) as file:
    given = json.load(file)
for schema in given['schemas'].values():
    jsonschema.Draft7Validator.check_schema(schema)
for number, (kind, text) in enumerate(given['documents']):
    document = tomllib.loads(text)
    errors = list(jsonschema.Draft7Validator(given['schemas'][kind]).iter_errors(document))
    if errors:
        print(number, errors[0].json_path, errors[0].message[:200])
";

#[test]
fn schema_accepts_what_is_valid_and_nothing_else() {
    let refused = [
        ("deputy.toml", "[instances.a]\ncompnent = \"a.wasm\""),
        ("deputy.toml", "[coordinator]\ncalls = \"many\""),
        ("deputy.toml", "[instances.a]\nobtain = \"sometimes\""),
        ("deputy.toml", "[[instances.a.http]]\nmethods = \"POST\""),
        ("worker.toml", "[worker]\nexpired = \"drop\""),
        ("worker.toml", "[[endpoints.aws]]\nport = 9911"),
    ];
    let accepted = ACCEPTED.iter().map(|(kind, text)| (*kind, text.as_str()));
    let documents: Vec<_> = accepted.chain(refused).collect();
    let folder = EmptyFolder::new();
    let schema =
        |arguments: &[&str]| -> Value { serde_json::from_str(&folder.run(arguments, exit::OK).stdout).unwrap() };
    let schemas = json!({"deputy.toml": schema(&["schema"]), "worker.toml": schema(&["schema", "--worker"])});
    let input = json!({"schemas": schemas, "documents": documents}).to_string();
    fs::write(folder.path("input.json"), input).unwrap();
    let input = folder.path("input.json");
    let found = boto(VALIDATE, &[("INPUT", input.to_str().unwrap())]).unwrap();
    let numbers: Vec<usize> = found.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    let expected: Vec<usize> = (ACCEPTED.len()..documents.len()).collect();
    assert_eq!(numbers, expected, "{found}");
}
