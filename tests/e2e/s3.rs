//! `s3-sts` against SeaweedFS, a real S3 with a real STS that checks signatures and session tokens.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use deputy_test_harness::{TestEnvironment, exit};
use deputy_test_servers::{Error, Seaweed, boto};
use serde_json::Value;

use crate::servers;

/// Writes an object and reads it again, with the credentials of AWS's `credential_process` and nothing else.
const OBJECT: &str = "
import boto3, json, os
c = json.loads(os.environ['PAYLOAD'])
assert c['Version'] == 1
s3 = boto3.client('s3', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1', aws_access_key_id=c['AccessKeyId'],
                  aws_secret_access_key=c['SecretAccessKey'], aws_session_token=c['SessionToken'])
s3.put_object(Bucket='bucket', Key=os.environ['KEY'], Body=b'written with obtained credentials')
print(s3.get_object(Bucket='bucket', Key=os.environ['KEY'])['Body'].read().decode())
";

/// A machine with the instance `s3`, which assumes the role with this secret key.
fn home(secret_key: &str) -> TestEnvironment {
    made(secret_key, "")
}

/// The same with the right key, and with lines of its own below `[instances.s3]`. What it does is audited.
pub(crate) fn home_with(lines: &str) -> TestEnvironment {
    let mut home = made(Seaweed::SECRET_KEY, lines);
    home.prepend("audit = \"audit.jsonl\"\n");
    home
}

fn made(secret_key: &str, first: &str) -> TestEnvironment {
    let lines = lines("s3", &servers::seaweed().endpoint(), first);
    with_key(TestEnvironment::new(), secret_key).instance("s3", "s3-sts", &lines)
}

/// Gives a home the key that its instances sign with.
pub(crate) fn with_key(home: TestEnvironment, secret_key: &str) -> TestEnvironment {
    put_key(&home, secret_key);
    home
}

/// The same with one that is there.
pub(crate) fn put_key(home: &TestEnvironment, secret_key: &str) {
    let id = Seaweed::ACCESS_KEY;
    home.put_secret("aws-key", &format!(r#"{{"AccessKeyId": "{id}", "SecretAccessKey": "{secret_key}"}}"#));
    home.register_secret(secret_key);
}

/// What stands below `[instances.NAME]` for one that assumes the role at this endpoint, as a session of its own name.
pub(crate) fn lines(name: &str, endpoint: &str, first: &str) -> String {
    let role = Seaweed::ROLE_ARN;
    format!(
        r#"{first}
        [instances.{name}.settings]
        region = "us-east-1"
        endpoint = "{endpoint}"
        role-arn = "{role}"
        role-session-name = "{name}"
        duration = "15m"

        [instances.{name}.secrets.aws-key]
        file = "secrets/aws-key"
        sigv4 = {{ services = ["sts"], regions = ["us-east-1"] }}

        [[instances.{name}.http]]
        allow = "{endpoint}"
        methods = ["POST"]
        paths = ["/"]
        networks = ["loopback"]
        "#
    )
}

/// The payload of good credentials.
pub(crate) fn obtained() -> String {
    payload(&home(Seaweed::SECRET_KEY))
}

/// Obtains into a file and gives its text.
fn payload(home: &TestEnvironment) -> String {
    let run = home.deputy(&["obtain", "s3", "--out", "payload.json", "--audit", "audit.jsonl"]).ends_with(exit::OK);
    let text = fs::read_to_string(home.path("payload.json")).unwrap();
    let payload: Value = serde_json::from_str(&text).unwrap();
    for part in ["SecretAccessKey", "SessionToken"] {
        let value = payload[part].as_str().unwrap();
        assert!(!run.stdout.contains(value) && !run.stderr.contains(value), "{part} was printed");
    }
    text
}

/// Writes and reads an object with what was obtained from the SeaweedFS that all share.
pub(crate) fn object(payload: &str, key: &str) -> Result<String, Error> {
    object_at(&servers::seaweed().endpoint(), payload, key)
}

/// The same of another one.
pub(crate) fn object_at(endpoint: &str, payload: &str, key: &str) -> Result<String, Error> {
    boto(OBJECT, &[("PAYLOAD", payload), ("ENDPOINT", endpoint), ("KEY", key)])
}

#[test]
fn s3_credentials_work_in_an_independent_client() {
    let home = home(Seaweed::SECRET_KEY);
    assert_eq!(object(&payload(&home), "obtained").unwrap(), "written with obtained credentials\n");
}

#[test]
fn s3_tampered_session_token_is_rejected() {
    let text = payload(&home(Seaweed::SECRET_KEY));
    let mut payload: Value = serde_json::from_str(&text).unwrap();
    let mut token = payload["SessionToken"].as_str().unwrap().to_owned();
    let middle = token.len() - 20; // not the last letter: a decoder may ignore some bits of it
    let other = if &token[middle..=middle] == "A" { "B" } else { "A" };
    token.replace_range(middle..=middle, other);
    payload["SessionToken"] = token.into();
    let refused = object(&payload.to_string(), "tampered").unwrap_err().to_string();
    assert!(refused.contains("PutObject operation"), "{refused}");
}

#[test]
fn s3_wrong_key_is_denied_and_writes_nothing() {
    let home = home("wrong/wrong/wrong/wrong/wrong/wrong/wrong");
    let run = home.deputy(&["obtain", "s3", "--out", "payload.json"]).ends_with(exit::DENIED);
    assert!(run.stderr.contains("AssumeRole"), "{}", run.stderr);
    assert!(!home.path("payload.json").exists());
}

#[test]
fn s3_audit_shows_the_key_used_and_never_read() {
    let home = home(Seaweed::SECRET_KEY);
    drop(payload(&home));
    let events = home.audit("audit.jsonl");
    let secrets: Vec<&Value> = events.iter().filter(|event| event["event"] == "secret").collect();
    assert!(secrets.iter().all(|event| event["secret"] == "aws-key" && event["outcome"] == "done"), "{secrets:?}");
    let operations: Vec<_> = secrets.iter().map(|event| event["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["open", "sigv4"]);
    assert_eq!(secrets[1]["scope"], "sts/us-east-1");

    let http: Vec<&Value> = events.iter().filter(|event| event["event"] == "http").collect();
    assert_eq!(http.len(), 1, "{http:?}");
    let endpoint = servers::seaweed().endpoint();
    for (field, value) in [("method", "POST"), ("target", &endpoint), ("path", "/"), ("address", "127.0.0.1")] {
        assert_eq!(http[0][field], value, "{field}");
    }
    assert_eq!((&http[0]["status"], &http[0]["outcome"]), (&200.into(), &"done".into()));
    assert_eq!(http[0].get("injected"), None, "the signature is the component's to send");

    // All of it in one call, which ends last; the other calls asked for the service's name, and whether tokens are required.
    let (used, asked): (Vec<&Value>, Vec<&Value>) = events.iter().partition(|event| event["call"] == http[0]["call"]);
    let last = used.last().unwrap();
    assert_eq!(
        (&last["event"], &last["function"], &last["outcome"]),
        (&"call".into(), &"obtain".into(), &"done".into())
    );
    let functions: Vec<_> = asked.iter().map(|event| event["function"].as_str().unwrap()).collect();
    assert!(
        functions.iter().all(|function| ["kinds", "service-name", "tokens-required"].contains(function)),
        "{asked:?}"
    );
    assert!(events.iter().all(|event| event["instance"] == "s3"), "{events:?}");
}

#[test]
fn s3_payload_is_printed_only_on_request() {
    let home = home(Seaweed::SECRET_KEY);
    for args in [&["obtain", "s3"][..], &["obtain", "s3", "--json"]] {
        let run = home.deputy(args).ends_with(exit::OK);
        assert!(!run.stdout.contains("ASIA") && !run.stderr.contains("ASIA"), "{}{}", run.stdout, run.stderr);
    }
    let run = home.deputy(&["obtain", "s3", "--reveal"]).ends_with(exit::OK);
    assert!(run.stdout.contains("ASIA") && !run.stderr.contains("ASIA"), "{}{}", run.stdout, run.stderr);
    assert_eq!(object(&run.stdout, "revealed").unwrap(), "written with obtained credentials\n");
}

#[test]
fn s3_output_file_becomes_owner_only() {
    let home = home(Seaweed::SECRET_KEY);
    fs::write(home.path("payload.json"), "old").unwrap();
    fs::set_permissions(home.path("payload.json"), fs::Permissions::from_mode(0o644)).unwrap();
    drop(payload(&home));
    for file in ["payload.json", "audit.jsonl"] {
        let mode = fs::metadata(home.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn s3_key_file_readable_by_others_is_refused() {
    let home = home(Seaweed::SECRET_KEY);
    fs::set_permissions(home.path("secrets/aws-key"), fs::Permissions::from_mode(0o640)).unwrap();
    let run = home.deputy(&["obtain", "s3", "--out", "payload.json"]);
    assert_ne!(run.code, Some(exit::OK));
    assert!(run.stderr.contains("chmod 600"), "{}", run.stderr);
    assert!(!home.path("payload.json").exists());
}

#[test]
fn s3_ungranted_region_is_denied_with_its_fix() {
    let mut home = home(Seaweed::SECRET_KEY);
    home.replace("region = \"us-east-1\"", "region = \"eu-west-1\"");
    let run =
        home.deputy(&["obtain", "s3", "--out", "payload.json", "--audit", "audit.jsonl"]).ends_with(exit::REFUSED);
    assert!(run.stderr.contains("sigv4.regions = [\"us-east-1\", \"eu-west-1\"]"), "{}", run.stderr);
    let refused = home.audit("audit.jsonl").into_iter().find(|event| event["outcome"] == "refused").unwrap();
    assert_eq!((&refused["operation"], &refused["scope"]), (&"sigv4".into(), &"sts/eu-west-1".into()));
    assert!(home.audit("audit.jsonl").iter().all(|event| event["event"] != "http"), "it asked STS nevertheless");
}
