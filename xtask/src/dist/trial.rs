//! The archive as a user has it: unpacked into an empty folder, with an empty environment, against a real S3.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use deputy_test_servers::Seaweed;
use serde_json::Value;

use super::Release;
use crate::digest::write;
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::Step;
use crate::workspace::Workspace;

/// Unpacks and uses it.
pub(super) fn run(workspace: &Workspace, release: &Release) -> Result<()> {
    let step = Step::begin("trial", "using the archive in an empty folder with an empty environment");
    let seaweed = Seaweed::start().doing(|| "starting SeaweedFS".into())?;
    // The server's own folder: it ends with the server.
    let folder = seaweed.server().folder().join("trial");
    fs::create_dir_all(&folder).doing(|| format!("making the folder {}", folder.display()))?;
    Run::new("tar").arg("-xf").arg(&release.archive).dir(&folder).quiet()?;
    let unpacked = folder.join(release.folder.file_name().unwrap_or_default());
    Run::new("sha256sum").args(["--check", "--quiet", "--strict", "SHA256SUMS"]).dir(&unpacked).quiet()?;
    let home = folder.join("home");
    configure(&home, &seaweed)?;
    let program = unpacked.join("deputy");
    // Compiling all connectors takes most of a minute. What is compiled is kept from run to run, as that of the tests is.
    let state = workspace.target("dist/state");
    let call = |arguments: &[&str]| {
        // No variable at all: neither PATH nor HOME.
        let run = Run::new("/usr/bin/env").arg("-i").arg(&program).arg("--state").arg(&state);
        run.args(arguments).dir(&home)
    };
    let version = call(&["--version"]).quiet()?;
    expect(version.trim() == format!("deputy {}", release.version), "the program says another version", &version)?;
    let listed = call(&["components", "--json"]).json()?;
    let components = listed.get("components").and_then(Value::as_array).cloned().unwrap_or_default();
    let packed = fs::read_dir(unpacked.join("components")).doing(|| "reading the components".into())?.count();
    let works = |component: &Value| component.get("sha256").is_some_and(Value::is_string);
    expect(
        components.len() == packed && components.iter().all(works),
        "`deputy components` lists other components than the archive has",
        &listed.to_string(),
    )?;
    call(&["check"]).quiet()?;
    call(&["obtain", "s3", "--out", "credentials.json"]).quiet()?;
    let credentials = fs::read_to_string(home.join("credentials.json")).doing(|| "reading the credentials".into())?;
    let credentials: Value = serde_json::from_str(&credentials).doing(|| "reading the credentials".into())?;
    let has_key = credentials.get("SessionToken").is_some_and(Value::is_string);
    expect(has_key, "the credentials have no session token", "")?;
    step.end(format!("{packed} components listed, credentials of a real S3 obtained"));
    Ok(())
}

/// What the first page of the README leads to: a provider by its name.
fn configure(home: &Path, seaweed: &Seaweed) -> Result<()> {
    let (endpoint, region, role) = (seaweed.endpoint(), Seaweed::REGION, Seaweed::ROLE_ARN);
    let configuration = format!(
        r#"[instances.s3]
component = "s3-sts"

[instances.s3.settings]
region = "{region}"
endpoint = "{endpoint}"
role-arn = "{role}"

[instances.s3.secrets.aws-key]
file = "aws-key.json"
sigv4 = {{ services = ["sts"], regions = ["{region}"] }}

[[instances.s3.http]]
allow = "{endpoint}"
methods = ["POST"]
networks = ["loopback"]
"#
    );
    let key = format!(r#"{{"AccessKeyId": "{}", "SecretAccessKey": "{}"}}"#, Seaweed::ACCESS_KEY, Seaweed::SECRET_KEY);
    let secret = home.join("aws-key.json");
    write(&home.join("deputy.toml"), configuration.as_bytes())?;
    write(&secret, key.as_bytes())?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).doing(|| "closing the key's file".into())
}

fn expect(holds: bool, what: &str, seen: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Failure::new(format!("{what}: {seen}"))) }
}
