//! Guests written in Rust: built for `wasm32-unknown-unknown`, then made components.
//!
//! That target has no WASI of its own, so a component imports what its code calls and nothing else.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use wit_component::ComponentEncoder;

use super::Guests;
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::{Workspace, metadata};

const TARGET: &str = "wasm32-unknown-unknown";

/// The workspaces whose dynamic libraries and examples are guests. All must be there.
const FOLDERS: [&str; 9] = [
    "providers",
    "providers/examples/rust",
    "receivers",
    "receivers/examples/rust",
    "tests/guests",
    "tests/plugs/outputs",
    "tests/plugs/secrets",
    "tests/providers/assertion/rust",
    "tests/providers/refresh-token",
];

/// Every workspace of guests, whether it is there or not.
pub(super) fn folders(workspace: &Workspace) -> Vec<PathBuf> {
    FOLDERS.iter().map(|folder| workspace.path(folder)).collect()
}

/// Adds the targets to the toolchain where they are missing: that of the guests, and the one that authors build for.
pub(super) fn ensure_targets() -> Result<()> {
    [TARGET, "wasm32-wasip2"].into_iter().try_for_each(ensure_target)
}

fn ensure_target(target: &str) -> Result<()> {
    let libraries = Run::new("rustc").args(["--print", "target-libdir", "--target", target]).quiet()?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    let step = Step::begin("rustup", format!("adding the target {target}"));
    Run::new("rustup").args(["target", "add", target]).quiet().map_err(|failure| {
        failure.hint(format!("install Rust with rustup, or give your toolchain the target {target} another way"))
    })?;
    step.end("target added");
    Ok(())
}

/// Builds one workspace and turns each of its libraries into a component.
pub(super) fn build(workspace: &Workspace, folder: &Path, guests: &mut Guests) -> Result<()> {
    let manifest = folder.join("Cargo.toml");
    let mut missing = expected(&metadata(&manifest)?);
    let mut built = Vec::new();
    Run::new("cargo")
        .args(["build", "--quiet", "--release", "--locked", "--lib", "--examples", "--workspace", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(workspace.target("wasm"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags(workspace))
        .lines(|line| built.extend(artifact(line)))?;
    for module in built {
        let stem = module.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        missing.remove(&stem);
        let bytes = fs::read(&module).doing(|| format!("reading {}", module.display()))?;
        guests.add(&stem.replace('_', "-"), &encode(&bytes).doing(|| format!("making {stem} a component"))?, folder)?;
    }
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(String::as_str).collect();
        return Err(Failure::new(format!("{} built without {}", workspace.shown(folder), names.join(", "))));
    }
    say::note("guests", format!("{}", workspace.shown(folder)));
    Ok(())
}

/// Keeps the machine's paths out of the components, so that equal sources give equal digests everywhere.
fn flags(workspace: &Workspace) -> String {
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo = env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    [remap(&cargo, "cargo"), remap(workspace.root(), "deputy")].join("\u{1f}")
}

/// The file stems of all dynamic libraries that a workspace declares.
fn expected(metadata: &Value) -> BTreeSet<String> {
    let packages = metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
    let targets = packages.filter_map(|package| package.get("targets").and_then(Value::as_array)).flatten();
    let libraries = targets.filter(|target| is_dynamic(target));
    libraries.filter_map(|target| Some(target.get("name")?.as_str()?.replace('-', "_"))).collect()
}

/// The module that a line of Cargo's messages names, if it names one.
fn artifact(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message.get("reason")?.as_str()? != "compiler-artifact" || !is_dynamic(message.get("target")?) {
        return None;
    }
    let files = message.get("filenames")?.as_array()?.iter().filter_map(Value::as_str);
    files.map(PathBuf::from).find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

fn is_dynamic(target: &Value) -> bool {
    let kinds = target.get("crate_types").and_then(Value::as_array).into_iter().flatten();
    kinds.filter_map(Value::as_str).any(|kind| kind == "cdylib")
}

fn encode(module: &[u8]) -> std::result::Result<Vec<u8>, String> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(module).and_then(|encoder| encoder.encode()).map_err(|error| format!("{error:#}"))
}
