//! `cargo xtask proto`: generates the Rust types of messages: the link's from `link.proto`, etcd's from `etcd.proto`, those of
//! traces from `otlp.proto`.
//!
//! The generator in `xtask/proto` is a workspace of its own, so that its dependencies do not change how the program's
//! are built.

use crate::failure::Result;
use crate::process::Run;
use crate::workspace::Workspace;

/// The generator's workspace.
pub(crate) const FOLDER: &str = "xtask/proto";

/// Writes the generated files.
pub(crate) fn generate(workspace: &Workspace) -> Result<()> {
    generator(workspace).shown()
}

/// Fails if a generated file is not what the generator makes of its `.proto` now.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    generator(workspace).args(["--", "--check"]).shown()
}

fn generator(workspace: &Workspace) -> Run {
    let run = Run::new("cargo").dir(&workspace.path(FOLDER)).args(["run", "--locked", "--quiet", "--target-dir"]);
    run.arg(workspace.target("proto"))
}
