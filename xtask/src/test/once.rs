//! Whether wasmtime is the same whatever is built. Its compilation takes ten minutes on two cores; a dependency of a
//! test or a chore that adds a feature to one of wasmtime's own would have it done twice.

use std::collections::BTreeSet;

use crate::failure::{Failure, Result};
use crate::process::Run;
use crate::workspace::Workspace;

/// Compares what the program alone and the whole workspace, tests included, make of wasmtime and all below it.
pub(super) fn check(workspace: &Workspace) -> Result<()> {
    let below: BTreeSet<String> = tree(workspace, &["--package", "wasmtime", "--edges", "normal,build"], "{p}")?;
    let program = tree(workspace, &["--package", "deputy", "--edges", "normal,build"], "{p} with {f}")?;
    let everything = tree(workspace, &["--workspace", "--edges", "normal,build,dev"], "{p} with {f}")?;
    let of_wasmtime = |line: &&String| line.split_once(" with ").is_some_and(|(package, _)| below.contains(package));
    let other: Vec<&str> = program.difference(&everything).filter(of_wasmtime).map(String::as_str).collect();
    if below.len() < 50 {
        return Err(Failure::new(format!("`cargo tree` shows {} packages below wasmtime", below.len())));
    }
    if other.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("wasmtime is compiled twice, since others add features to: {}", other.join("; ")))
        .hint("`cargo tree --workspace -e features -i PACKAGE` shows who; give the program the same features"))
}

fn tree(workspace: &Workspace, what: &[&str], format: &str) -> Result<BTreeSet<String>> {
    let run = Run::new("cargo").args(["tree", "--locked", "--prefix", "none", "--format", format]).args(what);
    let lines = run.dir(workspace.root()).quiet()?;
    Ok(lines.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect())
}
