//! The receivers with the programs that read their files: what `docs/receivers.md` says to type works as it stands there,
//! and boto3, a shell and python-dotenv find in the files what was delivered.

use std::fs;
use std::path::Path;

use deputy_test_servers::boto;
use tempfile::TempDir;

use crate::page::{self, Page, heard, shell};
use crate::s3;
use crate::servers;

const PAGE: Page = Page { name: "docs/receivers.md", text: include_str!("../../docs/receivers.md") };

const HEADING: &str = "Trying it with the wasmtime CLI";

/// Uses a profile and knows nothing of Deputy: endpoint and region are in the profile, too.
const OBJECT: &str = "
import boto3, os
s3 = boto3.Session(profile_name=os.environ['PROFILE']).client('s3')
s3.put_object(Bucket='bucket', Key=os.environ['KEY'], Body=b'written by a profile')
print(s3.get_object(Bucket='bucket', Key=os.environ['KEY'])['Body'].read().decode())
";

/// What `accept` returns if it rejects nothing.
const ACCEPTED: &str = "ok({rejected: [], facts: []})\n";

/// A folder with a receiver that has outputs, by the page's own commands.
fn plugged(receiver: &str) -> TempDir {
    let [plug, _] = PAGE.blocks(HEADING);
    let script = PAGE.replace(plug, "cargo xtask guests\n", "");
    let script = PAGE.replace(&script, "aws-credentials.wasm", &format!("{receiver}.wasm"));
    let file = format!("target/guests/{receiver}.wasm");
    let folder = page::author(&[(&file, receiver), ("target/guests/outputs.wasm", "outputs")]);
    let kinds = shell(folder.path(), &script);
    assert_eq!(kinds, format!("ok([\"{}\"])\n", if receiver == "files" { "*" } else { "aws-credential-process/1" }));
    folder
}

/// Calls `accept` as the page does, with these settings and this payload of `s3-prod`.
fn accept(folder: &Path, settings: &str, payload: &str) -> String {
    accept_and_hear(folder, settings, payload).0
}

/// The same with what it logs.
fn accept_and_hear(folder: &Path, settings: &str, payload: &str) -> (String, String) {
    let [_, accept] = PAGE.blocks(HEADING);
    let (_, call) = accept.split_once('\n').unwrap();
    fs::write(folder.join("payload"), payload).unwrap();
    let call = PAGE.replace(call, "{name: \\\"region\\\", value: \\\"us-east-1\\\"}", &settings.replace('"', "\\\""));
    heard(folder, &call)
}

fn setting(name: &str, value: &str) -> String {
    format!("{{name: \"{name}\", value: \"{value}\"}}")
}

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join("out").join(file)).unwrap()
}

#[test]
fn receivers_documented_payload_makes_the_documented_files() {
    let folder = plugged("aws-credentials");
    let [_, script] = PAGE.blocks(HEADING);
    let script = PAGE.replace(&PAGE.replace(script, "AKIA…", "AKIA"), "\"…\"", "\"secret\"");
    assert_eq!(shell(folder.path(), &script), ACCEPTED);
    assert!(read(folder.path(), "credentials").contains("[s3-prod]\naws_access_key_id = AKIA\n"));
    assert!(read(folder.path(), "config").contains("[profile s3-prod]\nregion = us-east-1\n"));
    assert!(read(folder.path(), "s3-prod.json").starts_with("{\"Version\":1,"));
}

#[test]
fn boto3_reads_what_aws_credentials_wrote_of_real_credentials() {
    let folder = plugged("aws-credentials");
    let payload = s3::obtained();
    let endpoint = servers::seaweed().endpoint();
    let settings = [
        setting("region", "us-east-1"),
        setting("endpoint.s3-prod", &endpoint),
        setting("profile.s3-prod", "prod@lab/1"),
        setting("default", "s3-prod"),
    ];
    assert_eq!(accept(folder.path(), &settings.join(", "), &payload), ACCEPTED);
    let out = folder.path().join("out");
    let file = |name: &str| out.join(name).to_str().unwrap().to_owned();
    let with = |profile: &str, credentials: &str, config: &str| {
        let environment = [
            ("PROFILE", profile),
            ("KEY", profile),
            ("AWS_SHARED_CREDENTIALS_FILE", credentials),
            ("AWS_CONFIG_FILE", config),
        ];
        boto(OBJECT, &environment).unwrap()
    };
    for profile in ["prod@lab/1", "default"] {
        assert_eq!(with(profile, &file("credentials"), &file("config")), "written by a profile\n");
    }
    // A profile of the operator's own: boto3 asks again when the credentials end.
    let process = format!("credential_process = cat {}", file("s3-prod.json"));
    let own = folder.path().join("own-config");
    fs::write(&own, format!("[profile s3]\n{process}\nregion = us-east-1\nendpoint_url = {endpoint}\n")).unwrap();
    let nowhere = file("nowhere");
    assert_eq!(with("s3", &nowhere, own.to_str().unwrap()), "written by a profile\n");
    // Without the files there is nothing to read with.
    let environment = [("PROFILE", "default"), ("KEY", "x"), ("AWS_SHARED_CREDENTIALS_FILE", nowhere.as_str())];
    assert!(boto(OBJECT, &environment).is_err());
}

#[test]
fn receivers_invalid_payload_names_the_instance_only() {
    let folder = plugged("aws-credentials");
    for payload in ["hunter2", "{\"Version\":1,\"AccessKeyId\":\"AKIA\",\"SecretAccessKey\":\"hunter2\\n[default]\"}"] {
        let printed = accept(folder.path(), "", payload);
        assert!(printed.starts_with("ok({rejected: [{instance: \"s3-prod\", "), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
        assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 0);
    }
}

#[test]
fn receivers_env_file_reads_alike_in_shell_and_dotenv() {
    let folder = plugged("files");
    let payload = r#"{"AccessKeyId":"AKIA/+=","token":"$(exit 1) `x` \"y\" #z; & ~ é","line":"a\nb'c"}"#;
    let lines = "ID={{ s3-prod.AccessKeyId }}\\nTOKEN=Bearer {{ s3-prod.token }}\\nLINE={{ s3-prod.line | base64 }}";
    // The shell of the page's command must see the backslashes that make the lines.
    let settings = setting("env.app.env", &lines.replace("\\n", "\\\\n"));
    assert_eq!(accept(folder.path(), &settings, payload), ACCEPTED);
    let expected = "AKIA/+=|Bearer $(exit 1) `x` \"y\" #z; & ~ é|YQpiJ2M=\n";
    let sourced = shell(folder.path(), "set -a; . ./out/app.env; printf '%s|%s|%s\\n' \"$ID\" \"$TOKEN\" \"$LINE\"");
    assert_eq!(sourced, expected);
    let script = "
import dotenv, os
v = dotenv.dotenv_values(os.environ['FILE'])
print('|'.join(v[name] for name in ('ID', 'TOKEN', 'LINE')))
";
    let file = folder.path().join("out/app.env");
    let environment = [("FILE", file.to_str().unwrap()), ("PYTHONIOENCODING", "utf-8")];
    assert_eq!(boto(script, &environment).unwrap(), expected);
    assert!(!folder.path().join("out/s3-prod").exists(), "what a file uses stands not alone");
}

#[test]
fn receivers_write_payloads_raw_and_in_templates() {
    let folder = plugged("files");
    let payload = r#"{"AccessKeyId":"AK\"IA"}"#;
    assert_eq!(accept(folder.path(), "", payload), ACCEPTED);
    assert_eq!(read(folder.path(), "s3-prod"), payload);
    let template = "[{{ s3-prod.AccessKeyId | json }}, {{ s3-prod.payload | base64 | json }}]";
    let settings = [setting("template.conf/app.json", template), setting("path.s3-prod", "raw/it")].join(", ");
    assert_eq!(accept(folder.path(), &settings, payload), ACCEPTED);
    assert_eq!(read(folder.path(), "conf/app.json"), r#"["AK\"IA", "eyJBY2Nlc3NLZXlJZCI6IkFLXCJJQSJ9"]"#);
    assert_eq!(read(folder.path(), "raw/it"), payload);
    let later = [setting("template.later", "{{ s3-lab.payload }}"), setting("path.s3-prod", "now")].join(", ");
    let (printed, log) = accept_and_hear(folder.path(), &later, payload);
    assert_eq!(
        (printed.as_str(), log.as_str()),
        (ACCEPTED, "file later is left out: no lease of instance s3-lab is delivered\n")
    );
    assert!(folder.path().join("out/now").exists() && !folder.path().join("out/later").exists());
    let printed = accept(folder.path(), &setting("template.x", "{{ s3-prod.token }}"), payload);
    let rejection = "message: \"setting `template.x`: instance `s3-prod`: its payload has no field `token`\"";
    assert!(printed.starts_with("ok({rejected: [") && printed.contains(rejection), "{printed}");
}
