//! A worker in a pod, with the volumes that Kubernetes gives it: an `emptyDir` that all can write to as the output, and a
//! join string in a read-only volume in memory with a mode that lets all read it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use deputy_test_harness::exit;

use super::site::{GROUP, TestSite};

/// Makes the two volumes in a mount namespace of its own, and runs the rest of its arguments there.
const POD: &str = r#"
output=$1 secrets=$2 join=$3
shift 3
mkdir -p "$output" "$secrets"
mount -t tmpfs -o mode=0777 none "$output"
mount -t tmpfs -o mode=0755 none "$secrets"
cp "$join" "$secrets/join"
chmod 0644 "$secrets/join"
mount -o remount,ro "$secrets"
exec "$@"
"#;

/// The same program with the same arguments, in such a pod.
fn in_pod(program: &Command, output: &Path, secrets: &Path, join: &Path) -> Command {
    let mut pod = Command::new("unshare");
    pod.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    pod.args(["--mount", "sh", "-euc", POD, "sh"]).args([output, secrets, join]);
    pod.arg(program.get_program()).args(program.get_args());
    pod.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    pod
}

#[test]
fn volumes_of_kubernetes_are_taken_as_they_are() {
    let site = TestSite::standard("");
    let _coordinator = site.coordinator();
    let join = site.token(GROUP, &[]);
    let (output, secrets) = (site.home.path("secrets/pod"), site.home.path("secrets/volume"));
    site.configure("pod", &format!("join = {{ file = {:?} }}", secrets.join("join")));
    let config = site.home.path("pod.toml");

    let mut check = site.home.program();
    check.arg("--config").arg(&config).arg("--state").arg(site.home.path("pod-state")).arg("check");
    let checked = in_pod(&check, &output, &secrets, &join).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));

    let worker = site.worker_as("pod", in_pod(&site.command("pod"), &output, &secrets, &join));
    worker.wait_until("it is applied", || {
        worker.status().is_some_and(|status| status.ready && status.receivers[0].state == "applied")
    });
    assert_eq!(worker.stop(), Some(exit::OK));

    // Without the volumes the same modes are refused, and `check` finds both.
    fs::set_permissions(&output, fs::Permissions::from_mode(0o777)).unwrap();
    fs::copy(&join, secrets.join("join")).unwrap();
    fs::set_permissions(secrets.join("join"), fs::Permissions::from_mode(0o644)).unwrap();
    let refused = check.output().unwrap();
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("is open to other users (mode 0777)") && said.contains("is open to other users (mode 0644)"),
        "{said}"
    );
}
