//! `cargo xtask demo`: a sandboxed provider obtains real S3 credentials, another program uses them, a coordinator keeps
//! them fresh, and three workers apply them. `cargo xtask demo hadoop` shows the same with Kerberos, HDFS and the services
//! around it; `cargo xtask demo replicas` shows several coordinators.

mod daemon;
pub(crate) mod hadoop;
mod reading;
pub(crate) mod replicas;
mod rotation;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use deputy_test_servers::{Seaweed, boto};
use serde_json::Value;

use crate::digest::write;
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;
use crate::{guests, tools};

/// Another demonstration.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Show {
    Hadoop,
    Replicas,
}

/// What the independent client does. It knows AWS's configuration file, whose `credential_process` prints what Deputy
/// brought back, and nothing of Deputy or of the administrator's key.
const CLIENT: &str = "
import boto3, os
session = boto3.Session(profile_name='demo')
s3 = session.client('s3', endpoint_url=os.environ['ENDPOINT'])
s3.create_bucket(Bucket='demo')
s3.put_object(Bucket='demo', Key='greeting', Body=b'Good morning from a worker without a key.')
body = s3.get_object(Bucket='demo', Key='greeting')['Body'].read().decode()
print(session.get_credentials().access_key)
print(body)
";

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    tools::install_python(workspace)?;
    guests::build_connectors(workspace)?;
    let deputy = build(workspace)?;
    let step = Step::begin("seaweedfs", "starting a real S3 with a real STS, on free ports of this machine");
    let seaweed = Seaweed::start().doing(|| "starting SeaweedFS".into())?;
    step.end(format!("ready at {}", seaweed.endpoint()));

    // The server's own folder: it ends with the server, also when this program is interrupted.
    let folder = seaweed.server().folder().join("demo");
    configure(workspace, &folder, &seaweed)?;
    let call = |arguments: &[&str]| Run::new(&deputy).args(["--config", "deputy.toml"]).args(arguments).dir(&folder);
    say::note("deputy", "what is configured, and does it hold together?");
    call(&["check"]).said().shown()?;
    say::note("deputy", "what can this provider do, and what can it never do?");
    call(&["inspect", "s3-sts.wasm"]).said().shown()?;
    say::note("deputy", "obtaining credentials: each line on stderr is one use of a capability");
    call(&["obtain", "s3-demo", "--out", "credentials.json", "--audit", "audit.jsonl"]).said().shown()?;
    say::note("audit", "the same for a machine:");
    let audit = fs::read_to_string(folder.join("audit.jsonl")).doing(|| "reading the audit log".into())?;
    quote(&audit);

    let step = Step::begin("boto3", "writing and reading an object with those credentials and nothing else");
    let (access_key, body) = use_credentials(&folder, &seaweed)?;
    step.end(format!("read back: {body:?}"));
    conclude(&access_key, &audit)?;
    rotation::run(&deputy, &folder, &seaweed.endpoint())
}

/// A free port on loopback.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).doing(|| "looking for a free port".into())
}

/// The program, from this clone.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let step = Step::begin("cargo", "building deputy (the first time takes about ten minutes on two cores)");
    Run::new("cargo").args(["build", "--locked", "--package", "deputy"]).dir(workspace.root()).shown()?;
    step.end("deputy built");
    Ok(workspace.target("debug/deputy"))
}

/// Writes what an operator would write: a configuration, and a file with the key that only they can read.
fn configure(workspace: &Workspace, folder: &Path, seaweed: &Seaweed) -> Result<()> {
    let port = free_port()?;
    let head = format!(
        r#"state = "state"

[coordinator]
listen = "127.0.0.1:{port}"    # where workers come in
"#
    );
    let text = configuration(&head, "5s", seaweed);
    write(&folder.join("deputy.toml"), text.as_bytes())?;
    say::note("deputy.toml", "what the operator grants:");
    quote(&text);
    write_files(workspace, folder)
}

/// The configuration of a coordinator that obtains credentials of S3 for the workers of a group.
fn configuration(coordinator: &str, lifetime: &str, seaweed: &Seaweed) -> String {
    let endpoint = seaweed.endpoint();
    let (region, role) = (Seaweed::REGION, Seaweed::ROLE_ARN);
    format!(
        r#"{coordinator}
[instances.s3-demo]
component = "s3-sts.wasm"
lifetime = "{lifetime}"                # a demonstration has no time for the quarter of an hour that STS gives
deliver-to = ["readers"]

[instances.s3-demo.settings]
region = "{region}"
endpoint = "{endpoint}"
role-arn = "{role}"
duration = "15m"

[instances.s3-demo.secrets.aws-key]
file = "aws-key.json"
sigv4 = {{ services = ["sts"], regions = ["{region}"] }}

[[instances.s3-demo.http]]
allow = "{endpoint}"
methods = ["POST"]
networks = ["loopback"]

[groups.readers.receivers.aws]
component = "aws-credentials.wasm"
instances = ["s3-demo"]
"#
    )
}

/// Writes what such a configuration names: the key, and the components.
fn write_files(workspace: &Workspace, folder: &Path) -> Result<()> {
    let key = format!(r#"{{"AccessKeyId": "{}", "SecretAccessKey": "{}"}}"#, Seaweed::ACCESS_KEY, Seaweed::SECRET_KEY);
    write_private(&folder.join("aws-key.json"), &key)?;
    for component in ["s3-sts.wasm", "aws-credentials.wasm"] {
        fs::copy(workspace.guests().join(component), folder.join(component))
            .doing(|| format!("copying {component}"))?;
    }
    Ok(())
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> Result<()> {
    write(path, text.as_bytes())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).doing(|| format!("closing {}", path.display()))
}

fn quote(text: &str) {
    for line in text.lines() {
        eprintln!("              | {line}");
    }
}

/// Gives the access key that the client used, and what it read.
fn use_credentials(folder: &Path, seaweed: &Seaweed) -> Result<(String, String)> {
    let credentials = folder.join("credentials.json");
    let profile = folder.join("aws-config");
    let region = Seaweed::REGION;
    let process =
        format!("[profile demo]\nregion = {region}\ncredential_process = /bin/cat {}\n", credentials.display());
    write(&profile, process.as_bytes())?;
    let environment = [("AWS_CONFIG_FILE", &*profile.to_string_lossy()), ("ENDPOINT", &*seaweed.endpoint())];
    let said = boto(CLIENT, &environment).doing(|| "using the credentials".into())?;
    let (access_key, body) = said.trim().split_once('\n').unwrap_or(("", &said));
    if access_key == Seaweed::ACCESS_KEY || !body.starts_with("Good morning") {
        return Err(Failure::new(format!("the client did not use what was obtained: {said}")));
    }
    Ok((access_key.to_owned(), body.to_owned()))
}

/// Says what was shown, from the audit log and not from hope.
fn conclude(access_key: &str, audit: &str) -> Result<()> {
    let events: Vec<Value> = audit.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let is = |event: &Value, key: &str, text: &str| event.get(key).and_then(Value::as_str) == Some(text);
    let count = |operation| {
        let about_the_key = events.iter().filter(|event| is(event, "secret", "aws-key"));
        about_the_key.filter(|event| is(event, "operation", operation) && is(event, "outcome", "done")).count()
    };
    let (used, read) = (count("sigv4"), count("reveal"));
    if used == 0 || read > 0 {
        return Err(Failure::new(format!("the audit log shows the key used {used} times and read {read} times")));
    }
    say::note("shown", format!("boto3 wrote and read an object as {access_key}, which a sandboxed provider obtained;"));
    say::note("", format!("of the operator's key {} the audit log has", Seaweed::ACCESS_KEY));
    say::note("", format!("{used} use for a signature, and {read} of its value: used, never read"));
    Ok(())
}
