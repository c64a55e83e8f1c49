//! Where things are: the tree, and what is built below Cargo's target directory.

use std::env;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::{Doing, Failure, Result};
use crate::process::Run;

/// The paths of this clone.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Asks Cargo, so that CARGO_TARGET_DIR and every configuration file count.
    pub(crate) fn find() -> Result<Self> {
        let mut run = Run::new("cargo").args(["metadata", "--no-deps", "--format-version", "1"]);
        if let Some(folder) = env::var_os("CARGO_MANIFEST_DIR") {
            run = run.dir(Path::new(&folder));
        }
        let metadata = run.json()?;
        Ok(Self { root: path_in(&metadata, "workspace_root")?, target: path_in(&metadata, "target_directory")? })
    }

    /// The root of the clone.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path of the tree.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// Cargo's target directory, or a path below it.
    pub(crate) fn target(&self, below: &str) -> PathBuf {
        self.target.join(below)
    }

    /// The folder of the built components.
    pub(crate) fn guests(&self) -> PathBuf {
        self.target("guests")
    }

    /// The folder in which the crates for engines are built.
    pub(crate) fn engines(&self) -> PathBuf {
        self.target("engines")
    }

    /// The folder of the installed servers and tools.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target("tools")
    }

    /// An installed program.
    pub(crate) fn tool(&self, name: &str) -> PathBuf {
        self.tools().join("bin").join(name)
    }

    /// A path as a person reads it: from the root of the clone where it lies below it.
    pub(crate) fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

/// What Cargo says of the workspace that a manifest belongs to.
pub(crate) fn metadata(manifest: &Path) -> Result<Value> {
    Run::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(manifest)
        .json()
        .doing(|| format!("reading {}", manifest.display()))
}

fn path_in(metadata: &Value, key: &str) -> Result<PathBuf> {
    let text = metadata.get(key).and_then(Value::as_str);
    text.map(PathBuf::from).ok_or_else(|| Failure::new(format!("cargo metadata names no {key}")))
}
