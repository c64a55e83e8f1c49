//! What the documents show does what they say.

use std::fs;
use std::path::Path;

use deputy_core::failure::FailureKind;
use deputy_test_servers::guest;
use serde_json::Value;

use crate::home::TestEnvironment;
use crate::service::{SESSION, answering};

const TROUBLES: &str = include_str!("../../docs/troubleshooting.md");
const DENIALS: &str = include_str!("../../runtime/core/src/denial.rs");
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
    let home = TestEnvironment::with(&(sample + "\n[components]\nfolder = \".\"\n"));
    fs::copy(guest("aws-credentials").unwrap(), home.path("aws-credentials.wasm")).unwrap();
    let check = home.run(&["check"]);
    assert_eq!(check.code, Some(0), "{}{}", check.stdout, check.stderr);
    let obtain = home.run(&["obtain", "s3-prod", "--reveal"]);
    assert_eq!(obtain.code, Some(0), "{}", obtain.stderr);
    assert!(obtain.stdout.contains(SESSION), "{}", obtain.stdout);
}

/// The words in quotes after each of these beginnings.
fn words_after(text: &str, beginnings: &[&str]) -> Vec<String> {
    let found = beginnings.iter().flat_map(|beginning| text.split(beginning).skip(1));
    found.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// The codes of what fails on the way, in the sources below a folder.
fn failed_codes(folder: &Path, codes: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            if entry.file_name().unwrap() != "tests" {
                failed_codes(&entry, codes);
            }
        } else {
            codes
                .extend(words_after(&fs::read_to_string(&entry).unwrap(), &["failed(\"", "RequestFailure::secret(\""]));
        }
    }
}

#[test]
fn documents_of_troubles_have_every_kind_and_code() {
    for kind in FailureKind::ALL {
        assert!(TROUBLES.contains(&format!("\n| `{}` |", kind.word())), "{}", kind.word());
    }
    let (_, code) = DENIALS.split_once("pub fn code(&self)").unwrap();
    let (code, _) = code.split_once("\n    }\n").unwrap();
    let denials = words_after(code, &["=> \""]);
    assert!(denials.len() >= 40, "{denials:?}");
    let mut failures = Vec::new();
    failed_codes(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sandbox/src")), &mut failures);
    assert!(failures.len() >= 25, "{failures:?}");
    for code in denials.iter().chain(&failures) {
        assert!(TROUBLES.contains(&format!("`{code}`")), "`{code}`");
    }
    let exits = TestEnvironment::empty().run(&["exit-codes", "--json"]);
    let exits: Value = serde_json::from_str(&exits.stdout).unwrap();
    let exits = exits["codes"].as_array().unwrap();
    assert_eq!(exits.len(), 9);
    for exit in exits {
        let row = format!(
            "\n| {} | `{}` | {} |",
            exit["code"],
            exit["word"].as_str().unwrap(),
            exit["meaning"].as_str().unwrap().replace("deputy", "Deputy")
        );
        assert!(TROUBLES.contains(&row), "{row}");
    }
}
