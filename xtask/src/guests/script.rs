//! Guests written in Python and JavaScript: slow to build, so left alone while nothing they are made of changed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Guests;
use crate::digest::{Digest, Stamp};
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;

/// The providers that each of the folders holds.
const MODULES: [&str; 2] = ["oauth2", "signed"];

/// Builds the providers written in Python.
pub(super) fn python(workspace: &Workspace, guests: &mut Guests) -> Result<()> {
    let wasi = wasi(workspace)?;
    let tools = workspace.path("xtask/tools/requirements.txt");
    for module in MODULES {
        build(workspace, guests, module, "python", &tools, |script, out| {
            let python = installed(workspace, workspace.tools().join("python/bin/python"))?;
            let componentize = installed(workspace, workspace.tool("componentize-py"))?;
            let run = Run::new(python).arg(script.join("build.py")).arg(module).arg(out);
            run.arg("--wasi").arg(&wasi).arg("--componentize-py").arg(componentize).quiet()
        })?;
    }
    Ok(())
}

/// Builds the providers written in JavaScript.
pub(super) fn javascript(workspace: &Workspace, guests: &mut Guests) -> Result<()> {
    let tools = workspace.path("providers/oauth2-javascript/package-lock.json");
    for module in MODULES {
        build(workspace, guests, module, "javascript", &tools, |script, out| {
            let modules = installed(workspace, workspace.tools().join("javascript"))?;
            let run = Run::new("node").arg(script.join("build.mjs")).arg(module).arg(out);
            run.arg("--modules").arg(modules).quiet()
        })?;
    }
    Ok(())
}

/// Builds one provider of a language's folder, unless it was built from the same inputs.
fn build(
    workspace: &Workspace,
    guests: &mut Guests,
    module: &str,
    language: &str,
    tools: &Path,
    make: impl FnOnce(&Path, &Path) -> Result<String>,
) -> Result<()> {
    let folder = workspace.path("providers").join(format!("oauth2-{language}"));
    let name = format!("{module}-{language}");
    let component = guests.file(&name);
    guests.note(&name, &folder)?;
    let inputs = Digest::new().path(&folder)?.path(&workspace.path("wit"))?.path(tools)?;
    let stamp = Stamp::new(workspace.target("guests").join(format!("{name}.stamp")), inputs);
    if stamp.is_current() && component.is_file() {
        say::note("guests", format!("{name}: unchanged"));
        return Ok(());
    }
    let step = Step::begin("guests", format!("building {name}"));
    fs::create_dir_all(&guests.folder).doing(|| format!("making the folder {}", guests.folder.display()))?;
    make(&folder, &component)?;
    if !component.is_file() {
        return Err(Failure::new(format!("building {name} left no {}", workspace.shown(&component))));
    }
    guests.written += 1;
    stamp.set()?;
    step.end(format!("{name} built"));
    Ok(())
}

/// The WIT of WASI 0.2.12, as the crate `wasip2` holds it: no copy of it lies in this tree.
fn wasi(workspace: &Workspace) -> Result<PathBuf> {
    let manifest = workspace.path("kit/rust/Cargo.toml");
    let run = Run::new("cargo").args(["metadata", "--locked", "--format-version", "1", "--manifest-path"]);
    let metadata = run.arg(manifest).json()?;
    let mut packages = metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
    let wasip2 = packages.find(|package| package.get("name").and_then(Value::as_str) == Some("wasip2"));
    let manifest = wasip2.and_then(|package| package.get("manifest_path")).and_then(Value::as_str).map(Path::new);
    let folder = manifest.and_then(Path::parent).map(|folder| folder.join("wit"));
    folder
        .filter(|folder| folder.is_dir())
        .ok_or_else(|| Failure::new("the crate `wasip2`, which kit/rust depends on, has no folder `wit`"))
}

/// A tool that must be there.
fn installed(workspace: &Workspace, file: PathBuf) -> Result<PathBuf> {
    if file.exists() {
        return Ok(file);
    }
    Err(Failure::new(format!("{} is missing", workspace.shown(&file))).hint("run `cargo xtask tools`"))
}
