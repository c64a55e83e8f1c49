//! `s3-sts` where SeaweedFS does not go: STS's other operations against moto, its errors, and the signature itself,
//! which botocore makes again.

use std::fs;

use deputy_test_harness::{TestEnvironment, base64, exit};
use deputy_test_servers::boto;
use serde_json::Value;

use crate::local::Local;
use crate::servers;

const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// The answer of an STS that lets everybody in.
const SESSION: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAX</AccessKeyId>\
    <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration>\
    </Credentials></AssumeRoleResult></AssumeRoleResponse>";

/// A machine with the instance `s3`, these settings and the key of AWS's documentation, whose id is a setting.
fn home(endpoint: &str, settings: &str) -> TestEnvironment {
    let host = endpoint.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let lines = format!(
        r#"
        [instances.s3.settings]
        region = "eu-west-1"
        access-key-id = "{KEY_ID}"
        endpoint = "{endpoint}"
        {settings}

        [instances.s3.secrets.aws-key]
        file = "secrets/aws-key"
        sigv4 = {{ services = ["sts"], regions = ["eu-west-1"] }}

        [[instances.s3.http]]
        allow = "{host}"
        networks = ["loopback"]
        "#
    );
    TestEnvironment::new().secret("aws-key", KEY).instance("s3", "s3-sts", &lines)
}

const ROLE: &str = "role-arn = \"arn:aws:iam::123456789012:role/worker\"";

/// A machine with the instance `pod`, whose requests get a web identity from the host.
fn pod(endpoint: &str, token: &str) -> TestEnvironment {
    let lines = format!(
        r#"
        [instances.pod.settings]
        operation = "assume-role-with-web-identity"
        endpoint = "{endpoint}"
        {ROLE}

        [instances.pod.secrets.web-identity-token]
        file = "secrets/web-identity-token"

        [[instances.pod.http]]
        allow = "{endpoint}"
        methods = ["POST"]
        paths = ["/"]
        networks = ["loopback"]
        form = {{ WebIdentityToken = {{ secret = "web-identity-token" }} }}
        "#
    );
    TestEnvironment::new().secret("web-identity-token", token).instance("pod", "s3-sts", &lines)
}

/// A token with letters that a form must encode. moto looks at its claims' form alone.
pub(crate) fn web_identity() -> String {
    let part = |json: &str| base64(json.as_bytes());
    format!("{}.{}.c2lnbmF0dXJl+/==", part(r#"{"alg":"RS256"}"#), part(r#"{"sub":"worker","aud":"sts","iss":"x"}"#))
}

#[test]
fn get_session_token_brings_credentials() {
    let home = home(&servers::moto().endpoint(), "operation = \"get-session-token\"");
    home.deputy(&["obtain", "s3", "--out", "payload.json"]).ends_with(exit::OK);
    let payload: Value = serde_json::from_str(&fs::read_to_string(home.path("payload.json")).unwrap()).unwrap();
    for field in ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"] {
        assert!(payload[field].as_str().is_some_and(|value| !value.is_empty()), "{field}");
    }
}

#[test]
fn sts_web_identity_known_only_to_the_host_works() {
    let home = pod(&servers::moto().endpoint(), &web_identity());
    let args = ["obtain", "pod", "--out", "payload.json", "--audit", "audit.jsonl"];
    home.deputy(&args).ends_with(exit::OK);
    let payload: Value = serde_json::from_str(&fs::read_to_string(home.path("payload.json")).unwrap()).unwrap();
    assert!(payload["AccessKeyId"].as_str().unwrap().starts_with("ASIA"));

    let events = home.audit("audit.jsonl");
    let http: Vec<&Value> = events.iter().filter(|event| event["event"] == "http").collect();
    assert_eq!(http.len(), 1, "{http:?}");
    assert_eq!(http[0]["injected"], serde_json::json!(["web-identity-token"]));
    assert!(events.iter().all(|event| event["event"] != "secret"), "the component touched a secret: {events:?}");
}

#[test]
fn sts_web_identity_is_encoded_once_in_the_form() {
    let (server, token) = (Local::answering(200, "", SESSION), web_identity());
    let home = pod(&server.endpoint(), &token);
    home.deputy(&["obtain", "pod"]).ends_with(exit::OK);
    let request = server.request();
    assert!(!request.has("authorization"), "it is signed");
    let fields = request.fields();
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    for name in ["Action", "RoleArn", "RoleSessionName", "Version", "WebIdentityToken"] {
        assert_eq!(names.iter().filter(|own| **own == name).count(), 1, "{name} in {names:?}");
    }
    let sent = fields.iter().find(|(name, _)| *name == "WebIdentityToken").unwrap().1;
    assert_eq!(sent, token.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"));
    assert_eq!(request.header("content-length"), request.body.len().to_string());
}

#[test]
fn sts_errors_decide_the_exit_code() {
    let error = |code: &str| {
        format!("<ErrorResponse><Error><Code>{code}</Code><Message>told</Message></Error></ErrorResponse>")
    };
    let unreachable_keys = error("InvalidIdentityToken").replace(
        "told",
        "Couldn't retrieve verification key from your identity provider,  please reference the documentation: told",
    );
    for (status, headers, body, code) in [
        (400, "retry-after: 7\r\n", error("Throttling"), exit::UNAVAILABLE),
        (429, "", String::new(), exit::UNAVAILABLE),
        (500, "", error("InternalFailure"), exit::UNAVAILABLE),
        (503, "", "<html>".into(), exit::UNAVAILABLE),
        (403, "", error("InvalidClientTokenId"), exit::DENIED),
        (403, "", error("ExpiredToken"), exit::DENIED),
        (400, "", error("PackedPolicyTooLarge"), exit::MISCONFIGURED),
        (400, "", unreachable_keys, exit::UNAVAILABLE),
        (200, "", "<AssumeRoleResponse/>".into(), exit::DENIED),
        (200, "", "<!doctype html><p>Login".into(), exit::DENIED),
        (200, "", error("AccessDenied"), exit::DENIED),
        (200, "", error("Throttling"), exit::UNAVAILABLE),
        (200, "", SESSION.replace("<SessionToken>t</SessionToken>", ""), exit::DENIED),
        (200, "", SESSION.replace(">t<", ">t&#10;t<"), exit::DENIED),
        (200, "content-encoding: gzip\r\n", SESSION.into(), exit::DENIED),
        (201, "", SESSION.into(), exit::OK),
        (200, "", SESSION.replace("2100-01-01T00:00:00Z", "4102444800"), exit::OK),
        (200, "", SESSION.replace("T00:00:00Z", "T02:00:00+0200"), exit::OK),
    ] {
        let server = Local::answering(status, headers, &body);
        let home = home(&server.endpoint(), ROLE);
        let run = home.deputy(&["obtain", "s3", "--out", "payload.json"]).ends_with(code);
        assert!(status < 300 || run.stderr.contains(&status.to_string()), "{}", run.stderr);
        assert!(!body.contains("told") || run.stderr.contains("told"), "{}", run.stderr);
        assert_eq!(home.path("payload.json").exists(), code == exit::OK);
        assert_eq!(server.requests().len(), 1, "the host asks again by its own schedule, the component never");
    }
}

#[test]
fn throttling_tells_how_long_to_wait() {
    let body = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
    let server = Local::answering(400, "retry-after: 7\r\n", body);
    let home = home(&server.endpoint(), ROLE);
    let run = home.deputy(&["obtain", "s3"]).ends_with(exit::UNAVAILABLE);
    assert!(run.stderr.contains("7s"), "{}", run.stderr);
    let run = home.deputy(&["obtain", "s3", "--json"]).ends_with(exit::UNAVAILABLE);
    assert!(run.stdout.contains("7000") && run.stdout.contains("throttled"), "{}", run.stdout);
}

/// Makes the signature of a request again, with AWS's own code.
const SIGN: &str = "
import os
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
names = os.environ['SIGNED'].split(';')
headers = {name: os.environ['HEADER_' + name.replace('-', '_')] for name in names}
request = AWSRequest(method='POST', url=os.environ['URL'], headers=headers, data=os.environ['BODY'].encode())
request.context['timestamp'] = headers['x-amz-date']
signer = SigV4Auth(Credentials(os.environ['KEY_ID'], os.environ['KEY']), 'sts', 'eu-west-1')
print(signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))
";

#[test]
fn sts_signature_equals_botocores() {
    let policy = r#"policy = '{"Version": "2012-10-17", "Statement": [{"Resource": "arn:aws:s3:::b/ü & ~*%2F+"}]}'"#;
    for (path, settings) in [
        ("", "operation = \"get-session-token\"".to_owned()),
        ("/", ROLE.to_owned()),
        ("/sts/v1", format!("{ROLE}\nexternal-id = \"a:b/c=d,e@f.g-h_i+j\"\nduration = \"12h\"")),
        ("/a//b/./c/../d/", format!("{ROLE}\n{policy}")),
        ("/a%20b/~%7E", format!("{ROLE}\nrole-session-name = \"worker=1,@2\"")),
    ] {
        let server = Local::answering(200, "", SESSION);
        let endpoint = server.endpoint() + path;
        let home = home(&endpoint, &settings);
        home.deputy(&["obtain", "s3"]).ends_with(exit::OK);
        let request = server.request();
        let authorization = request.header("authorization");
        let scope =
            format!("AWS4-HMAC-SHA256 Credential={KEY_ID}/{}/eu-west-1/sts/", &request.header("x-amz-date")[..8]);
        assert!(authorization.starts_with(&scope), "{authorization}");
        let (head, signature) = authorization.split_once(", Signature=").unwrap();
        let (_, signed) = head.split_once("SignedHeaders=").unwrap();
        assert!(signed.split(';').any(|name| name == "host"), "{signed}");

        let names = signed.split(';').map(|name| (format!("HEADER_{}", name.replace('-', "_")), request.header(name)));
        let names: Vec<_> = names.collect();
        let url = server.endpoint() + &request.target;
        let mut environment =
            vec![("SIGNED", signed), ("URL", &url), ("BODY", &request.body), ("KEY_ID", KEY_ID), ("KEY", KEY)];
        environment.extend(names.iter().map(|(name, value)| (name.as_str(), *value)));
        assert_eq!(boto(SIGN, &environment).unwrap().trim(), signature, "{path} {settings}");
    }
}

#[test]
fn endpoint_of_another_service_may_know_other_roles_and_lives() {
    for settings in [
        "operation = \"assume-role\"\nduration = \"24h\"",
        "role-arn = \"urn:ecs:iam::ns1:role/worker\"\nduration = \"60s\"\nexternal-id = \"x\"",
    ] {
        let server = Local::answering(200, "", SESSION);
        home(&server.endpoint(), settings).deputy(&["obtain", "s3"]).ends_with(exit::OK);
        assert!(server.request().fields().iter().any(|(name, _)| *name == "DurationSeconds"));
    }
}

#[test]
fn sts_missing_endpoint_is_named_in_the_denial() {
    let server = Local::answering(200, "", SESSION);
    let mut home = home(&server.endpoint(), ROLE);
    home.replace(&format!("endpoint = \"{}\"\n", server.endpoint()), "\n");
    let run = home.deputy(&["obtain", "s3"]).ends_with(exit::REFUSED);
    assert!(run.stderr.contains("since `endpoint` is not set"), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("its rules lead to {}", server.endpoint())), "{}", run.stderr);
    assert!(server.requests().is_empty());
}
