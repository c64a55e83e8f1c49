//! The local endpoints of a worker that runs, asked by Deputy's own commands and by boto3.

use std::fs;

use deputy_core::InstanceName;
use deputy_test_harness::exit;
use deputy_test_servers::{boto, free_ports, guest};
use deputy_worker::endpoint::AwsContainerEndpoint;

use super::site::{GROUP, TestSite};
use super::unit::CANARY;
use crate::{s3, servers};

/// Reads and writes with what is found by the environment alone, and says with whose key.
const OBJECT: &str = "
import boto3, os
session = boto3.session.Session()
s3 = session.client('s3', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1')
s3.put_object(Bucket='bucket', Key='of-a-worker', Body=b'written through a worker')
assert s3.get_object(Bucket='bucket', Key='of-a-worker')['Body'].read() == b'written through a worker'
print(session.get_credentials().get_frozen_credentials().access_key)
";

#[test]
fn commands_get_what_the_worker_holds_and_only_where_it_says_so() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    site.configure("worker", "[endpoints.socket]");
    let (worker, closed) = (site.worker("worker"), site.worker("closed"));
    worker.wait_until_published("app", "creds", 1);
    closed.wait_until_published("app", "creds", 1);
    let deputy = |worker: &str, args: &[&str]| {
        let mut command = site.home.program();
        command.args(args.first()).arg("--config").arg(site.home.path(&format!("{worker}.toml")));
        command.arg("--state").arg(site.home.path(&format!("{worker}-state"))).args(&args[1..]).output().unwrap()
    };
    let doctor = String::from_utf8(deputy("worker", &["doctor"]).stdout).unwrap();
    for found in ["a worker answers: ready, connected", "reach     tcp://127."] {
        assert!(doctor.contains(found), "{found} in {doctor}");
    }
    // The worker has it all: no coordinator is asked.
    coordinator.kill();
    let out = site.home.path("secrets/got");
    let run = deputy("worker", &["get", "creds", "--out", out.to_str().unwrap()]);
    assert!(run.status.success(), "{run:?}");
    let got = fs::read_to_string(&out).unwrap();
    assert!(got.starts_with(&format!("{CANARY} creds 1 ")), "{got}");
    let run = deputy("worker", &["exec", "creds", "--env", "TOKEN", "--", "/bin/sh", "-c", "printf %s \"$TOKEN\""]);
    assert_eq!((run.status.code(), String::from_utf8(run.stdout).unwrap()), (Some(exit::OK), got));
    let run = deputy("worker", &["get", "other", "--wait", "0s"]);
    assert!(!run.status.success(), "{run:?}");
    // A socket that shows the status of a worker serves no payload, unless its operator wants that.
    let run = deputy("closed", &["get", "creds", "--reveal", "--wait", "0s"]);
    assert!(!run.status.success() && run.stdout.is_empty(), "{run:?}");
    assert!(closed.published_files().contains("creds"));
}

#[test]
fn worker_endpoint_serves_boto3_through_a_rotation() {
    let endpoint = servers::seaweed().endpoint();
    let mut site = TestSite::new("");
    // What the file has is used; the component's settings say where the S3 is.
    site.home.append(&format!(
        "[instances.s3]\ncomponent = {:?}\nprefer = \"file\"\ndeliver-to = [\"{GROUP}\"]\n\
         file = {{ path = \"secrets/s3.payload\", lifetime = \"1h\" }}\n\
         settings = {{ region = \"us-east-1\", endpoint = \"{endpoint}\" }}\n",
        guest("s3-sts").unwrap()
    ));
    let give = || {
        let payload = s3::obtained();
        let parsed: serde_json::Value = serde_json::from_str(&payload).unwrap();
        for part in ["SecretAccessKey", "SessionToken"] {
            let value = parsed[part].as_str().unwrap();
            site.home.register_secret(&value[..value.len().min(40)]);
        }
        site.publish_text("s3", &payload);
        parsed["AccessKeyId"].as_str().unwrap().to_owned()
    };
    let first = give();
    let coordinator = site.coordinator();
    let [port] = free_ports().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let token = site.home.path("secrets/endpoint.token");
    site.configure(
        "worker",
        &format!(
            "[endpoints.socket]\n[[endpoints.aws]]\nlisten = \"{listen}\"\ninstance = \"s3\"\ntoken-file = {token:?}"
        ),
    );
    let worker = site.worker("worker");
    let revision =
        || worker.status().and_then(|status| status.instances.first().map(|held| held.revision)).unwrap_or(0);
    worker.wait_until("it holds the first", || revision() == 1);
    let instance: InstanceName = "s3".parse().unwrap();
    let uri = format!("http://{listen}{}", AwsContainerEndpoint::path(&instance));
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
        ("ENDPOINT", endpoint.as_str()),
    ];
    assert_eq!(boto(OBJECT, &environment).unwrap().trim(), first);
    // The worker has no receiver, and its programs no configuration: the coordinator says where the S3 is.
    let shown = |variables: &str| {
        let mut exec = site.home.program();
        exec.args(["exec", "s3", "--socket"]).arg(site.home.path("worker-state/worker.sock"));
        exec.args(["--", "/bin/sh", "-c", &format!("echo {variables}")]);
        String::from_utf8(exec.output().unwrap().stdout).unwrap()
    };
    let place = shown("$AWS_REGION $AWS_DEFAULT_REGION $AWS_ENDPOINT_URL");
    assert_eq!(place, format!("us-east-1 us-east-1 {endpoint}\n"));
    site.home.edit("region = \"us-east-1\"", "region = \"eu-west-1\"");
    site.home.deputy(&["reload"]).ends_with(exit::OK);
    worker.wait_until("it learns of another region", || shown("$AWS_REGION") == "eu-west-1\n");
    let second = give();
    worker.wait_until("it holds the second", || shown("$AWS_ACCESS_KEY_ID").trim() == second);
    coordinator.kill();
    assert_eq!(boto(OBJECT, &environment).unwrap().trim(), second);
    assert!(boto(OBJECT, &[environment[0], environment[2]]).is_err(), "a client without the token gets nothing");
}
