//! `cargo xtask schema`: generates the JSON Schemas of both configuration files.
//!
//! The generator is a test of `deputy-config`, which compares the files if it is not told to write them.

use crate::failure::Result;
use crate::process::Run;
use crate::workspace::Workspace;

/// Writes both files.
pub(crate) fn generate(workspace: &Workspace) -> Result<()> {
    let run = Run::new("cargo").dir(workspace.root()).args(["test", "--locked", "--package", "deputy-config"]);
    run.args(["--test", "schema"]).env("DEPUTY_WRITE_SCHEMA", "1").shown()
}
