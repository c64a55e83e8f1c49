//! `cargo xtask bench`: how fast it is, as ratios from one run.

use crate::failure::Result;
use crate::process::Run;
use crate::workspace::Workspace;
use crate::{guests, tools};

/// The bench of leases that go to many workers: a program of its own, which needs no component.
const FAN_OUT: &str = "fan-out";

/// The bench that needs servers in Java.
const KERBEROS: &str = "kerberos";

/// Builds the guests, then runs the benches with our own code optimised. The dependencies are optimised anyway, and
/// said so they are not built again, as a profile of its own would have them.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let (package, arguments) = match arguments {
        [first, rest @ ..] if first == FAN_OUT => ("deputy-fan", rest),
        all => {
            if all.iter().any(|argument| argument == KERBEROS) {
                tools::install_hadoop(workspace)?;
            }
            guests::build(workspace)?;
            ("deputy-bench", all)
        }
    };
    Run::new("cargo")
        .args(["run", "--locked", "--package", package, "--config", "profile.dev.opt-level=3", "--"])
        .args(arguments)
        .env("DEPUTY_GUESTS", workspace.guests())
        .env("DEPUTY_TOOLS", workspace.tools())
        .dir(workspace.root())
        .shown()
}
