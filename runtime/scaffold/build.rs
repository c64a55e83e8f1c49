//! Puts the contract, the kits and the examples into the crate, so that a program without this repository can write them.
#![allow(clippy::disallowed_methods, reason = "it runs while the program is built, on this repository's own files")]

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What is put in, from the root of the repository.
const FOLDERS: [&str; 9] = [
    "kit/c",
    "kit/go",
    "kit/js",
    "kit/python",
    "kit/rust",
    "kit/wit",
    "providers/examples",
    "receivers/examples",
    "wit",
];

/// Folders that are built or installed where an author works.
const BUILT: [&str; 3] = ["__pycache__", "node_modules", "target"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let mut files = Vec::new();
    for folder in FOLDERS {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        writeln!(table, "    ({:?}, include_bytes!({file:?})),", file.strip_prefix(&root)?)?;
    }
    table.push_str("]\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("files.rs"), table)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_built = path.file_name().is_some_and(|name| BUILT.iter().any(|built| name == *built));
        if path.is_dir() && !is_built {
            collect(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}
