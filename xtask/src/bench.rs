//! `cargo xtask bench`: how fast it is, as ratios from one run.

use crate::failure::Result;
use crate::process::Run;
use crate::workspace::Workspace;
use crate::{guests, tools};

/// What is asked for when leases are to go to many workers: a program of its own, which needs no component.
const FAN_OUT: &str = "fan-out";

/// The part of the bench program that has a name of its own here, since it needs servers in Java.
const KERBEROS: &str = "kerberos";

/// Builds the guests, then runs the benches with our own code optimised. The dependencies are optimised anyway, and
/// said so they are not built again, as a profile of its own would have them.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let is_kerberos = arguments.first().is_some_and(|first| first == KERBEROS);
    let only: &[&str] = if is_kerberos { &["--only", KERBEROS] } else { &[] };
    let (package, arguments) = match arguments {
        [first, rest @ ..] if first == FAN_OUT => ("deputy-fan", rest),
        [first, rest @ ..] if first == KERBEROS => {
            tools::install_hadoop(workspace)?;
            guests::build_connectors(workspace)?;
            ("deputy-bench", rest)
        }
        all => {
            guests::build(workspace)?;
            ("deputy-bench", all)
        }
    };
    Run::new("cargo")
        .args(["run", "--locked", "--package", package, "--config", "profile.dev.opt-level=3", "--"])
        .args(only)
        .args(arguments)
        .env("DEPUTY_GUESTS", workspace.guests())
        .env("DEPUTY_TOOLS", workspace.tools())
        .dir(workspace.root())
        .shown()
}
