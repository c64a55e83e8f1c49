//! Components that were built once for an earlier version of the contract: they run in every later one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use deputy_test_servers::guest;

use crate::home::TestEnvironment;
use crate::service::granting;

/// The version of the contract that each folder is of.
const VERSIONS: [&str; 1] = ["0.2.0"];

fn held(version: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/held").join(version).join(name)
}

/// Python's library has a decompressor; the workspace has none.
fn unpack(from: &Path, to: &Path) {
    let script = "import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2], 'wb'))";
    assert!(Command::new("python3").args(["-c", script]).arg(from).arg(to).status().unwrap().success());
}

#[test]
fn held_components_are_as_they_were_built() {
    for version in VERSIONS {
        let home = TestEnvironment::empty();
        unpack(&held(version, "oauth2-javascript.wasm.xz"), &home.path("oauth2-javascript.wasm"));
        let sums = fs::read_to_string(held(version, "SHA256SUMS")).unwrap();
        assert_eq!(sums.lines().count(), 6);
        for line in sums.lines() {
            let (digest, name) = line.split_once("  ").unwrap();
            let file = if name == "oauth2-javascript.wasm" { home.path(name) } else { held(version, name) };
            assert_eq!(deputy_support::sha256(&fs::read(file).unwrap()).to_string(), digest, "{name}");
        }
    }
}

#[test]
fn held_provider_obtains() {
    for version in VERSIONS {
        let home = TestEnvironment::with_s3(&granting(), "");
        let run = |component: &Path| {
            fs::copy(component, home.path("s3-sts.wasm")).unwrap();
            let run = home.run(&["obtain", "s3", "--reveal"]);
            assert_eq!(run.code, Some(0), "{}", run.stderr);
            run.stdout
        };
        assert_eq!(run(&held(version, "s3-sts.wasm")), run(&guest("s3-sts").unwrap()));
    }
}

#[test]
fn held_components_pass_every_check() {
    for version in VERSIONS {
        let home = TestEnvironment::empty();
        unpack(&held(version, "oauth2-javascript.wasm.xz"), &home.path("oauth2-javascript.wasm"));
        let component = |name: &str| held(version, name).display().to_string();
        home.write(
            "deputy.toml",
            &format!(
                r#"
                [coordinator]
                listen = "127.0.0.1:8271"

                [instances.api]
                component = "oauth2-javascript.wasm"
                settings = {{ token-url = "https://login.example.com/token" }}
                deliver-to = ["web"]

                [instances.benign]
                component = "{}"

                [instances.s3]
                component = "{}"
                settings = {{ region = "eu-west-1" }}
                deliver-to = ["web"]

                [groups.web.receivers.aws]
                component = "{}"
                instances = ["s3"]

                [groups.web.receivers.files]
                component = "{}"
                instances = ["api", "s3"]
                settings = {{ "template.token" = "{{{{ api.payload }}}}" }}
                "#,
                component("benign-lifecycle.wasm"),
                component("s3-sts.wasm"),
                component("aws-credentials.wasm"),
                component("files.wasm"),
            ),
        );
        let run = home.run(&["check"]);
        assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
        for kind in ["aws-credential-process/1", "bearer-token/1"] {
            assert!(run.stdout.contains(kind), "{}", run.stdout);
        }
    }
}
