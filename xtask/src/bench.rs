//! `cargo xtask bench`: how fast it is, as ratios from one run, and what it bears.

mod chaos;

use std::path::Path;

use crate::failure::Result;
use crate::process::Run;
use crate::test::NATIVE;
use crate::workspace::Workspace;
use crate::{guests, tools};

/// Coordinators, workers and etcd while processes and networks fail: a test, at full size.
const CHAOS: &str = "chaos";

/// The bench of leases that go to many workers: a program of its own, which needs no component.
const FAN_OUT: &str = "fan-out";

/// The bench of a state with many workers, which needs etcd and no component.
const ENROLMENT: &str = "enrolment";

/// The live page in a browser: a part of the same program, which needs the coordinator's.
const PAGE: &str = "page";

/// The bench of coordinators that take over, which needs etcd and the program.
const TAKEOVER: &str = "takeover";

/// Our own code is optimised.
const OPTIMISED: [&str; 2] = ["--config", "profile.dev.opt-level=3"];

/// The bench that needs servers in Java.
const KERBEROS: &str = "kerberos";

/// Builds the guests, then runs the benches with our own code optimised. The dependencies are optimised anyway, and
/// said so they are not built again, as a profile of its own would have them.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    if let [first, rest @ ..] = arguments
        && first == CHAOS
    {
        return chaos::run(workspace, rest);
    }
    let native = workspace.target("bench-native");
    let (package, arguments) = match arguments {
        [first, rest @ ..] if first == FAN_OUT => ("deputy-fan", rest),
        all @ [first, ..] if first == ENROLMENT => {
            tools::install_etcd(workspace)?;
            ("deputy-bench", all)
        }
        [first, ..] if first == PAGE => {
            let build = Run::new("cargo").args(["build", "--locked", "--package", "deputy"]).args(OPTIMISED);
            build.dir(workspace.root()).shown()?;
            ("deputy-fan", arguments)
        }
        all @ [first, ..] if first == TAKEOVER => {
            tools::install_etcd(workspace)?;
            let build = Run::new("cargo").args(["build", "--locked", "--package", "deputy"]).args(OPTIMISED);
            build.dir(workspace.root()).shown()?;
            ("deputy-bench", all)
        }
        all => {
            if all.iter().any(|argument| argument == KERBEROS) {
                tools::install_java(workspace)?;
                build_native(workspace, &native)?;
            }
            guests::build(workspace)?;
            ("deputy-bench", all)
        }
    };
    Run::new("cargo")
        .args(["run", "--locked", "--package", package])
        .args(OPTIMISED)
        .arg("--")
        .args(arguments)
        .env("DEPUTY_BENCH_NATIVE", native.join("release/deputy-bench-native"))
        .env("DEPUTY_GUESTS", workspace.guests())
        .env("DEPUTY_PROGRAM", workspace.target("debug/deputy"))
        .env("DEPUTY_TOOLS", workspace.tools())
        .dir(workspace.root())
        .shown()
}

/// Builds the exchanges without a sandbox.
fn build_native(workspace: &Workspace, target: &Path) -> Result<()> {
    Run::new("cargo")
        .args(["build", "--locked", "--release", "--manifest-path"])
        .arg(workspace.path(NATIVE).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .shown()
}
