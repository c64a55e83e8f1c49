//! What the documents show does what they say.

use std::fs;

use deputy_test_servers::guest;

use crate::home::TestEnvironment;
use crate::service::{SESSION, answering};

const WORKERS: &str = include_str!("../../docs/workers.md");

/// An STS that issues credentials of a role.
fn assuming() -> String {
    let body = format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId>\
         <SecretAccessKey>secret-{SESSION}</SecretAccessKey><SessionToken>{SESSION}</SessionToken>\
         <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    );
    answering(200, "", &body)
}

#[test]
fn documents_sample_for_workers_passes_check_and_obtains() {
    let (_, rest) = WORKERS.split_once("```toml\n").unwrap();
    let (sample, _) = rest.split_once("```").unwrap();
    let endpoint = assuming();
    let granted = "allow = \"https://sts.eu-west-1.amazonaws.com\"";
    let region = "settings = { region = \"eu-west-1\"";
    assert!(sample.contains(granted) && sample.contains(region), "{sample}");
    // The same with a service of this machine in AWS's place.
    let sample = sample
        .replace(granted, &format!("allow = \"{endpoint}\"\nnetworks = [\"loopback\"]"))
        .replace(region, &format!("{region}, endpoint = \"{endpoint}\""))
        .replace("file = \"aws-key.json\"", "file = \"aws-key\"");
    let home = TestEnvironment::with(&sample);
    fs::copy(guest("aws-credentials").unwrap(), home.path("aws-credentials.wasm")).unwrap();
    let check = home.run(&["check"]);
    assert_eq!(check.code, Some(0), "{}{}", check.stdout, check.stderr);
    let obtain = home.run(&["obtain", "s3-prod", "--reveal"]);
    assert_eq!(obtain.code, Some(0), "{}", obtain.stderr);
    assert!(obtain.stdout.contains(SESSION), "{}", obtain.stdout);
}
