//! `cargo xtask reference`: makes the tables of settings in the documents of what the connectors say about themselves.
//!
//! The generator is a test of the program, which compares the tables if it is not told to write them.

use crate::failure::Result;
use crate::guests;
use crate::process::Run;
use crate::workspace::Workspace;

/// Writes all tables.
pub(crate) fn generate(workspace: &Workspace) -> Result<()> {
    guests::build_connectors(workspace)?;
    let run =
        Run::new("cargo").dir(workspace.root()).args(["test", "--locked", "--package", "deputy", "--test", "cli"]);
    let run = run.arg("reference").env("DEPUTY_GUESTS", workspace.guests());
    run.env("DEPUTY_WRITE_REFERENCE", "1").shown()
}
