//! `cargo xtask schema`: generates the JSON Schemas of both configuration files, and of what commands print.
//!
//! The generators are tests of `deputy-config` and of the program, which compare the files if they are not told to write them.

use crate::failure::Result;
use crate::process::Run;
use crate::workspace::Workspace;

/// Writes all files.
pub(crate) fn generate(workspace: &Workspace) -> Result<()> {
    let run = |package: &str, test: &[&str]| {
        let run = Run::new("cargo").dir(workspace.root()).args(["test", "--locked", "--package", package]);
        run.args(test).env("DEPUTY_WRITE_SCHEMA", "1").shown()
    };
    run("deputy-config", &["--test", "schema"])?;
    run("deputy", &["--bin", "deputy", "json_schema_is"])
}
