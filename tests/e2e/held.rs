//! Components that were built once, by the side of the real servers that they were built for.

use std::path::{Path, PathBuf};
use std::process::Command;

use deputy_test_harness::{TestEnvironment, exit};

use crate::servers;
use crate::workers::site::{GROUP, TestSite, twice};

/// A component as its version of the contract left it.
pub(crate) fn held(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/held/0.2.0");
    folder.join(name).canonicalize().unwrap()
}

#[test]
fn held_javascript_provider_brings_a_token_of_a_real_server() {
    // Its engine takes long to compile.
    let mut home = TestEnvironment::in_target("held-state");
    let component = home.path("oauth2-javascript.wasm");
    let script = "import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2], 'wb'))";
    let mut unpack = Command::new("python3");
    unpack.args(["-c", script]).arg(held("oauth2-javascript.wasm.xz")).arg(&component);
    assert!(unpack.status().unwrap().success());
    let server = servers::oauth2();
    home.append(&format!(
        "[instances.api]\ncomponent = {component:?}\nsettings = {{ token-url = {:?}, client-id = \"deputy\" }}\n\
         [[instances.api.http]]\nallow = \"http://127.0.0.1:{}\"\nnetworks = [\"loopback\"]\n",
        server.token_url(),
        server.port()
    ));
    let run = home.deputy(&["obtain", "api", "--reveal"]).ends_with(exit::OK);
    assert_eq!(run.stdout.trim().split('.').count(), 3, "no JSON Web Token: {}", run.stdout);
}

#[test]
fn held_receiver_publishes() {
    let mut site = TestSite::new("").instance("creds", "any", &[GROUP]);
    site.home.append(&format!(
        "[groups.{GROUP}.receivers.app]\ncomponent = {:?}\ninstances = [\"creds\"]\n\
         [groups.{GROUP}.receivers.app.settings]\n{}\n",
        held("files.wasm"),
        twice("creds")
    ));
    let _coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
}
