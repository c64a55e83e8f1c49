//! `cargo xtask bench`: how fast it is, as ratios from one run.

use crate::failure::Result;
use crate::guests;
use crate::process::Run;
use crate::workspace::Workspace;

/// Builds the guests, then runs the benches with our own code optimised. The dependencies are optimised anyway, and
/// said so they are not built again, as a profile of its own would have them.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    guests::build(workspace)?;
    Run::new("cargo")
        .args(["run", "--locked", "--package", "deputy-bench", "--config", "profile.dev.opt-level=3", "--"])
        .args(arguments)
        .env("DEPUTY_GUESTS", workspace.guests())
        .env("DEPUTY_TOOLS", workspace.tools())
        .dir(workspace.root())
        .shown()
}
