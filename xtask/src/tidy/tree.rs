//! What the rules look at: the files that Git tracks or would track, and the packages of the workspaces.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::{Doing, Result};
use crate::process::Run;
use crate::workspace;

/// Workspaces beside the one at the root, where they are there.
const OTHERS: [&str; 16] = [
    "engines/object-store/Cargo.toml",
    "kit/hadoop/Cargo.toml",
    "kit/rust/Cargo.toml",
    "providers/Cargo.toml",
    "providers/examples/rust/Cargo.toml",
    "receivers/Cargo.toml",
    "receivers/examples/rust/Cargo.toml",
    "tests/bench/native/Cargo.toml",
    "tests/clients/rust/Cargo.toml",
    "tests/fuzz/Cargo.toml",
    "tests/guests/Cargo.toml",
    "tests/plugs/outputs/Cargo.toml",
    "tests/plugs/secrets/Cargo.toml",
    "tests/providers/assertion/rust/Cargo.toml",
    "tests/providers/refresh-token/Cargo.toml",
    "xtask/proto/Cargo.toml",
];

/// A file that holds text.
pub(super) struct SourceFile {
    /// The path from the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// A file that holds something else.
pub(super) struct Blob {
    /// The path from the root, with `/`.
    pub(super) path: String,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Whether it is UTF-8.
    pub(super) is_text: bool,
}

pub(super) struct Package {
    pub(super) name: String,
    /// What it depends on.
    pub(super) dependencies: Vec<Dependency>,
    /// The folders, or files, of its libraries and programs.
    pub(super) product_code: Vec<String>,
    /// The same with its tests, examples and benches.
    pub(super) all_code: Vec<String>,
}

/// What a package depends on.
pub(super) struct Dependency {
    /// The other package's name.
    pub(super) name: String,
    /// What code calls it.
    pub(super) code_name: String,
    /// Whether only its tests, examples and benches do.
    pub(super) is_dev: bool,
    /// Whether it asks for features.
    pub(super) has_features: bool,
}

pub(super) struct Tree {
    files: Vec<SourceFile>,
    blobs: Vec<Blob>,
    packages: Vec<Package>,
    other_packages: Vec<Package>,
    entries: BTreeSet<String>,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let listed = Run::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .dir(root)
            .quiet()
            .map_err(|failure| failure.hint("the rules look at what Git tracks: is this a clone?"))?;
        let (mut files, mut blobs) = (Vec::new(), Vec::new());
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let full = root.join(path);
            // A file may be deleted and not yet committed.
            if !full.is_file() {
                continue;
            }
            let bytes = fs::read(&full).doing(|| format!("reading {}", full.display()))?;
            let size = bytes.len() as u64;
            let text = String::from_utf8(bytes);
            blobs.push(Blob { path: path.to_owned(), size, is_text: text.is_ok() });
            if let Ok(text) = text {
                files.push(SourceFile { path: path.to_owned(), text });
            }
        }
        let metadata = workspace::metadata(&root.join("Cargo.toml"))?;
        let mut entries = entry_points(root, &metadata);
        let mut other_packages = Vec::new();
        for manifest in OTHERS.map(|path| root.join(path)) {
            if manifest.is_file() {
                let metadata = workspace::metadata(&manifest)?;
                entries.extend(entry_points(root, &metadata));
                other_packages.extend(packages(root, &metadata));
            }
        }
        Ok(Self { files, blobs, packages: packages(root, &metadata), other_packages, entries })
    }

    /// The files that hold text.
    pub(super) fn files(&self) -> &[SourceFile] {
        &self.files
    }

    pub(super) fn blobs(&self) -> &[Blob] {
        &self.blobs
    }

    /// The packages of the native workspace.
    pub(super) fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The packages of the other workspaces.
    pub(super) fn other_packages(&self) -> &[Package] {
        &self.other_packages
    }

    /// Whether Cargo starts to compile something at this file.
    pub(super) fn is_entry(&self, path: &str) -> bool {
        self.entries.contains(path)
    }

    /// The text files below a folder.
    pub(super) fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a SourceFile> {
        self.files.iter().filter(move |file| file.path.starts_with(folder))
    }

    /// A text file by its path.
    pub(super) fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl SourceFile {
    /// Whether it is written in Rust.
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The name without folder and ending.
    pub(super) fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.split('.').next().unwrap_or(name)
    }

    /// The folder it lies in.
    pub(super) fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Its lines that are not comments, with their numbers.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line.trim_start()));
        lines.filter(|(_, line)| !line.starts_with("//"))
    }
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn packages(root: &Path, metadata: &Value) -> Vec<Package> {
    array(metadata, "packages").map(|value| package(root, value)).collect()
}

fn package(root: &Path, value: &Value) -> Package {
    let is_product = |target: &&Value| {
        array(target, "kind").any(|kind| !matches!(kind.as_str(), Some("test" | "bench" | "example")))
    };
    let targets: Vec<&Value> = array(value, "targets").collect();
    let (all, product) = (targets.iter().copied(), targets.iter().copied().filter(is_product));
    Package {
        name: text(value, "name").to_owned(),
        dependencies: array(value, "dependencies").map(dependency).collect(),
        product_code: product.filter_map(|target| code(root, target)).collect(),
        all_code: all.filter_map(|target| code(root, target)).collect(),
    }
}

fn dependency(value: &Value) -> Dependency {
    let name = text(value, "name");
    let rename = value.get("rename").and_then(Value::as_str);
    Dependency {
        name: name.to_owned(),
        code_name: rename.unwrap_or(name).replace('-', "_"),
        is_dev: text(value, "kind") == "dev",
        has_features: array(value, "features").next().is_some(),
    }
}

/// The folder of a target's code, or its only file, as a path from the root.
fn code(root: &Path, target: &Value) -> Option<String> {
    let source = Path::new(text(target, "src_path"));
    let is_script = array(target, "kind").any(|kind| kind.as_str() == Some("custom-build"));
    let place = if is_script { source } else { source.parent()? };
    let (root, place) = (root.canonicalize().ok()?, place.canonicalize().ok()?);
    Some(place.strip_prefix(root).ok()?.to_str()?.to_owned())
}

/// The files at which Cargo starts, as paths from the root.
fn entry_points(root: &Path, metadata: &Value) -> BTreeSet<String> {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let targets = array(metadata, "packages").flat_map(|package| array(package, "targets"));
    let sources = targets.map(|target| PathBuf::from(text(target, "src_path")));
    let resolved = sources.map(|path| path.canonicalize().unwrap_or(path));
    resolved.filter_map(|path| Some(path.strip_prefix(&root).ok()?.to_str()?.to_owned())).collect()
}
