//! What a release is made of: the crates of the program and of the connectors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::process::Run;
use crate::workspace::Workspace;

/// How many crates there are at the least.
const LEAST: usize = 150;

/// The workspaces that are released, what of them, and for which target if it is not that of the program.
const PARTS: [(&str, &[&str], Option<&str>); 3] = [
    ("", &["--package", "deputy"], None),
    ("providers", &["--workspace"], Some("wasm32-unknown-unknown")),
    ("receivers", &["--workspace"], Some("wasm32-unknown-unknown")),
];

/// A crate that others wrote.
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// As an SPDX expression.
    pub(super) licence: Option<String>,
    pub(super) repository: Option<String>,
    /// Its sources.
    pub(super) folder: PathBuf,
}

/// All of them, each version once, by name and version.
pub(super) fn all(workspace: &Workspace, program: &str) -> Result<Vec<Package>> {
    let mut packages = BTreeMap::new();
    for (folder, what, target) in PARTS {
        let target = target.unwrap_or(program);
        let linked = linked(workspace, folder, what, target)?;
        let metadata = Run::new("cargo")
            .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", target])
            .dir(&workspace.path(folder))
            .json()?;
        let known = metadata.get("packages").and_then(Value::as_array).cloned().unwrap_or_default();
        for package in known.iter().filter_map(read) {
            let key = (package.name.clone(), package.version.clone());
            if linked.contains(&key) {
                packages.entry(key).or_insert(package);
            }
        }
    }
    if packages.len() < LEAST {
        return Err(Failure::new(format!("saw {} crates, of at least {LEAST}", packages.len())));
    }
    Ok(packages.into_values().collect())
}

/// Names and versions of what is linked. Crates that only build others are left out.
fn linked(workspace: &Workspace, folder: &str, what: &[&str], target: &str) -> Result<BTreeSet<(String, String)>> {
    let tree = Run::new("cargo")
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--target", target])
        .args(what)
        .dir(&workspace.path(folder))
        .quiet()?;
    // `serde v1.0.228`, and `(proc-macro)` or a path behind it.
    Ok(tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
            Some((name.to_owned(), version.to_owned()))
        })
        .collect())
}

/// A package of `cargo metadata`; `None` for our own, which come from no registry.
fn read(package: &Value) -> Option<Package> {
    let text = |key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
    text("source")?;
    Some(Package {
        name: text("name")?,
        version: text("version")?,
        // Before SPDX had expressions, a slash meant a choice.
        licence: text("license").map(|licence| licence.replace('/', " OR ")),
        repository: text("repository"),
        folder: PathBuf::from(text("manifest_path")?).parent()?.to_owned(),
    })
}
